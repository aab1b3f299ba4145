"""Nothing of a patient gets into what drmgr writes: marked patients are planted, everything goes wrong, all is searched."""

import io
import json
import shutil
import subprocess
import zipfile
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from drmgr.cli.demo import write_site
from drmgr.demo.hospital import Hospital
from drmgr.demo.vocabulary import MARKED
from tests.support.folders import passable_directory
from tests.support.robot import robot
from tests.support.site import Answer, Site

SYSTEMS = ["lis", "opd-emr", "queue"]
THEIR_OWN = ("database", "database.log", "mariadb", "files", "objectstore", "jobs")
"""What belongs to the hospital itself: there patients are. And the jobs, for a check here asks for one by name."""

MARKS = [mark for marked in MARKED.values() for mark in marked] + [f"P{number:08d}" for number in MARKED]
# servers' own messages know no characters of four bytes: they tell such a name without its last one
MARKS += [name[:-1] for name, *_ in MARKED.values()]
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
        site.edit(allow_incidents)
        plant_refusals(hospital)
        yield site, hospital


def named(number: int, check: dict[str, Any]) -> dict[str, Any]:
    text = str(check["sql"]).replace("%s", MARKED[3][0])
    title = {"zh": "粗心", "en": "careless"}
    return {"name": f"careless-{number}", "title": title, "source": "main", **check, "sql": text}


def add_checks(site: Site, system: str, checks: list[dict[str, Any]]) -> None:
    site.edit(lambda job: job["checks"].extend(checks), f"jobs/{system}.yaml")


def allow_incidents(document: Any) -> None:
    """The owner of the HIS may lay tables there, and the queue may be restored in its own place."""
    owner = {"user": "his_owner", "password": "file:secrets/his_owner"}
    document["connections"]["his-owner"] = {**document["connections"]["his-main"], **owner}
    document["restore"]["allow"].update(tables=["his-main", "queue-main"], original=["queue"])
    document["restore"]["through"] = {"his-main": "his-owner"}


def plant_refusals(hospital: Hospital) -> None:
    """Rules that hold in production while the backups are made."""
    with hospital.production.database("lis").open() as session:
        ((number,),) = session.ask("SELECT system_identifier FROM pg_control_system()")
        session.run(
            "CREATE FUNCTION allowed(text) RETURNS boolean LANGUAGE sql AS "
            f"'SELECT system_identifier = {number} FROM pg_control_system()'"
        )
        session.run("ALTER TABLE lab_request ADD CONSTRAINT known CHECK (allowed(patient_name))")
    with hospital.production.database("his").open() as session:
        session.run("CREATE DOMAIN person AS text")
        session.run("ALTER TABLE patient ALTER COLUMN name TYPE person")
    with hospital.production.database("opd-emr").open() as session:
        session.run("CREATE TABLE marked (name VARCHAR(60) PRIMARY KEY)")
        session.run(f"INSERT INTO marked VALUES ('{MARKED[3][1]}')")


def refuse_a_key(hospital: Hospital) -> None:
    """A unique key that holds on this server alone: on another all rows have one value, and the server quotes it."""
    with hospital.production.database("lis").open() as session:
        session.run("ALTER TABLE lab_request DROP CONSTRAINT known")
        ((number,),) = session.ask("SELECT system_identifier FROM pg_control_system()")
        session.run(
            "CREATE FUNCTION once(name text, id bigint) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN "
            f"IF (SELECT system_identifier FROM pg_control_system()) = {number} THEN RETURN name || id; END IF; "
            f"RETURN '{MARKED[3][0]}'; END $$"
        )
        session.run("CREATE UNIQUE INDEX marked_once ON lab_request (once(patient_name, id))")


def refuse_the_name(hospital: Hospital) -> None:
    """From now on the living database takes no such name any more, and quotes the line of COPY that holds it."""
    with hospital.production.database("his").open() as session:
        session.run(f"ALTER DOMAIN person ADD CHECK (VALUE <> '{MARKED[3][0]}') NOT VALID")


def load_a_row_twice(site: Site) -> None:
    """A client of MariaDB that adds to the end of a dump what is there already: the server quotes the entry."""
    client, again = site.directory / "clients/mariadb", "INSERT INTO marked SELECT * FROM marked;"
    client.parent.mkdir()
    client.write_text(f"#!/bin/sh\nsed '/^-- Dump completed/i {again}' | {shutil.which('mariadb')} \"$@\"\n")
    client.chmod(0o755)
    site.edit(lambda document: document["connections"]["opd-emr-main"].update(binaries=str(client.parent)))


def error_of(answer: Answer) -> str:
    return f"{answer.error['code']}: {answer.error['message']}"


def in_an_incident(site: Site, hospital: Hospital) -> list[Answer]:
    """Everything that a server may quote on the way back, and what is written of an incident."""
    refuse_a_key(hospital)
    refuse_the_name(hospital)
    load_a_row_twice(site)
    told = [site.run("backup", "lis"), site.run("restore", "lis", "--to", "scratch", "--json")]
    told.append(site.run("restore", "opd-emr", "--to", "scratch", "--json"))
    sure = ("--reason", "rows changed", "--confirm")
    told.append(site.run("restore", "his", "--table", "patient", "--to", "original", *sure, "his", "--json"))
    assert [answer.code for answer in told] == [0, 22, 22, 22]
    # each was refused for the very row that the server then quotes
    expected = ("could not create unique index", "a value that must be unique comes twice", "violates check constraint")
    for answer, words in zip(told[1:], expected, strict=True):
        assert words in error_of(answer), answer
    with hospital.production.database("queue").open() as session:
        session.run("UPDATE queue_ticket SET fee = fee + 1")
    laid = site.run("restore", "queue", "--table", "queue_ticket", "--to", "original", *sure, "queue")
    assert " changed" in laid.out, laid
    swapped = site.run("restore", "queue", "--to", "original", "--accept-failed-checks", *sure, "queue", "--json")
    run = str(swapped.document["run"])
    told += [laid, swapped, site.run("report", "incident", run)]
    assert told[-1].code == 0, told[-1]
    return told


def in_the_morning(site: Site) -> list[Answer]:
    """Alarms, figures, the quarter's report, runbooks; all that was sent counts as printed."""
    with robot() as (port, heard, _):
        secret = site.directory / "secrets/duty"
        secret.write_text(f"json://127.0.0.1:{port}/duty")
        secret.chmod(0o600)
        site.edit(lambda document: document.update(notify={"to": [{"name": "duty", "url": "file:secrets/duty"}]}))
        told = [site.run("notify", "check")]
    assert heard, told
    told.append(Answer(0, b"".join(heard).decode(), ""))
    now = datetime.now(UTC)
    told += [site.run("metrics"), site.run("report", "quarter", f"{now.year}Q{(now.month + 2) // 3}")]
    told += [site.run("report", "runbook", system) for system in ("his", *SYSTEMS)]
    assert {answer.code for answer in told[2:]} == {0}, told
    return told


def test_no_mark_of_a_patient_is_in_anything_that_drmgr_leaves(leaky: tuple[Site, Hospital]) -> None:
    site, hospital = leaky
    with hospital.production.database("lis").open() as session:
        planted = [row for row in session.ask("SELECT patient_name FROM lab_request") if row[0] in MARKS]
    assert planted, "no marked patient has a lab request"
    # both cost next to nothing to open, as they must in so many commands
    site.init_keys()
    site.init_repositories()
    told: list[Answer] = [site.run("backup", "--all")]
    assert told[0].code == 0, told
    drilled = site.run("drill", "run", "--all", "--json")
    told += [drilled, site.run("drill", "run", "queue-restore")]
    told += in_an_incident(site, hospital)
    told += in_the_morning(site)
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
    looked: Counter[str] = Counter()
    for path in files_below(site.directory):
        assert_no_mark(str(path), path.read_bytes())
        looked[path.suffix] += 1
        for part, content in unpacked(path):
            assert len(content) > 0
            assert_no_mark(f"{part} of {path}", content)
    assert looked.total() > 30
    assert looked[".pdf"] >= 10 and looked[".xlsx"] == 1 and looked[".jsonl"] >= 1


def files_below(root: Path) -> Iterator[Path]:
    """Every file but the hospital's own: catalog, audit log, evidence, reports, caches, leftovers, encrypted backups."""
    for entry in root.iterdir():
        if entry.name not in THEIR_OWN:
            yield from [entry] if entry.is_file() else (path for path in entry.rglob("*") if path.is_file())


def unpacked(path: Path) -> Iterator[tuple[str, bytes]]:
    """What lies in a file that keeps its texts packed: the pages of a report, the sheets of a workbook."""
    if path.suffix == ".pdf":
        text = subprocess.run(["pdftotext", "-layout", path, "-"], capture_output=True, check=True).stdout
        assert len(text) > 1000
        yield "the text", text
    if path.suffix == ".xlsx":
        with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
            yield from ((name, archive.read(name)) for name in archive.namelist())


def assert_no_mark(where: str, content: bytes) -> None:
    found = [way for way in WAYS if way in content]
    assert not found, f"{where} holds {found[0]!r}: {content[max(0, content.index(found[0]) - 200) :][:400]!r}"


def test_the_search_would_find_a_mark(leaky: tuple[Site, Hospital], tmp_path: Path) -> None:
    del leaky
    for text in (f"name {MARKED[3][0]} x", json.dumps({"name": MARKED[5][0]})):
        with pytest.raises(AssertionError, match="holds"):
            assert_no_mark("here", text.encode())
