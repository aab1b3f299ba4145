"""What puts a laid MariaDB table in the place of one that is gone: its name, and all that does not come along with rows."""

from drmgr.engines.mariadb.connection import Session, quoted, run
from drmgr.model import TableShape

TRIGGERS = """
SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = %s AND event_object_table = %s
ORDER BY event_manipulation, action_timing, action_order"""

RIGHTS = "-- rights: the server keeps those that were given on the name of the table; see them with SHOW GRANTS"


def into_place(
    session: Session, database: str, table: TableShape, laid: TableShape, drawing: list[str]
) -> tuple[str, ...]:
    """``session`` is on the server that has ``database`` restored. ``drawing``: columns whose default is a sequence's."""
    name = quoted(table.name)
    found = [f"RENAME TABLE {quoted(laid.name)} TO {name};"]
    ((_, made),) = run(session, f"SHOW CREATE TABLE {quoted(database, table.name)}")
    for line in str(made).splitlines():
        words = line.strip().rstrip(",")
        if words.startswith("CONSTRAINT ") and " FOREIGN KEY " in words:
            found.append(f"ALTER TABLE {name} ADD {words};")
    for (trigger,) in run(session, TRIGGERS, database, table.name):
        shown = run(session, f"SHOW CREATE TRIGGER {quoted(database, trigger)}")[0]
        found.append(f"DELIMITER //\n{shown[2]}//\nDELIMITER ;")
    found += [f"-- give {quoted(column)} its default again, which draws from a sequence" for column in drawing]
    return (*found, RIGHTS)
