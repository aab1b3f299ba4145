"""The hospital on its real servers: filled, changed, read by the backup role, kept and ended."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from ruamel.yaml import YAML

from drmgr.config import models
from drmgr.demo.catching_up import Told, fill_all
from drmgr.demo.hospital import Hospital, clear, stop_kept
from drmgr.demo.server import runs
from drmgr.demo.sessions import Session, one
from drmgr.demo.systems import FOLDERS, HOMES
from drmgr.errors import PreflightError, SourceError
from drmgr.model import Json
from drmgr.system.command import Runner

JOBS = Path(__file__).parents[3] / "jobs"
SOURCES = {"his": "his-main", "pacs": "pacs-index"}


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    with Hospital(tmp_path_factory.mktemp("hospital"), scale="0.3") as running:
        running.fill(datetime.now(UTC) - timedelta(hours=1))
        yield running


def answer(hospital: Hospital, system: str, question: str) -> Json:
    """As the site file's connection says: the backup role, over the socket, with the password of the file."""
    reach = hospital.connections()[SOURCES[system]]
    password = (hospital.directory / reach["password"].removeprefix("file:")).read_text()
    with psycopg.connect(
        host=reach["host"], port=reach["port"], dbname=reach["database"], user=reach["user"], password=password
    ) as connection:
        ((value,),) = connection.execute(question.encode()).fetchall()
        return value


def wrong_checks(hospital: Hospital) -> list[str]:
    """Every check of every job, asked of the living systems, each on its own engine."""
    wrong = []
    for system in hospital.systems:
        job = models.Job.model_validate(YAML(typ="safe").load(JOBS / f"{system}.yaml"))
        with hospital.production.database(system).open() as session:
            wrong += [f"{system}/{check.name}" for check in job.checks if not holds(session, check)]
    return wrong


def holds(session: Session, check: models.Check) -> bool:
    if isinstance(check, models.RowsCheck):
        found = {"|".join(map(str, row)) for row in session.ask(check.sql)}
        return found == set(map(str, check.baseline))
    if isinstance(check, models.SqlCheck):
        expect, actual = check.expect, one(session, check.sql)
        value = one(session, expect.value) if expect.rule == "equals_sql" else expect.value
        return bool(actual >= value if expect.rule == "at_least" else actual == value)
    return True


def test_the_checks_hold_before_and_after_changes(hospital: Hospital) -> None:
    assert wrong_checks(hospital) == []
    files = len(list(hospital.images.rglob("*.dcm")))

    now = datetime.now(UTC)
    came = hospital.change(now)

    assert wrong_checks(hospital) == []
    assert set(came) == set(HOMES)
    assert min(came["his"][table] for table in ("visit", "medical_order", "charge", "payment")) > 0
    assert min(sum(counts.values()) for counts in came.values()) > 0
    assert len(list(hospital.images.rglob("*.dcm"))) == files + came["pacs"]["files"] > files
    assert answer(hospital, "pacs", "SELECT count(*) FROM image") == files + came["pacs"]["files"]
    newest = answer(hospital, "his", "SELECT max(charged_at) FROM charge")
    assert now - timedelta(hours=1) < newest <= now

    # a change right after a change, with next to no time between
    hospital.change(datetime.now(UTC))
    assert wrong_checks(hospital) == []


def contents(directory: Path, now: datetime, workers: int) -> dict[str, str]:
    """A hash of every table and every file of a hospital that so many processes have filled."""
    found: dict[str, str] = {}
    with Hospital(directory, scale="0.1", workers=workers) as hospital:
        counts = hospital.fill(now)
        for system in hospital.systems:
            with hospital.production.database(system).open() as session:
                for table in filter(lambda name: name != "files", counts[system]):
                    rows = "\n".join(sorted(map(repr, session.ask(f"SELECT * FROM {table}"))))
                    found[f"{system}/{table}"] = hashlib.sha256(rows.encode()).hexdigest()
        for root in FOLDERS.values():
            for path in filter(Path.is_file, (directory / root).rglob("*")):
                found[str(path.relative_to(directory))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def test_any_number_of_processes_writes_the_same_hospital(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    alone = contents(tmp_path / "alone", now, 1)
    assert len({name.split("/")[0] for name in alone}) >= len(HOMES)
    assert contents(tmp_path / "two", now, 2) == alone


def test_a_process_that_does_not_end_well_is_told(tmp_path: Path) -> None:
    with Hospital(tmp_path, systems=["lis"], workers=2) as hospital:
        # the worker finds a table there already
        hospital.production.create("lis")
        with hospital.production.database("lis").open() as session:
            session.run("CREATE TABLE lab_request (id INT)")
        with pytest.raises(SourceError, match="ended too early"):
            told = Told(datetime.now(UTC), 1)
            fill_all(hospital.production, tmp_path, ["lis"], told, workers=2, runner=Runner())


def test_the_backup_role_reads_all_and_writes_nothing(hospital: Hospital) -> None:
    assert answer(hospital, "his", "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        answer(hospital, "his", "DELETE FROM charge RETURNING 1")


def test_the_database_listens_on_no_network_and_wants_passwords(hospital: Hospital) -> None:
    assert answer(hospital, "his", "SHOW listen_addresses") == ""
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(host=str(hospital.database.socket), dbname="his", user="his_owner", password="guess")
    with pytest.raises(SourceError, match="no role"):
        hospital.database.password("nobody")


def test_new_rows_get_ids_of_their_own(hospital: Hospital) -> None:
    with hospital.database.connect("his", "his_owner") as connection:
        insert = b"INSERT INTO department (code, name, kind) VALUES ('D99', '', '') RETURNING id"
        number = connection.execute(insert).fetchone()
        connection.rollback()

    assert number == (10,)


def test_secrets_are_for_their_owner_alone(hospital: Hospital) -> None:
    files = list((hospital.directory / "secrets").iterdir())

    assert {"drmgr", "s3-access-key", "s3-secret-key"} <= {file.name for file in files}
    assert not [file.name for file in files if file.stat().st_mode & 0o077]


def test_a_kept_hospital_stays_up_until_it_is_ended(tmp_path: Path) -> None:
    with Hospital(tmp_path, keep=True, systems=["queue", "nis"]) as kept:
        pass
    try:
        with kept.database.connect("postgres", "postgres") as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        home = (tmp_path / "database").resolve()
    finally:
        ended = stop_kept(tmp_path)

    assert len(ended) == 3
    assert not home.exists()
    assert stop_kept(tmp_path) == ()
    assert "database system is shut down" in (tmp_path / "database.log").read_text()


@pytest.mark.parametrize("keep", [False, True])
def test_a_story_that_breaks_off_leaves_no_servers(tmp_path: Path, *, keep: bool) -> None:
    with pytest.raises(KeyboardInterrupt), Hospital(tmp_path, keep=keep, systems=["nis"]) as hospital:
        home = hospital.database.socket.parent
        postmaster = int((home / "data" / "postmaster.pid").read_text().splitlines()[0])
        assert runs(postmaster, str(home))
        raise KeyboardInterrupt

    assert not runs(postmaster, str(home))
    assert not home.exists()
    assert stop_kept(tmp_path) == ()
    assert "database system is shut down" in (tmp_path / "database.log").read_text()


def test_a_directory_is_used_again_only_after_it_was_cleared(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    for _ in range(2):
        with Hospital(tmp_path, scale="0.1", systems=["pacs"]) as hospital:
            assert hospital.fill(datetime.now(UTC))["pacs"]["image"] > 0
            assert answer(hospital, "his", "SELECT count(*) FROM visit") == 32
        with pytest.raises(PreflightError, match="already holds"):
            Hospital(tmp_path)
        clear(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
