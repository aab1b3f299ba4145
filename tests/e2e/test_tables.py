"""``drmgr restore --table``: one table beside the live one, what has changed since, and what is refused."""

import base64
import json
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.e2e.conftest import VISITS
from tests.support.postgres import PostgresServer
from tests.support.site import Recorded, Site

SURE = ("--confirm", "his", "--reason", "rows changed by mistake")
LAID = "SELECT relname FROM pg_class WHERE relname LIKE 'visit\\_\\_drmgr%' AND relkind = 'r'"
MISTAKE = """
UPDATE visit SET at = at - interval '1 year' WHERE id <= 3; DELETE FROM visit WHERE id IN (10, 11);
INSERT INTO visit VALUES (1001, now());
"""


@pytest.fixture
def damaged(site: Site, database: tuple[PostgresServer, str]) -> Iterator[tuple[Site, PostgresServer]]:
    """Somebody changed rows since the backup; a copy of them all lies aside until the test is over."""
    server, _ = database
    server.execute("his", f"CREATE TABLE visit_then AS TABLE visit; {MISTAKE}")
    site.edit(lambda document: document["restore"]["allow"].update(tables=["his-alias"]))
    yield site, server
    drops = "".join(f'DROP TABLE "{name}";' for (name,) in server.execute("his", LAID))
    server.execute("his", f"{drops} TRUNCATE visit; INSERT INTO visit TABLE visit_then; DROP TABLE visit_then")


def test_a_table_is_laid_beside_the_live_one_and_the_changes_are_counted(
    damaged: tuple[Site, PostgresServer],
) -> None:
    site, server = damaged
    words = ("restore", "his", "--table", "visit", "--to", "connection:his-alias")
    # the point is as of its instant, told in the site's zone
    at = datetime.fromisoformat(site.json("points", "his")["points"][-1]["consistent_at"])
    laid_as = f"visit__drmgr_{at.astimezone(ZoneInfo('Asia/Shanghai')):%Y%m%d_%H%M}"
    planned = site.json(*words, "--dry-run")
    assert planned["tables"] == [{"table": "visit", "laid_as": laid_as}]
    document = site.json(*words, *SURE)
    (table,) = document["tables"]
    assert (document["status"], document["verified"]["level"]) == ("ok", 4)
    assert (table["table"], table["laid_as"], table["rows"]) == ("public.visit", f"public.{laid_as}", VISITS)
    counts = {"before": VISITS, "now": VISITS - 1, "added": 1, "removed": 2, "changed": 3}
    assert {name: table["changes"][name] for name in counts} == counts
    # the very rows of then, and the live ones as they were
    difference = f"SELECT count(*) FROM (TABLE visit_then EXCEPT TABLE {laid_as}) d"
    assert server.execute("his", difference) == [(0,)]
    assert server.execute("his", f"SELECT count(*) FROM {laid_as}") == [(VISITS,)]
    assert server.execute("his", "SELECT count(*) FROM visit") == [(VISITS - 1,)]
    # what is printed to look at the differences finds as many
    for kind in ("added", "removed", "changed"):
        assert len(server.execute("his", table["sql"][kind])) == counts[kind]
    envelope = json.loads((site.directory / document["evidence"]).read_text())
    checks = json.loads(base64.b64decode(envelope["payload"]))["predicate"]["checks"]
    sealed = {check["name"]: check for check in checks}
    assert sealed["changes-public.visit"]["actual"] == counts
    assert sealed["table-public.visit"]["actual"] == sealed["table-public.visit"]["expected"]
    # it goes as it came
    server.execute("his", table["sql"]["drop"])
    assert server.execute("his", LAID) == []
    # of a table that is gone it says how to put the laid one in its place, and so does the report
    assert table["sql"]["place"] == []
    server.execute("his", "GRANT SELECT ON visit TO drmgr")
    site.json("backup", "his")
    server.execute("his", "DROP TABLE visit")
    done = site.json(*words, *SURE, code=4)
    (gone,) = done["tables"]
    place = gone["sql"]["place"]
    assert gone["changes"] is None and place[0].endswith('RENAME TO "visit";')
    assert "GRANT SELECT ON TABLE public.visit TO drmgr;" in "".join(place).replace('"', "")
    pdf = site.json("report", "incident", done["run"])["report"]
    text = subprocess.run(["pdftotext", "-layout", pdf, "-"], capture_output=True, text=True, check=True).stdout
    assert 'RENAME TO "visit"' in text
    for statement in place:
        server.execute("his", statement)
    assert server.execute("his", "SELECT count(*) FROM visit") == [(VISITS - 1,)]


def test_without_permission_confirmation_or_reason_nothing_is_laid(damaged: tuple[Site, PostgresServer]) -> None:
    site, server = damaged
    words = ("restore", "his", "--table", "visit", "--to")
    refused = site.json(*words, "original", *SURE, code=13)["error"]
    assert "restore.allow.tables" in refused["hint"]
    assert site.runs()[-1] == Recorded("restore", "his", "failed", "not-allowed")
    for missing in (SURE[:2], SURE[2:]):
        assert site.json(*words, "connection:his-alias", *missing, code=13)["error"]["code"] == "not-allowed"
    assert server.execute("his", LAID) == []


def test_the_times_of_the_fault_are_those_that_people_tell(damaged: tuple[Site, PostgresServer]) -> None:
    site, _ = damaged
    words = ("restore", "his", "--table", "visit", "--to", "connection:his-alias", *SURE)
    nobody = site.json(*words)
    assert (nobody["times"]["t0"], nobody["counted_from"], nobody["rto"]["met"]) == (None, "begun", None)
    fault = datetime.now(ZoneInfo("Asia/Shanghai")) - timedelta(minutes=90)
    told = site.json(*words, "--fault-at", f"{fault:%Y-%m-%d %H:%M:%S}")
    assert (told["times"]["t0"] or "")[:19] == f"{fault:%Y-%m-%dT%H:%M:%S}"
    assert told["counted_from"] == "t0"
    assert told["rto"]["measured"] >= 90 * 60 > told["seconds"]
    clash = site.refused(2, *words, "--fault-at", f"{fault:%Y-%m-%d %H:%M}", "--occasion", "drill")
    assert "belong to an incident" in clash["message"]
