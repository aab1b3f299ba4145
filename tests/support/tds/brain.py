"""What the stand-in answers: only to the statements that drmgr sends, word for word. All else is a syntax error."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from tests.support.tds import hashing
from tests.support.tds.backups import Refused, backup, file_list, header, msdb_logs, restore, restore_log, verify
from tests.support.tds.laying import Laying
from tests.support.tds.places import Places
from tests.support.tds.server import Piece, Rows, Say, Session, UseDatabase
from tests.support.tds.store import Database, Store
from tests.support.tds.texts import NAME, TEXT, golden, text_of, unbracketed
from tests.support.tds.wire import Column

DEVICE = rf"(DISK|URL) = {TEXT}"
REGION = r"""RESTORE_OPTIONS = N'\{"s3": \{"region": "[a-z0-9-]+"\}\}'"""

Handler = Callable[..., Iterator[Piece]]


def _type_of(rows: list[list[Any]], at: int) -> str:
    return "text" if any(isinstance(row[at], str) for row in rows) else "bigint"


class Brain:
    """Answers for one store. ``kill`` ends another session."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.kill: Callable[[int], bool] = lambda _number: False
        self.is_there: Callable[[int], bool] = lambda _number: True
        self.places = Places(store)
        self._fixed: dict[str, Handler] = {
            golden("now"): self._now,
            golden("server"): self._server,
            golden("tables"): self._tables,
            golden("columns"): self._columns,
            golden("columns-before-2016"): self._columns,
            "SELECT DB_NAME() AS entered, CAST(@@SPID AS int) AS number": self._entered,
            golden("begin"): self._nothing,
            golden("undo"): self._nothing,
        }
        for name in ("columns", "indexes", "constraints", "modules", "others"):
            self._fixed[golden(f"structure-{name}")] = partial(self._structure, name)
        for name in ("principals", "members", "permissions"):
            self._fixed[golden(name)] = partial(self._structure, name)
        self._patterns: list[tuple[re.Pattern[str], Handler]] = [
            (re.compile(r"SET (LANGUAGE us_english|ARITHABORT ON);.*"), lambda session, _what: self._nothing(session)),
            (re.compile(rf"use {NAME}", re.IGNORECASE), self._use),
            (_pattern("database", TEXT), self._database),
            (_pattern("rights", TEXT, times=4), self._rights),
            (_pattern("file-exists", TEXT), self._file_exists),
            (
                re.compile(
                    r"/\* drmgr: credentials \*/ SELECT c\.name, c\.credential_identity FROM sys\.credentials AS c "
                    r"WHERE c\.name IN \((.*)\) ORDER BY LEN\(c\.name\) DESC"
                ),
                self._credentials,
            ),
            (
                re.compile(rf"/\* drmgr: occupied \*/ SELECT COUNT\(\*\) AS objects FROM {NAME}\.sys\.objects .*"),
                self._occupied,
            ),
            (re.compile(rf"/\* drmgr: count \*/ SELECT COUNT_BIG\(\*\) AS row_count FROM {NAME}\.{NAME}"), self._count),
            (
                re.compile(
                    r"/\* drmgr: fingerprint \*/ SELECT COUNT_BIG\(\*\) AS row_count, "
                    r"SUM\(CAST\(CAST\(SUBSTRING\(q\.h, 1, 7\) AS bigint\) AS decimal\(38, 0\)\)\) AS sum_1, "
                    r"SUM\(CAST\(CAST\(SUBSTRING\(q\.h, 8, 7\) AS bigint\) AS decimal\(38, 0\)\)\) AS sum_2 "
                    rf"FROM \(SELECT HASHBYTES\('SHA2_256', (.*)\) AS h FROM {NAME}\.{NAME}\) AS q"
                ),
                self._fingerprint,
            ),
            (re.compile(rf"/\* drmgr: newest \*/ SELECT MAX\({NAME}\) AS newest FROM {NAME}\.{NAME}"), self._newest),
            (
                re.compile(
                    r"/\* drmgr: column type \*/\nSELECT TYPE_NAME\(c\.system_type_id\) AS type_name FROM sys\.columns AS c\n"
                    rf"WHERE c\.object_id = OBJECT_ID\(N'{NAME}\.{NAME}'\) AND c\.name = {TEXT}"
                ),
                self._column_type,
            ),
            (
                re.compile(rf"/\* drmgr: databases \*/ SELECT .* WHERE d\.name LIKE {TEXT} ORDER BY d\.name"),
                self._databases,
            ),
            (
                re.compile(rf"/\* drmgr: check \*/ DBCC CHECKDB \({TEXT}\) WITH TABLERESULTS, ALL_ERRORMSGS"),
                self._check,
            ),
            (
                re.compile(
                    rf"/\* drmgr: backup \*/ BACKUP (DATABASE|LOG) {NAME} TO {DEVICE} WITH (.*), NAME = {TEXT}, "
                    rf"DESCRIPTION = {TEXT}"
                ),
                partial(backup, store),
            ),
            (
                re.compile(rf"/\* drmgr: header \*/ RESTORE HEADERONLY FROM {DEVICE}(?: WITH {REGION})?"),
                partial(header, store),
            ),
            (
                re.compile(rf"/\* drmgr: file list \*/ RESTORE FILELISTONLY FROM {DEVICE}(?: WITH {REGION})?"),
                partial(file_list, store),
            ),
            (
                re.compile(rf"/\* drmgr: verify \*/ RESTORE VERIFYONLY FROM {DEVICE} WITH CHECKSUM(?:, {REGION})?"),
                partial(verify, store),
            ),
            (
                re.compile(
                    rf"/\* drmgr: restore \*/ RESTORE DATABASE {NAME} FROM {DEVICE} "
                    rf"WITH NORECOVERY, CHECKSUM, STATS = 1((?:, MOVE {TEXT} TO {TEXT})*)(?:, {REGION})?"
                ),
                partial(restore, store),
            ),
            (
                re.compile(
                    rf"/\* drmgr: restore log \*/ RESTORE LOG {NAME} FROM {DEVICE} WITH (NORECOVERY|RECOVERY)"
                    rf"(?:, STOPAT = {TEXT})?(?:, STOPATMARK = N'lsn:(\d+)')?, CHECKSUM, STATS = 1(?:, {REGION})?"
                ),
                partial(restore_log, store),
            ),
            (re.compile(rf"/\* drmgr: recover \*/ RESTORE DATABASE {NAME} WITH RECOVERY"), self._recover),
            (
                re.compile(
                    rf"/\* drmgr: log backups of others \*/\n.*WHERE b\.database_name = {TEXT} AND b\.type = 'L' AND "
                    r"b\.is_copy_only = 0 AND b\.last_lsn > (\d+) AND b\.first_lsn < (\d+)\n.*",
                    re.DOTALL,
                ),
                partial(msdb_logs, store),
            ),
            (re.compile(r"KILL (\d+)"), self._kill),
            *Laying(store, self).patterns,
            *self.places.patterns(),
        ]

    def __call__(self, session: Session, text: str) -> Iterator[Piece]:
        try:
            yield from self._answer(session, text)
        except Refused as refused:
            yield from refused.says

    def _answer(self, session: Session, text: str) -> Iterator[Piece]:
        if text in self._fixed:
            yield from self._fixed[text](session)
            return
        for pattern, handler in self._patterns:
            found = pattern.fullmatch(text)
            if found:
                yield from handler(session, *found.groups())
                return
        if text in self.store.texts:
            with self.store.lock:
                self.store.texts[text](self.store, self._here(session))
            return
        if text in self.store.answers:
            value = self.store.answers[text](self._here(session))
            if isinstance(value, list):
                yield Rows([Column("", _type_of(value, at)) for at in range(len(value[0]) if value else 1)], value)
                return
            yield Rows([Column("", "text" if isinstance(value, str) else "bigint")], [[value]])
            return
        yield Say(102, 15, f"Incorrect syntax near: {text[:200]}")

    def _here(self, session: Session) -> Database:
        if session.database not in self.store.databases:
            raise Refused(Say(911, 16, f"Database '{session.database}' does not exist."))
        return self.store.databases[session.database]

    def _named(self, name: str) -> Database:
        if name not in self.store.databases:
            raise Refused(Say(911, 16, f"Database '{name}' does not exist."))
        return self.store.databases[name]

    # --- the session and the server ---

    def _nothing(self, _session: Session) -> Iterator[Piece]:
        yield Say(5703, 0, "Changed language setting to us_english.")

    def _entered(self, session: Session) -> Iterator[Piece]:
        yield Rows([Column("entered", "text"), Column("number", "int")], [[session.database, session.number]])

    def _use(self, session: Session, name: str) -> Iterator[Piece]:
        if name != "master":
            self.places.enter(session, self._named(unbracketed(name)))
        yield UseDatabase(unbracketed(name))

    def _kill(self, _session: Session, number: str) -> Iterator[Piece]:
        if not self.kill(int(number)):
            yield Say(6106, 16, f"Process ID {number} is not an active process ID.")

    def _now(self, _session: Session) -> Iterator[Piece]:
        columns = [Column("utc_now", "datetime2"), Column("utc_offset_minutes", "int")]
        yield Rows(columns, [[self.store.now(), self.store.offset.total_seconds() // 60]])

    def _server(self, _session: Session) -> Iterator[Piece]:
        store = self.store
        values = {
            "version": store.version,
            "edition": store.edition,
            "engine_edition": store.engine_edition,
            "server_name": store.name,
            "machine_name": store.name,
            "data_path": store.data_path,
            "log_path": store.data_path,
            "msdb_guid": store.guid,
        }
        columns = [Column(name, "int" if name == "engine_edition" else "text") for name in values]
        yield Rows(columns, [list(values.values())])

    def _database(self, _session: Session, name: str) -> Iterator[Piece]:
        columns = [
            *(Column(each, "text") for each in ("name", "state_desc", "recovery_model_desc", "collation_name")),
            *(Column("compatibility_level", "int"), Column("containment_desc", "text"), Column("is_read_only", "bit")),
            *(
                Column("family_guid", "text"),
                Column("recovery_fork_guid", "text"),
                Column("last_log_backup_lsn", "decimal"),
            ),
            *(Column("is_primary", "int"), Column("is_preferred", "int")),
        ]
        found = self.store.databases.get(text_of(name))
        rows = []
        if found is not None:
            level = int(self.store.version.split(".")[0]) * 10
            front = [found.name, found.state, found.model, found.collation, level, "NONE", 0]
            log = found.log_start if found.model != "SIMPLE" else None
            rows = [[*front, found.family.upper(), found.fork.upper(), log, found.primary, found.preferred]]
        yield Rows(columns, rows)

    def _rights(self, _session: Session, *_names: str) -> Iterator[Piece]:
        names = (
            "backup_database",
            "backup_log",
            "select_all",
            "view_definition",
            "create_any_database",
            "view_server_state",
            "alter_any_credential",
        )
        yield Rows([Column(name, "int") for name in names], [[self.store.rights.get(name, 1) for name in names]])

    def _credentials(self, _session: Session, listed: str) -> Iterator[Piece]:
        asked = re.findall(TEXT, listed)
        found = [[name, identity] for name, identity in self.store.credentials.items() if name in asked]
        found.sort(key=lambda row: -len(row[0]))
        yield Rows([Column("name", "text"), Column("credential_identity", "text")], found)

    def _file_exists(self, _session: Session, path: str) -> Iterator[Piece]:
        real = self.store.real(text_of(path))
        names = ("File Exists", "File is a Directory", "Parent Directory Exists")
        there = real is not None and real.is_file()
        yield Rows([Column(name, "bit") for name in names], [[there, 0, real is not None and real.parent.is_dir()]])

    def _databases(self, _session: Session, pattern: str) -> Iterator[Piece]:
        start = re.sub(r"\[(.)\]", r"\1", pattern.removesuffix("%"))
        found = [[name, each.state] for name, each in sorted(self.store.databases.items()) if name.startswith(start)]
        yield Rows([Column("name", "text"), Column("state_desc", "text")], found)

    def _recover(self, _session: Session, name: str) -> Iterator[Piece]:
        database = self._named(unbracketed(name))
        if database.state != "RESTORING":
            raise Refused(Say(3153, 16, "The database is already fully recovered."))
        database.recover()
        yield Say(3014, 0, "RESTORE DATABASE successfully processed 0 pages.")

    def _check(self, _session: Session, name: str) -> Iterator[Piece]:
        database = self._named(text_of(name))
        columns = [Column("Error", "int"), Column("Level", "int"), Column("MessageText", "text")]
        rows: list[list[Any]] = [[2536, 10, f"DBCC results for '{name}'."]]
        if database.damaged:
            rows.append([8928, 16, "Object ID 1, index ID 1: Page (1:79) could not be processed."])
        found = (
            f"CHECKDB found 0 allocation errors and {int(database.damaged)} consistency errors in database '{name}'."
        )
        yield Rows(columns, [*rows, [8989, 10, found]])

    # --- what is in a database ---

    def _tables(self, session: Session) -> Iterator[Piece]:
        names = [name.split(".", 1) for name in sorted(self._here(session).tables)]
        yield Rows([Column("schema_name", "text"), Column("table_name", "text")], names)

    def _columns(self, session: Session) -> Iterator[Piece]:
        texts, numbers = ("schema_name", "table_name", "column_name", "type_name"), ("max_length", "is_computed")
        columns = [Column(name, "text") for name in texts]
        columns += [Column(name, "int") for name in (*numbers, "is_column_set", "is_encrypted")]
        rows = [
            [*name.split(".", 1), column.name, column.kind, column.length, column.computed is not None, 0, 0]
            for name, table in sorted(self._here(session).tables.items())
            for column in table.columns
        ]
        yield Rows(columns, rows)

    def _structure(self, what: str, session: Session) -> Iterator[Piece]:
        """Not the real catalog's columns, but as much as tells one structure from another."""
        database = self._here(session)
        rows = [["dbo", what]]
        if what == "columns":
            rows = [
                [name, f"{each.name} {each.kind}"] for name, table in database.tables.items() for each in table.columns
            ]
        yield Rows([Column("name", "text"), Column("what", "text")], sorted(rows))

    def _table(self, session: Session, schema: str, table: str) -> Any:
        name = f"{unbracketed(schema)}.{unbracketed(table)}"
        tables = self._here(session).tables
        if name not in tables:
            raise Refused(Say(208, 16, f"Invalid object name '{name}'."))
        return tables[name]

    def _count(self, session: Session, schema: str, table: str) -> Iterator[Piece]:
        yield Rows([Column("row_count", "bigint")], [[len(self._table(session, schema, table).rows)]])

    def _fingerprint(self, session: Session, expression: str, schema: str, table: str) -> Iterator[Piece]:
        found = self._table(session, schema, table)
        sums = hashing.sums(found, expression) if found.rows else (None, None)
        columns = [Column("row_count", "bigint"), Column("sum_1", "decimal"), Column("sum_2", "decimal")]
        yield Rows(columns, [[len(found.rows), *sums]])

    def _newest(self, session: Session, column: str, schema: str, table: str) -> Iterator[Piece]:
        found = self._table(session, schema, table)
        at = found.column(unbracketed(column))
        kind = "date" if found.columns[at].kind == "date" else "datetime2"
        values = [row[at] for row in found.rows if row[at] is not None]
        yield Rows([Column("newest", kind)], [[max(values, default=None)]])

    def _column_type(self, session: Session, schema: str, table: str, column: str) -> Iterator[Piece]:
        found = self._table(session, text_of(schema), text_of(table))
        kinds = [[each.kind] for each in found.columns if each.name == text_of(column)]
        yield Rows([Column("type_name", "text")], kinds)

    def _occupied(self, _session: Session, name: str) -> Iterator[Piece]:
        yield Rows([Column("objects", "int")], [[len(self._named(unbracketed(name)).tables)]])


def _pattern(name: str, group: str, *, times: int = 1) -> re.Pattern[str]:
    """A golden text in which the given example values may be others."""
    text = re.escape(golden(name))
    example = re.compile(r"N'(?:\\\[his\\\]|his|/backups[^']*|/var[^']*)'")
    assert len(example.findall(text)) == times, f"{name}: {text}"
    return re.compile(example.sub(lambda _found: group, text))
