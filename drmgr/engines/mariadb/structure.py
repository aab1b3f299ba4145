"""Digests of a database's definitions, in texts that stay equal through a dump and its restore."""

# ruff: noqa: S608 - only constants of this file are put together to statements

import hashlib
from collections.abc import Mapping

from drmgr.engines.mariadb.connection import Session, quoted, run
from drmgr.model import Json

_BASE = "t.table_type IN ('BASE TABLE', 'SEQUENCE')"

DEFINITIONS: Mapping[str, str] = {
    "tables": f"""
        SELECT t.table_name, t.table_type, t.engine, t.table_collation, t.create_options, t.table_comment
        FROM information_schema.tables t WHERE t.table_schema = %s AND {_BASE}""",
    "columns": """
        SELECT table_name, column_name, ordinal_position, column_type, is_nullable, column_default, extra,
               character_set_name, collation_name, generation_expression, column_comment
        FROM information_schema.columns WHERE table_schema = %s""",
    "indexes": """
        SELECT table_name, index_name, seq_in_index, column_name, non_unique, sub_part, index_type, collation, index_comment
        FROM information_schema.statistics WHERE table_schema = %s""",
    "constraints": """
        SELECT c.table_name, c.constraint_name, c.constraint_type, k.ordinal_position, k.column_name,
               k.referenced_table_name, k.referenced_column_name, r.update_rule, r.delete_rule
        FROM information_schema.table_constraints c
        LEFT JOIN information_schema.key_column_usage k ON k.constraint_schema = c.constraint_schema
          AND k.table_name = c.table_name AND k.constraint_name = c.constraint_name
        LEFT JOIN information_schema.referential_constraints r ON r.constraint_schema = c.constraint_schema
          AND r.table_name = c.table_name AND r.constraint_name = c.constraint_name
        WHERE c.constraint_schema = %s""",
    "checks": """
        SELECT table_name, constraint_name, check_clause
        FROM information_schema.check_constraints WHERE constraint_schema = %s""",
    "partitions": """
        SELECT table_name, partition_name, subpartition_name, partition_ordinal_position, partition_method,
               subpartition_method, partition_expression, subpartition_expression, partition_description
        FROM information_schema.partitions WHERE table_schema = %s AND partition_name IS NOT NULL""",
    "views": """
        SELECT table_name, view_definition, check_option, definer, security_type, algorithm
        FROM information_schema.views WHERE table_schema = %s""",
    "routines": """
        SELECT r.routine_type, r.routine_name, r.dtd_identifier, r.routine_definition, r.is_deterministic,
               r.sql_data_access, r.security_type, r.sql_mode, r.definer, r.routine_comment,
               (SELECT group_concat(concat_ws(' ', p.ordinal_position, p.parameter_mode, p.parameter_name,
                  p.dtd_identifier, p.character_set_name) ORDER BY p.ordinal_position)
                FROM information_schema.parameters p WHERE p.specific_schema = r.routine_schema
                  AND p.specific_name = r.specific_name AND p.routine_type = r.routine_type)
        FROM information_schema.routines r WHERE r.routine_schema = %s""",
    "triggers": """
        SELECT trigger_name, event_object_table, event_manipulation, action_timing, action_order, action_statement,
               sql_mode, definer
        FROM information_schema.triggers WHERE trigger_schema = %s""",
    "events": """
        SELECT event_name, definer, time_zone, event_type, execute_at, interval_value, interval_field, sql_mode, starts,
               ends, status, on_completion, event_definition, event_comment
        FROM information_schema.events WHERE event_schema = %s""",
}


def read_structure(session: Session, database: str) -> dict[str, Json]:
    """``{kind: {"count", "digest"}}`` of all definitions. Raises pymysql.Error.

    A database's own name is taken out of the texts: it may come back under another one.
    """
    return {kind: _digest(session, statement, database) for kind, statement in DEFINITIONS.items()}


def _digest(session: Session, statement: str, database: str) -> Json:
    own = f"{quoted(database)}."
    lines = sorted(
        "\x00".join("\x01" if value is None else str(value).replace(own, "") for value in row)
        for row in run(session, statement, database)
    )
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode("utf-8", errors="surrogatepass") + b"\n")
    return {"count": len(lines), "digest": digest.hexdigest()}
