"""Nothing of a patient gets into what drmgr writes: marked patients are planted, everything goes wrong, all is searched."""

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from drmgr.cli.demo import write_site
from drmgr.demo.hospital import Hospital
from drmgr.demo.vocabulary import MARKED
from tests.support.folders import passable_directory
from tests.support.site import Answer, Site

SYSTEMS = ["lis", "opd-emr", "queue"]
THEIR_OWN = ("database", "database.log", "mariadb", "files", "objectstore", "jobs")
"""What belongs to the hospital itself: there patients are. And the jobs, for a check here asks for one by name."""

MARKS = [mark for marked in MARKED.values() for mark in marked] + [f"P{number:08d}" for number in MARKED]
WAYS = [
    way
    for mark in MARKS
    for way in (mark.encode(), mark.encode("utf-16-le"), mark.encode("gb18030"), json.dumps(mark)[1:-1].encode())
]

TELLING_CHECKS: dict[str, list[dict[str, Any]]] = {
    "his": [
        {"kind": "rows", "sql": "SELECT name, identity_no, phone FROM patient WHERE id < 10 ORDER BY id"},
        {"kind": "sql", "sql": "SELECT max(name) FROM patient WHERE id = 3", "expect": {"equals": 0}},
        {"kind": "sql", "sql": "SELECT max(phone) FROM patient WHERE id = 5", "expect": {"at_most": 0}},
        {"kind": "sql", "sql": "SELECT CAST(name AS INTEGER) FROM patient WHERE id = 3", "expect": {"equals": 0}},
        {"kind": "sql", "sql": "SELECT 1 FROM patient WHERE name = '%s' AND nosuch", "expect": {"equals": 0}},
    ],
    "opd-emr": [
        {"kind": "rows", "sql": "SELECT record_no, patient_name FROM outpatient_note"},
        {"kind": "sql", "sql": "SELECT max(patient_name) FROM outpatient_note", "expect": {"equals": 0}},
        {"kind": "sql", "sql": "SELECT nosuch('%s') FROM outpatient_note", "expect": {"equals": 0}},
    ],
    "queue": [
        {"kind": "rows", "sql": "SELECT patient_name FROM queue_ticket"},
        {"kind": "sql", "sql": "SELECT max(patient_name) FROM queue_ticket", "expect": {"equals": 0}},
    ],
}
"""Checks of a careless engineer: each would tell of a patient if it could."""


@pytest.fixture(scope="module")
def leaky() -> Iterator[tuple[Site, Hospital]]:
    """A hospital whose site has careless checks, and whose laboratory cannot be loaded: its server quotes the row."""
    with passable_directory() as directory, Hospital(directory / "d", scale="0.3", systems=SYSTEMS) as hospital:
        hospital.fill(datetime.now(UTC) - timedelta(hours=1))
        site = Site(hospital.directory)
        write_site(hospital, site.config)
        site.temporary.mkdir(mode=0o711)
        site.edit(lambda document: document.update(store={"kind": "folder", "path": "repositories"}))
        # a dump is loaded row by row here, and a row that is refused is quoted by the server
        site.edit(lambda document: document["connections"]["his-main"].update(method="logical", data_directory=None))
        for system, checks in TELLING_CHECKS.items():
            add_checks(site, system, [named(number, check) for number, check in enumerate(checks)])
        plant_a_refusal(hospital)
        yield site, hospital


def named(number: int, check: dict[str, Any]) -> dict[str, Any]:
    text = str(check["sql"]).replace("%s", MARKED[3][0])
    title = {"zh": "粗心", "en": "careless"}
    return {"name": f"careless-{number}", "title": title, "source": "main", **check, "sql": text}


def add_checks(site: Site, system: str, checks: list[dict[str, Any]]) -> None:
    site.edit(lambda job: job["checks"].extend(checks), f"jobs/{system}.yaml")


def plant_a_refusal(hospital: Hospital) -> None:
    """Holds in production; while the dump is loaded, the table that it looks into is still empty."""
    with hospital.production.database("lis").open() as session:
        session.run("CREATE TABLE zz_flag (id BIGINT)")
        session.run("INSERT INTO zz_flag VALUES (1)")
        session.run(
            "CREATE FUNCTION allowed(text) RETURNS boolean LANGUAGE sql AS 'SELECT EXISTS (SELECT 1 FROM public.zz_flag)'"
        )
        session.run("ALTER TABLE lab_request ADD CHECK (allowed(patient_name))")


def test_no_mark_of_a_patient_is_in_anything_that_drmgr_leaves(leaky: tuple[Site, Hospital]) -> None:
    site, hospital = leaky
    with hospital.production.database("lis").open() as session:
        planted = [row for row in session.ask("SELECT patient_name FROM lab_request") if row[0] in MARKS]
    assert planted, "no marked patient has a lab request"
    told: list[Answer] = [site.run(*words) for words in (["keys", "init"], ["repo", "init"], ["backup", "--all"])]
    assert [answer.code for answer in told] == [0, 0, 0], told
    drilled = site.run("drill", "run", "--all", "--json")
    told += [drilled, site.run("drill", "run", "queue-restore")]
    told.append(site.run("restore", "lis", "--to", "scratch"))
    told += [site.run(*words) for words in (["evidence", "verify", "--all"], ["audit", "show"])]

    document = drilled.document
    verdicts = {drill["drill"]: drill["verdict"] for drill in document["drills"]}
    assert set(verdicts.values()) <= {"failed", "error"}
    by_name = {
        check["name"]: check for drill in document["drills"] for each in drill["systems"] for check in each["checks"]
    }
    # each way to leak was really tried: a row that the server quotes, keys, values, and errors that quote a value
    errors = {drill["drill"]: each["error"] for drill in document["drills"] for each in drill["systems"]}
    assert errors["lis-restore"]["code"] == "load"
    assert by_name["careless-3"]["status"] == "error"
    assert len(by_name["careless-0"]["actual"]["rows"]) > 0
    for number, answer in enumerate(told):
        assert_no_mark(f"what command {number} printed", (answer.out + answer.err).encode())
    looked = 0
    for path in files_below(site.directory):
        assert_no_mark(str(path), path.read_bytes())
        looked += 1
        if path.suffix == ".pdf":
            text = subprocess.run(["pdftotext", "-layout", path, "-"], capture_output=True, check=True).stdout
            assert len(text) > 1000
            assert_no_mark(f"the text of {path}", text)
    assert looked > 30


def files_below(root: Path) -> Iterator[Path]:
    """Every file but the hospital's own: catalog, audit log, evidence, reports, caches, leftovers, encrypted backups."""
    for entry in root.iterdir():
        if entry.name not in THEIR_OWN:
            yield from [entry] if entry.is_file() else (path for path in entry.rglob("*") if path.is_file())


def assert_no_mark(where: str, content: bytes) -> None:
    found = [way for way in WAYS if way in content]
    assert not found, f"{where} holds {found[0]!r}: {content[max(0, content.index(found[0]) - 200) :][:400]!r}"


def test_the_search_would_find_a_mark(leaky: tuple[Site, Hospital], tmp_path: Path) -> None:
    del leaky
    for text in (f"name {MARKED[3][0]} x", json.dumps({"name": MARKED[5][0]})):
        with pytest.raises(AssertionError, match="holds"):
            assert_no_mark("here", text.encode())
