"""What ``drmgr doctor`` says of logs that are shipped, and of what an account cannot back up."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from drmgr.errors import DrmgrError

if TYPE_CHECKING:
    from drmgr.cli.wiring.wire import Site
    from drmgr.config.models import Source
    from drmgr.engines.postgres.slot import SlotState
    from drmgr.flows.ship_logs import Spool


class Found(NamedTuple):
    """One line; ``state`` is ok, warn or fail."""

    name: str
    state: str
    detail: str
    hint: str = ""


MIB = 1 << 20
FAR_BEHIND = 1024 * MIB
"""Bytes that a server keeps for us beyond which somebody should look why."""


def look_at_logs(opened: "Site", system: str, source: "Source") -> Iterator[Found]:
    """The slot, the server's bound on it, the spool, and passwords that stay behind. Changes nothing."""
    from drmgr.engines.postgres.engine import PostgresEngine
    from drmgr.engines.postgres.shipper import PostgresLogShipper

    wired = opened.system(system).source(source.name)
    name = f"{system}: {source.name}"
    try:
        if isinstance(wired.engine, PostgresEngine) and not wired.engine.takes_passwords():
            yield Found(
                f"{name} passwords",
                "warn",
                "the passwords of roles are not in the backup",
                "GRANT SELECT ON pg_authid TO the account, or set them by hand after a restore",
            )
        if isinstance(wired.logs, PostgresLogShipper):
            state = wired.logs.state()
            yield _slot(name, system, state)
            yield from _server(name, state)
            yield _spool(name, opened.spool(system, source))
    except DrmgrError as error:
        yield Found(f"{name} log", "fail", error.message, error.hint)


def _slot(name: str, system: str, state: "SlotState") -> Found:
    what, behind = f"{name} log", f"slot {state.name}, {state.behind / MIB:.0f} MiB not shipped"
    if not state.status:
        return Found(what, "warn", "nothing is shipped yet", f"run: drmgr ship {system}, then drmgr backup {system}")
    if state.status == "lost":
        hint = f"run: drmgr backup {system}, then drmgr ship {system}; no restore can pass the gap"
        return Found(what, "fail", f"the server gave up the slot {state.name}", hint)
    if state.status == "unreserved" or state.behind > FAR_BEHIND:
        return Found(what, "warn", behind, f"is drmgr ship --follow running? run: drmgr ship {system}")
    return Found(what, "ok", behind)


def _server(name: str, state: "SlotState") -> Iterator[Found]:
    if state.keeps_at_most is None:
        yield Found(
            f"{name} log bound",
            "warn",
            "the server keeps its log for the slot without bound",
            "set max_slot_wal_keep_size to what its disk can bear",
        )
    else:
        yield Found(f"{name} log bound", "ok", f"{state.keeps_at_most} MiB")
    if state.archive_fails:
        hint = "look into its log: what is not archived stays on its disk"
        yield Found(f"{name} archive", "warn", "the server's own archiving fails", hint)


def _spool(name: str, spool: "Spool") -> Found:
    from drmgr.flows.ship_logs import spooled

    held = spooled(spool.path)
    told = f"{held / MIB:.0f} of {spool.limit / MIB:.0f} MiB wait for the store"
    state = "fail" if held > spool.limit else "warn" if held > spool.limit // 2 else "ok"
    return Found(f"{name} spool", state, told, "" if state == "ok" else "is the object store up?")
