"""BACKUP and RESTORE of the stand-in, with the errors that SQL Server gives."""

import re
import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from tests.support.tds import media
from tests.support.tds.devices import FileDevice, NoDevice, ObjectDevice, open_device
from tests.support.tds.media import Damaged, Medium, NoBackup
from tests.support.tds.server import Breath, Piece, Rows, Say, Session
from tests.support.tds.store import LSN_STEP, Database, Standing, Store
from tests.support.tds.wire import Column

TYPES = {"full": 1, "log": 2, "differential": 5}
OPTIONS = {
    "FORMAT",
    "INIT",
    "CHECKSUM",
    "STOP_ON_ERROR",
    "STATS = 1",
    "COPY_ONLY",
    "COMPRESSION",
    "NO_COMPRESSION",
    "DIFFERENTIAL",
}
MOVED = re.compile(r"MOVE N'((?:[^']|'')*)' TO N'((?:[^']|'')*)'")
OF_OBJECTS = (OPTIONS - {"INIT", "STOP_ON_ERROR"}) | {
    "MAXTRANSFERSIZE = 20971520",
    """BACKUP_OPTIONS = N'{"s3": {"region": "cn-north-1"}}'""",
}
"""What BACKUP TO URL takes."""


class Refused(Exception):
    """The errors that a statement ends with."""

    def __init__(self, *says: Say) -> None:
        super().__init__(*says)
        self.says = says


def ended(act: str) -> Say:
    return Say(3013, 16, f"{act} is terminating abnormally.")


def _database(store: Store, name: str, act: str) -> Database:
    name = name.replace("]]", "]")
    if name not in store.databases:
        raise Refused(Say(911, 16, f"Database '{name}' does not exist."), ended(act))
    return store.databases[name]


def _device(store: Store, kind: str, path: str, act: str, *, must_exist: bool) -> FileDevice | ObjectDevice:
    path = path.replace("''", "'")
    try:
        return open_device(store, kind, path, must_exist=must_exist)
    except NoDevice as failure:
        raise Refused(Say(3201, 16, f"Cannot open backup device '{path}'. {failure}."), ended(act)) from None


def _file(store: Store, kind: str, path: str, act: str) -> FileDevice | ObjectDevice:
    return _device(store, kind, path, act, must_exist=True)


def backup(
    store: Store, _session: Session, what: str, name: str, kind_of: str, path: str, options: str, label: str, note: str
) -> Iterator[Piece]:
    act = f"BACKUP {what}"
    chosen = set(options.split(", "))
    unknown = chosen - (OPTIONS if kind_of == "DISK" else OF_OBJECTS)
    if unknown or ("MAXTRANSFERSIZE = 20971520" in chosen and "COMPRESSION" not in chosen):
        raise Refused(Say(155, 15, f"{sorted(unknown)} is not a recognized BACKUP option."))
    database = _database(store, name, act)
    kind = "log" if what == "LOG" else ("differential" if "DIFFERENTIAL" in chosen else "full")
    copy_only = "COPY_ONLY" in chosen
    _refuse_kind(database, kind, act, copy_only=copy_only)
    device = _device(store, kind_of, path, act, must_exist=False)
    device.begin()
    for percent in (10, 50, 90):
        yield Say(3211, 0, f"{percent} percent processed.")
        yield Breath()
    with store.lock:
        header, medium = _made(store, database, kind, copy_only=copy_only)
        header["BackupName"], header["BackupDescription"] = label, note
        device.end(medium)
        store.history.append({**header, "path": path})
    yield Say(3211, 0, "100 percent processed.")
    yield Say(3014, 0, f"{act} successfully processed 402 pages in 0.1 seconds (31.2 MB/sec).")


def _refuse_kind(database: Database, kind: str, act: str, *, copy_only: bool) -> None:
    if kind == "log" and database.model == "SIMPLE":
        text = "The statement BACKUP LOG is not allowed while the recovery model is SIMPLE."
        raise Refused(Say(4208, 16, text), ended(act))
    if kind == "log" and database.log_start is None:
        text = "BACKUP LOG cannot be performed because there is no current database backup."
        raise Refused(Say(4214, 16, text), ended(act))
    if kind == "differential" and database.base is None:
        text = "Cannot perform a differential backup, because a current database backup does not exist."
        raise Refused(Say(3035, 16, text), ended(act))
    secondary = database.primary == 0
    if secondary and (kind == "differential" or (kind == "full") != copy_only):
        raise Refused(
            Say(3059, 16, "This BACKUP or RESTORE command is not supported on a database mirror."), ended(act)
        )


def _made(store: Store, database: Database, kind: str, *, copy_only: bool) -> tuple[dict[str, Any], Medium]:
    """The header and content of a backup of now."""
    first = database.lsn
    if kind == "log":
        assert database.log_start is not None
        first = database.log_start
    elif not database.commits or database.commits[-1].lsn != database.lsn - LSN_STEP:
        # the checkpoint of the backup itself
        database.lsn += LSN_STEP
    last = database.lsn
    set_id, base = str(uuid.uuid4()), ""
    if kind == "differential":
        assert database.base is not None
        base = database.base[0]
    commits = tuple(each for each in database.commits if first <= each.lsn < last) if kind == "log" else ()
    if kind == "full" and not copy_only:
        database.base = (set_id, last)
        database.log_start = database.log_start or last
    if kind == "log" and not copy_only:
        database.log_start = last
    local: datetime = (store.now() + store.offset).replace(microsecond=0)
    header = {
        "BackupType": TYPES[kind],
        "DatabaseName": database.name,
        "FirstLSN": first,
        "LastLSN": last,
        "CheckpointLSN": first,
        "BackupStartDate": local,
        "BackupSize": 4096,
        "FamilyGUID": database.family,
        "RecoveryForkID": database.fork,
        "BackupSetGUID": set_id,
        "DifferentialBaseGUID": base or None,
        "SoftwareVersionMajor": int(store.version.split(".")[0]),
        "IsCopyOnly": copy_only,
        "HasBackupChecksums": True,
        "IsDamaged": False,
        "RecoveryModel": database.model,
        "Collation": database.collation,
        "DatabaseBytes": store.database_bytes,
        "Files": database.files,
        "Users": list(database.users),
        "Owner": database.standing.owner,
    }
    return header, Medium(header, {} if kind == "log" else dict(database.tables), commits)


HEADER = [
    *(Column("BackupName", "text"), Column("BackupDescription", "text"), Column("BackupType", "int")),
    *(Column("DatabaseName", "text"), Column("FirstLSN", "decimal"), Column("LastLSN", "decimal")),
    *(Column("CheckpointLSN", "decimal"), Column("BackupStartDate", "datetime2"), Column("BackupSize", "decimal")),
    *(Column("FamilyGUID", "guid"), Column("RecoveryForkID", "guid"), Column("BackupSetGUID", "guid")),
    *(Column("DifferentialBaseGUID", "guid"), Column("SoftwareVersionMajor", "int"), Column("IsCopyOnly", "bit")),
    *(Column("HasBackupChecksums", "bit"), Column("IsDamaged", "bit"), Column("RecoveryModel", "text")),
]


def _read(real: FileDevice | ObjectDevice, act: str) -> Medium:
    try:
        return media.read(real)
    except NoBackup:
        text = f"The media family on device '{real.name}' is incorrectly formed. SQL Server cannot process this media family."
        raise Refused(Say(3241, 16, text), ended(act)) from None
    except Damaged:
        text = f"RESTORE detected an error on page (0:0) in database as read from the backup set '{real.name}'."
        raise Refused(Say(3183, 16, text), ended(act)) from None


def header(store: Store, _session: Session, kind: str, path: str) -> Iterator[Piece]:
    real = _file(store, kind, path, "RESTORE HEADERONLY")
    try:
        found = media.read_header(real)
    except NoBackup:
        text = f"The media family on device '{path}' is incorrectly formed."
        raise Refused(Say(3241, 16, text), ended("RESTORE HEADERONLY")) from None
    yield Rows(HEADER, [[found[column.name] for column in HEADER]])


def file_list(store: Store, _session: Session, kind: str, path: str) -> Iterator[Piece]:
    found = media.read_header(_file(store, kind, path, "RESTORE FILELISTONLY"))
    columns = [Column("LogicalName", "text"), Column("PhysicalName", "text"), Column("Type", "text")]
    columns += [Column("Size", "decimal"), Column("FileId", "bigint")]
    rows = [
        [
            logical,
            path,
            "L" if path.endswith("ldf") else "D",
            1024 if path.endswith("ldf") else found["DatabaseBytes"],
            number,
        ]
        for number, (logical, path) in enumerate(found["Files"].items(), 1)
    ]
    yield Rows(columns, rows)


def verify(store: Store, _session: Session, kind: str, path: str) -> Iterator[Piece]:
    _read(_file(store, kind, path, "VERIFY DATABASE"), "VERIFY DATABASE")
    yield Say(3262, 0, "The backup set on file 1 is valid.")


def restore(
    store: Store, session: Session, name: str, kind: str, path: str, moves: str, *_last: str
) -> Iterator[Piece]:
    act, name = "RESTORE DATABASE", name.replace("]]", "]")
    medium = _read(_file(store, kind, path, act), act)
    found = medium.header
    if found["SoftwareVersionMajor"] > int(store.version.split(".")[0]):
        text = "The database was backed up on a server running a newer version. That version is incompatible."
        raise Refused(Say(3169, 16, text), ended(act))
    yield Say(3211, 0, "50 percent processed.")
    yield Breath()
    database = store.databases.get(name)
    if found["BackupType"] == TYPES["full"]:
        if database is not None:
            text = f"The backup set holds a backup of a database other than the existing '{name}' database."
            raise Refused(Say(3154, 16, text), ended(act))
        if not moves:
            raise Refused(Say(3156, 16, "File cannot be restored to its place. Use WITH MOVE."), ended(act))
        files = laid(store, name, found["Files"], moves)
        database = store.create(name, {}, model=found["RecoveryModel"], collation=found["Collation"], state="RESTORING")
        database.family, database.base = found["FamilyGUID"], (found["BackupSetGUID"], found["LastLSN"])
        database.files, database.users, database.dbo = files, tuple(found["Users"]), found["Owner"]
        database.standing = Standing(owner=session.login.user, broker=False)
    elif database is None or database.state != "RESTORING" or database.base is None:
        raise Refused(Say(3118, 16, f"The database '{name}' does not exist."), ended(act))
    elif database.base[0] != found["DifferentialBaseGUID"]:
        text = "This differential backup cannot be restored: the database is not in the correct earlier state."
        raise Refused(Say(3136, 16, text), ended(act))
    database.tables, database.redo = dict(medium.tables), found["LastLSN"]
    database.lsn = database.redo
    yield Say(3014, 0, f"{act} successfully processed 402 pages in 0.1 seconds (31.2 MB/sec).")


def laid(store: Store, name: str, files: dict[str, str], moves: str) -> dict[str, str]:
    """Where the files of a new database lie. No two databases share one."""
    moved = {logical.replace("''", "'"): path.replace("''", "'") for logical, path in MOVED.findall(moves)}
    for logical, path in ((logical, moved.get(logical, path)) for logical, path in files.items()):
        owner = next((each.name for each in store.databases.values() if path in each.files.values()), None)
        if owner is not None:
            text = f"The file '{path}' cannot be overwritten. It is being used by database '{owner}'."
            raise Refused(
                Say(1834, 16, text),
                Say(3156, 16, f"File '{logical}' cannot be restored to '{path}'."),
                ended("RESTORE DATABASE"),
            )
    return files | moved


def restore_log(
    store: Store,
    _session: Session,
    name: str,
    kind: str,
    path: str,
    how: str,
    stop: str | None,
    position: str | None,
) -> Iterator[Piece]:
    act = "RESTORE LOG"
    database = _database(store, name, act)
    medium = _read(_file(store, kind, path, act), act)
    first, last = medium.header["FirstLSN"], medium.header["LastLSN"]
    if database.state != "RESTORING":
        raise Refused(Say(3117, 16, "The log or differential backup cannot be restored."), ended(act))
    if first > database.redo:
        text = f"The log in this backup set begins at LSN {first}, which is too recent to apply to the database."
        raise Refused(Say(4305, 16, text), ended(act))
    if last < database.redo:
        text = f"The log in this backup set terminates at LSN {last}, which is too early to apply to the database."
        raise Refused(Say(4326, 16, text), ended(act))
    yield Say(3211, 0, "100 percent processed.")
    at = None if stop is None else datetime.fromisoformat(stop) - store.offset
    reached = position is not None and int(position) < last
    for commit in medium.commits:
        if commit.lsn < database.redo:
            continue
        if (at is not None and commit.time > at) or (position is not None and commit.lsn > int(position)):
            reached = True
            break
        database.replay(commit)
    database.redo = database.lsn = last
    stopping = at is not None or position is not None
    if reached or (how == "RECOVERY" and not stopping):
        database.recover()
    elif stopping:
        text = (
            "This log file contains records logged before the designated point in time. The database is left restoring."
        )
        yield Say(4342, 0, text)
    yield Say(3014, 0, f"{act} successfully processed 2 pages in 0.1 seconds (1.2 MB/sec).")


def msdb_logs(store: Store, _session: Session, name: str, first: str, last: str) -> Iterator[Piece]:
    columns = [Column("first_lsn", "decimal"), Column("last_lsn", "decimal"), Column("backup_finish_date", "datetime2")]
    columns += [Column("user_name", "text"), Column("physical_device_name", "text")]
    rows = [
        [row["FirstLSN"], row["LastLSN"], row["BackupStartDate"], row.get("user", "drmgr"), row["path"]]
        for row in store.history
        if row["DatabaseName"] == name
        and row["BackupType"] == TYPES["log"]
        and not row["IsCopyOnly"]
        and row["LastLSN"] > int(first)
        and row["FirstLSN"] < int(last)
    ]
    yield Rows(columns, rows)
