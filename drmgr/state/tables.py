"""The catalog's tables as the newest migration leaves them. Times are RFC 3339 text in UTC, so that they sort."""

from sqlalchemy import Column, Index, Integer, MetaData, Table, Text

metadata = MetaData()

runs = Table(
    "runs",
    metadata,
    # the order of recording: two runs may start in the same microsecond
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("system", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("started_at", Text, nullable=False),
    Column("finished_at", Text),
    Column("detail", Text, nullable=False),
    Column("error", Text),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("process_started", Text, nullable=False),
    Index("runs_system", "system", "started_at"),
    Index("runs_status", "status"),
)

points = Table(
    "points",
    metadata,
    Column("seal", Text, primary_key=True),
    Column("id", Text, nullable=False),
    Column("system", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("document", Text, nullable=False),
)

# no foreign key to runs: points and evidence outlive a lost catalog, the runs do not
evidence = Table(
    "evidence",
    metadata,
    Column("id", Text, primary_key=True),
    Column("run", Text, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("sealed_at", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Index("evidence_sequence", "sequence"),
)

audit_heads = Table(
    "audit_heads",
    metadata,
    # hosts that share a catalog each write a log of their own
    Column("host", Text, primary_key=True),
    Column("log", Text, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("anchored_at", Text),
)

copied = Table(
    "copied",
    metadata,
    Column("copy", Text, primary_key=True),
    Column("seal", Text, primary_key=True),
    Column("id", Text, nullable=False),
    Column("system", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("document", Text, nullable=False),
    Column("copied_at", Text, nullable=False),
)

# place: the name of a copy, empty for the repositories themselves
expired = Table(
    "expired",
    metadata,
    Column("place", Text, primary_key=True),
    Column("seal", Text, primary_key=True),
    Column("system", Text, nullable=False),
    Column("point", Text, nullable=False),
    Column("expired_at", Text, nullable=False),
)

readbacks = Table(
    "readbacks",
    metadata,
    Column("place", Text, primary_key=True),
    Column("system", Text, primary_key=True),
    # a group's number means nothing without the number of groups
    Column("groups", Integer, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("read_at", Text, nullable=False),
    Column("sound", Integer, nullable=False),
)

schedules = Table(
    "schedules",
    metadata,
    Column("key", Text, primary_key=True),
    Column("expression", Text, nullable=False),
    Column("since", Text, nullable=False),
)

beats = Table("beats", metadata, Column("name", Text, primary_key=True), Column("at", Text, nullable=False))

alarms = Table(
    "alarms",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("key", Text, nullable=False),
    Column("system", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("figures", Text, nullable=False),
    Column("raised_at", Text, nullable=False),
    Column("recovered_at", Text),
    Column("seen_at", Text),
    Index("alarms_open", "recovered_at"),
)

alarm_deliveries = Table(
    "alarm_deliveries",
    metadata,
    Column("alarm", Text, primary_key=True),
    Column("news", Text, primary_key=True),
    Column("recipient", Text, primary_key=True),
    Column("attempts", Integer, nullable=False),
    Column("error", Text, nullable=False),
    Column("delivered_at", Text),
)
