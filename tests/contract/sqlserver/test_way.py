"""The way to SQL Server: rights, silence, signals, certificates. On the stand-in."""

import signal
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from drmgr.engines.sqlserver import SqlServerConnection, SqlServerEngine
from drmgr.errors import (
    PreflightError,
    SourceError,
)
from drmgr.model import Level
from drmgr.system import mssql
from drmgr.system.mssql import Complaint, Server, act, connect
from drmgr.system.mssql_access import Share
from drmgr.system.secret import Secret
from tests.contract.sqlserver.conftest import new_place, watching
from tests.support.sqlserver import StandIn, make_certificate, stand_in
from tests.support.sqlserver_place import SqlServerPlace, passed
from tests.support.tds.server import Fault


def test_preflight_names_what_is_wrong(place: SqlServerPlace, tmp_path: Path) -> None:
    store, database = place.source.store, place.database
    place.engine.preflight()

    def refused(message: str, engine: SqlServerEngine | None = None) -> None:
        with pytest.raises(PreflightError, match=message):
            (engine or place.engine).preflight()

    store.rights.update(backup_database=0, create_any_database=0)
    refused("lacks 2 rights: BACKUP DATABASE on the database; CREATE ANY DATABASE")
    store.rights.clear()
    database.preferred = 0
    refused("not the one that the availability group of")
    database.preferred, database.state = 1, "SUSPECT"
    refused("is suspect, not online")
    database.state = "ONLINE"
    for name, value, message in (
        ("version", "11.0.7507.2", "older than 2014"),
        ("engine_edition", 5, "takes its own backups"),
    ):
        right = getattr(store, name)
        setattr(store, name, value)
        refused(message)
        setattr(store, name, right)
    elsewhere = replace(place.source.folder, local=tmp_path)
    refused("does not see in /backups", engine_on(place, share=elsewhere))
    refused("cannot be written", engine_on(place, share=replace(elsewhere, local=tmp_path / "nowhere")))
    refused("does not let user drmgr into the database nothing", engine_on(place, database="nothing"))
    bad = replace(place.source.access.server, password=Secret("wrong"))
    refused("refused the password of user drmgr", engine_on(place, server=bad))
    # after a bad password the client library still holds its number
    refused("no database server answers", engine_on(place, server=replace(bad, port=1)))
    refused("cannot be resolved", engine_on(place, server=replace(bad, host="nowhere.invalid")))
    place.engine.preflight()


def engine_on(place: SqlServerPlace, **changes: object) -> SqlServerEngine:
    access = place.source.access
    found = {"server": access.server, "database": place.database.name, "share": access.share} | changes
    connection = SqlServerConnection(**found)  # type: ignore[arg-type]
    return SqlServerEngine("his", connection, clock=place.clock, runtime=place.directory / "runtime")


def test_a_folder_by_its_unc_name_is_the_folder_that_this_host_mounts(servers: tuple[StandIn, StandIn]) -> None:
    source, scratch = servers
    unc = Share("\\\\nas\\drmgr$\\his", source.folder.local)
    source.store.folders[unc.server] = source.folder.local
    try:
        with new_place((replace(source, access=replace(source.access, share=unc)), scratch)) as place:
            place.engine.preflight()
            place.back_up()
            assert passed(place.restore(), Level.FACTS)
            ours = [text for text in source.server.statements if place.database.name in text and " TO DISK" in text]
            assert len(ours) == 2
            assert all(" TO DISK = N'\\\\nas\\drmgr$\\his\\drmgr-" in text for text in ours)
    finally:
        del source.store.folders[unc.server]


def test_logs_are_not_taken_from_a_replica_that_the_group_does_not_prefer(place: SqlServerPlace) -> None:
    place.back_up()
    place.database.preferred = 0
    with pytest.raises(PreflightError, match="not the one that the availability group of"):
        place.ship()
    place.database.preferred = 1
    assert place.ship().files == 1


# --- the way to the server ---


def test_a_silent_server_is_given_up(monkeypatch: pytest.MonkeyPatch, place: SqlServerPlace) -> None:
    # long enough for all that is answered on a busy machine
    quick = replace(place.source.access.server, silence=4)
    place.source.server.faults.append(Fault(r"BACKUP DATABASE \[", "silence", after=2))
    with pytest.raises(SourceError, match="the server fell silent"), engine_on(place, server=quick).capture():
        pass
    assert place.left() == []
    monkeypatch.setattr(mssql, "LOGIN_SECONDS", 1)
    place.source.server.mute = True
    try:
        with pytest.raises(PreflightError, match="did not answer within 1 s"):
            engine_on(place, server=quick).preflight()
    finally:
        place.source.server.mute = False


def test_a_signal_ends_the_backup_on_the_server_too(place: SqlServerPlace) -> None:
    class Stop(BaseException):
        pass

    def stop(*_arguments: object) -> None:
        raise Stop

    number = len(place.source.server.logins)
    statement = (
        f"/* drmgr: backup */ BACKUP DATABASE [{place.database.name}] TO DISK = N'/backups/x.bak' "
        "WITH FORMAT, NAME = N'x', DESCRIPTION = N'y'"
    )
    place.source.server.faults.append(Fault(r"BACKUP DATABASE \[", "wait", after=2))
    before = signal.signal(signal.SIGUSR1, stop)
    timers: list[threading.Timer] = []

    def strike(_text: str) -> None:
        # the server has the statement: from here on we wait for its answer
        timers.append(threading.Timer(0.2, lambda: signal.raise_signal(signal.SIGUSR1)))
        timers[0].start()

    try:
        with watching(place.source, r"BACKUP DATABASE \[", strike), pytest.raises(Stop):
            act(place.source.access.server, statement, lambda _text: None)
    finally:
        for timer in timers:
            timer.join()
        signal.signal(signal.SIGUSR1, before)
    session = place.source.server.logins[number]
    assert f"KILL {session.number}" in place.source.server.statements
    assert session.killed.is_set()


def test_the_server_proves_who_it_is_when_that_is_asked(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    with stand_in(tmp_path / "tls", certificate=certificate) as secure, stand_in(tmp_path / "open") as plain:
        good = replace(secure.access.server, tls="verify", ca=tmp_path / "ca.pem")
        connect(good).close()
        assert secure.server.logins[-1].secure
        (tmp_path / "other").mkdir()
        make_certificate(tmp_path / "other")
        refused: list[Server] = [
            replace(good, ca=tmp_path / "other" / "ca.pem"),
            replace(plain.access.server, tls="require"),
        ]
        for server in refused:
            with pytest.raises(Complaint):
                connect(server)
        assert plain.server.logins == []
