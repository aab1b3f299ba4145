"""One repository holds the backups of one server: its own label on its files tells it from another's."""

from drmgr.errors import PreflightError
from drmgr.interfaces import Sink

CHAIN = "chain="
"""Begins the label of a snapshot that names whose files it holds."""


def refuse_another(sink: Sink, part: str, chain: str, *, expected: str | None, kind: str) -> None:
    """The newest backup is of this very server, or the site file says that another is expected. Raises PreflightError."""
    before = sink.previous(part)
    chains = [] if before is None else [tag.removeprefix(CHAIN) for tag in before.tags if tag.startswith(CHAIN)]
    if chains and chains != [chain] and expected != chain:
        raise PreflightError(
            f"the repository holds backups of the {kind} {chains[0]}, and the server is the {kind} {chain}",
            hint=f"two {kind}s must not share a repository; if the server was made anew, write "
            f'system_identifier: "{chain}" into its connection',
        )
