"""What every TableEngine must hold to: a table is laid whole beside the live one, or nothing is."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager

import pytest

from drmgr.engines.mariadb.tables import LAYING
from drmgr.errors import Interrupted, LoadError, UsageError
from drmgr.model import LaidTable, TableProof
from tests.support.mariadb import superuser
from tests.support.sqlserver import REAL
from tests.support.sqlserver_real_tables import real_ground
from tests.support.sqlserver_tables import sqlserver_ground
from tests.support.tables import (
    ENDING,
    Ground,
    all_facts,
    changes,
    lay,
    mariadb_ground,
    postgres_ground,
    postgres_without_encoding,
    shape,
    silent,
    sqlite_ground,
)


@contextmanager
def any_sqlserver_ground() -> Iterator[Ground]:
    """The stand-ins, or the real servers that the environment names."""
    if os.environ.get(REAL):
        with real_ground() as real:
            yield real
        return
    with sqlserver_ground() as made:
        yield made


MAKERS: dict[str, Callable[[], AbstractContextManager[Ground]]] = {
    "mariadb": mariadb_ground,
    "postgresql": postgres_ground,
    "sqlite": sqlite_ground,
    "sqlserver": any_sqlserver_ground,
}


@pytest.fixture(scope="module", params=sorted(MAKERS))
def ground(request: pytest.FixtureRequest) -> Iterator[Ground]:
    with MAKERS[request.param]() as made:
        yield made


@pytest.fixture(scope="module", params=sorted(MAKERS))
def untouched(request: pytest.FixtureRequest) -> Iterator[Ground]:
    """One in which the live tables are still those of the backup, whatever other tests do."""
    with MAKERS[request.param]() as made:
        yield made


def test_every_table_is_laid_as_it_was_and_no_other_is_touched(untouched: Ground) -> None:
    ground = untouched
    restored, before = all_facts(ground, ground.scratch), all_facts(ground, ground.live)
    laid_names = set()
    for name in ground.names:
        table = shape(ground, ground.scratch, name)
        laid = lay(ground, name)
        laid_names.add(laid.shape.label)
        assert laid.shape.name.startswith(table.name + ENDING)
        assert laid.proof == ground.tables.expected(restored, table)
        assert laid.proof == ground.tables.proof(ground.live, laid.shape)
        found = shape(ground, ground.live, laid.shape.label)
        assert (found.columns, found.key) == (table.columns, table.key)
        change = changes(ground, name, laid)
        assert (change.before, change.now) == (laid.proof.rows, laid.proof.rows)
        assert (change.added, change.removed, change.changed or 0) == (0, 0, 0)
    # one was named twice: the second is numbered
    assert len(laid_names) == len(ground.names)
    after = all_facts(ground, ground.live)
    # SQLite keeps there the last number of every table that numbers its own rows
    own = {*laid_names, "sqlite_sequence"}
    kept, were = (
        {label: item for label, item in facts.groups["tables"].items() if label not in own} for facts in (after, before)
    )
    assert kept == were
    assert all_facts(ground, ground.scratch).groups["structure"] == restored.groups["structure"]
    for name in ("triggers", "policies", "functions", "views", "routines"):
        assert after.groups["structure"].get(name) == before.groups["structure"].get(name)
    for name in sorted(laid_names):
        ground.tables.drop(ground.live, LaidTable(shape(ground, ground.live, name), TableProof(0, "")))
    assert all_facts(ground, ground.live).groups["structure"] == before.groups["structure"]


def test_a_laid_table_takes_the_place_of_one_that_is_gone(untouched: Ground) -> None:
    ground = untouched
    name = "charge" if ground.engine.name == "sqlite" else "patient"
    table, laid, before = shape(ground, ground.scratch, name), lay(ground, name), all_facts(ground, ground.live)
    statements = ground.tables.into_place(ground.scratch, table, laid.shape)
    assert laid.shape.name in statements[0]
    if ground.engine.name == "sqlserver":
        # the stand-in takes no statement that it does not know
        ground.tables.drop(ground.live, laid)
        assert "sp_rename" in statements[0] and all(each.startswith("-- ") for each in statements[1:])
        return
    ground.run(DROPPED[ground.engine.name])
    for statement in statements:
        ground.run(statement.removeprefix("DELIMITER //\n").removesuffix("//\nDELIMITER ;"))
    after = all_facts(ground, ground.live)
    assert shape(ground, ground.live, name).columns == table.columns
    assert after.groups["tables"][table.label] == before.groups["tables"][table.label]
    assert after.groups["structure"].get("triggers") == before.groups["structure"].get("triggers")
    if ground.engine.name == "postgresql":
        (rights,) = ground.engine.rows(ground.live, "SELECT relacl::text FROM pg_class WHERE oid = 'patient'::regclass")
        assert "his_app=a*r*/postgres" in rights[0]
        referring = "SELECT conname FROM pg_constraint WHERE confrelid = 'patient'::regclass AND conparentid = 0"
        assert list(ground.engine.rows(ground.live, referring)) == [("charge_patient_fkey",)]


DROPPED = {
    "postgresql": "DROP TABLE patient CASCADE",
    "mariadb": "SET foreign_key_checks = 0; DROP TABLE patient",
    "sqlite": "DROP TABLE charge",
}


def test_changes_are_counted_by_key_and_the_printed_sql_finds_them(ground: Ground) -> None:
    laid = lay(ground, "patient")
    try:
        ground.run(
            f"UPDATE patient SET cost = cost + 0.0001 WHERE id IN (7, 8); DELETE FROM patient WHERE id = {ground.spare};"
            "INSERT INTO patient (name) VALUES ('新'), ('新')"
        )
        change = changes(ground, "patient", laid)
        assert (change.before, change.now) == (laid.proof.rows, laid.proof.rows + 1)
        assert (change.added, change.removed, change.changed) == (2, 1, 2)
        live = shape(ground, ground.live, "patient")
        statements = ground.tables.statements(live, laid.shape, list(live.columns), live.key)
        found = {
            what: len(list(ground.engine.rows(ground.live, sql.rstrip(";")))) for what, sql in statements.look.items()
        }
        assert found == {"added": 2, "removed": 1, "changed": 2}
    finally:
        ground.tables.drop(ground.live, laid)


def test_without_a_key_whole_rows_are_counted(ground: Ground) -> None:
    name = ground.keyless
    laid = lay(ground, name)
    try:
        ground.run(ground.change_keyless)
        change = changes(ground, name, laid)
        # one row went, the same new one came twice
        assert (change.added, change.removed, change.changed) == (2, 1, None)
        live = shape(ground, ground.live, name)
        look = ground.tables.statements(live, laid.shape, list(live.columns), ()).look
        assert len(list(ground.engine.rows(ground.live, look["removed"].rstrip(";")))) == 1
        ground.run(ground.alter_keyless)
        altered = changes(ground, name, laid)
        assert altered.columns_added == ("more",)
        assert (altered.added, altered.removed) == (2, 1)
    finally:
        ground.tables.drop(ground.live, laid)


def test_whatever_ends_it_in_the_middle_leaves_nothing(ground: Ground) -> None:
    before = ground.names_now()
    table = shape(ground, ground.scratch, "patient")

    def stop(share: float, word: str) -> None:
        if share >= 0.1 and word in ("proof", "rows", "indexes"):
            raise Interrupted("SIGTERM")

    def crash(share: float, word: str) -> None:
        if share >= 0.1 and word in ("proof", "rows", "indexes"):
            ground.end_session()

    with pytest.raises(Interrupted):
        ground.tables.lay(ground.scratch, table, ground.live, "half", stop)
    assert ground.names_now() == before
    with pytest.raises((LoadError, KeyboardInterrupt)):
        ground.tables.lay(ground.scratch, table, ground.live, "half", crash)
    assert ground.names_now() == before


def test_names_that_are_no_table_s_or_taken_are_refused(ground: Ground) -> None:
    assert ground.tables.table(ground.live, "nowhere") is None
    with pytest.raises(UsageError, match="view"):
        ground.tables.table(ground.live, ground.view)
    table, before = shape(ground, ground.scratch, "patient"), ground.names_now()
    with pytest.raises(LoadError):
        ground.tables.lay(ground.scratch, table, ground.live, "charge", silent)
    assert ground.names_now() == before


def test_a_value_that_the_live_database_refuses_is_not_told() -> None:
    with postgres_ground() as ground:
        ground.run("ALTER TYPE ward.sex RENAME VALUE '男' TO '机密'; CREATE SCHEMA b; CREATE TABLE b.charge ()")
        before = ground.names_now()
        with pytest.raises(LoadError) as refused:
            lay(ground, "patient")
        assert "男" not in str(refused.value) + refused.value.hint
        assert "invalid input value for enum" in refused.value.message
        assert ground.names_now() == before
        with pytest.raises(UsageError, match="several"):
            ground.tables.table(ground.live, "charge")
        assert shape(ground, ground.live, "b.charge").schema == "b"


def test_postgresql_keeps_its_kind_and_gives_nobody_rights() -> None:
    with postgres_ground() as ground:
        ground.run("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO PUBLIC, his_app")
        ground.run("CREATE INDEX ON charge (patient); COMMENT ON COLUMN patient.fee IS '费'")
        laid, charge = lay(ground, "patient"), lay(ground, "charge")
        asked = f"'public.{laid.shape.name}'::regclass"
        assert ground.engine.scalar(ground.live, f"SELECT relhastriggers FROM pg_class WHERE oid = {asked}") is False
        others = (
            f"SELECT count(*) FROM pg_class c, aclexplode(c.relacl) x WHERE c.oid = {asked} AND x.grantee <> c.relowner"
        )
        assert ground.engine.scalar(ground.live, others) == 0
        ((identity, generated, default),) = ground.engine.rows(
            ground.live,
            f"SELECT string_agg(attidentity::text, ''), string_agg(attgenerated::text, ''), (SELECT count(*) FROM pg_attrdef "
            f"WHERE adrelid = {asked}) FROM pg_attribute WHERE attrelid = {asked} AND attnum > 0",
        )
        assert (identity, generated, default) == ("a", "s", 2)
        # the primary key, and its three others
        assert ground.engine.scalar(ground.live, f"SELECT count(*) FROM pg_index WHERE indrelid = {asked}") == 4
        assert (
            ground.engine.scalar(
                ground.live, f"SELECT count(*) FROM pg_constraint WHERE conrelid = {asked} AND contype <> 'p'"
            )
            == 0
        )
        assert set(laid.left_out) == {"1 triggers", "1 check and exclusion constraints"}
        # partitions are one table, and no number is drawn from the living sequence
        assert charge.left_out[0].startswith("its partitions")
        assert "default of id, which draws from a sequence" in charge.left_out


def test_mariadb_clears_away_what_a_killed_process_was_laying_and_nothing_else() -> None:
    with mariadb_ground() as ground:
        ground.run(
            f"CREATE TABLE {LAYING}dead (n int); CREATE TABLE {LAYING}alive (n int); CREATE TABLE drmgrXlayingXmine (n int)"
        )
        database = ground.live.database
        with closing(superuser(ground.scratch, database)) as somebody, somebody.cursor() as cursor:
            cursor.execute(f"SELECT GET_LOCK('{database}.{LAYING}alive', 0)")
            laid = lay(ground, "visit")
            names = " ".join(ground.names_now())
            assert f"{LAYING}dead" not in names
            assert f"{LAYING}alive" in names and "drmgrXlayingXmine" in names
        # references stay out; a number of single precision has all its digits
        assert laid.left_out == ("1 foreign keys",)
        patient = lay(ground, "patient").shape.name
        digits = "CAST(p.small AS DOUBLE) <=> CAST(l.small AS DOUBLE)"
        asked = f"SELECT count(*) FROM patient p JOIN {patient} l USING (id) WHERE {digits}"
        assert ground.engine.scalar(ground.live, asked) == ground.engine.scalar(
            ground.live, "SELECT count(*) FROM patient"
        )
        ((_, made),) = ground.engine.rows(ground.live, f"SHOW CREATE TABLE {patient}")
        ((_, was),) = ground.engine.rows(ground.live, "SHOW CREATE TABLE patient")
        numbered = re.compile(r" AUTO_INCREMENT=\d+")
        assert numbered.sub("", made).replace(patient, "patient") == numbered.sub("", was)


def test_texts_in_no_encoding_pass_as_they_are_stored() -> None:
    table = "CREATE TABLE t (id int PRIMARY KEY, x text)"
    gbk = "convert_from('\\xcad5b7d1b4a6', 'SQL_ASCII')"
    with postgres_without_encoding(f"{table}; INSERT INTO t VALUES (1, {gbk}), (2, '')") as ground:
        laid = lay(ground, "t")
        stored = "convert_to(x, 'SQL_ASCII')"
        asked = f"SELECT count(*) FROM {laid.shape.name} WHERE id = 1 AND {stored} = '\\xcad5b7d1b4a6'"
        assert ground.engine.scalar(ground.live, asked) == 1
