"""After every change: what a new host would need is put beside the repositories, for ``drmgr recover``."""

import platform
from pathlib import Path
from typing import TYPE_CHECKING

from drmgr.cli.audit import anchor_daily
from drmgr.errors import ConfigError, DrmgrError, PreflightError
from drmgr.system.files import write_atomically

if TYPE_CHECKING:
    from drmgr.cli.wiring.wire import Site
    from drmgr.flows.kit import Kit, KitFile

INSTALLATION = "installation"


def keep_safe(opened: "Site", *copies: str) -> DrmgrError | None:
    """Brings the kit and the records up to date, and once a day the audit log's anchor. See ``renew_kit``."""
    if opened.config.restic.read_only:
        return None
    return renew_kit(opened, *copies) or anchor_daily(opened) or _anchor_evidence(opened)


def _anchor_evidence(opened: "Site") -> DrmgrError | None:
    """Puts the newest document's hash into the bucket, once. Gives back what went wrong."""
    from drmgr.evidence.anchor import anchor_bytes, anchor_name
    from drmgr.evidence.chain import links
    from drmgr.keystore.evidence_keys import evidence_private_key
    from drmgr.repository.bucket import EVIDENCE_FOLDER
    from drmgr.system.clock import rfc3339

    folder, bucket = opened.evidence_directory, opened.bucket
    if bucket is None or not folder.is_dir():
        return None
    try:
        newest = links(folder)[-1:]
        for link in newest:
            name = anchor_name(link)
            if next(bucket.anchors(opened.store_prefix, EVIDENCE_FOLDER, name), None) is None:
                at = rfc3339(opened.clock.now())
                content = anchor_bytes(link, opened.host, at, evidence_private_key(opened.keystore))
                bucket.put_anchor(opened.store_prefix, name, content, EVIDENCE_FOLDER)
    except DrmgrError as error:
        return error
    return None


def renew_kit(opened: "Site", *copies: str) -> DrmgrError | None:
    """Brings the recovery kit, the kept evidence and the kept audit log up to date, also in those copies.

    Gives back what went wrong with it: the act that was done before is done all the same.
    """
    from drmgr.evidence.chain import links
    from drmgr.flows.safekeeping import Records, keep
    from drmgr.keystore.sealing import MasterSealer

    if opened.config.restic.read_only:
        return None
    folder = opened.evidence_directory
    try:
        evidence = [link.path for link in links(folder)] if folder.is_dir() else []
        records = Records(installation(opened.state), evidence, opened.audit_file)
        kit, sealer = kit_of(opened), MasterSealer(opened.keystore.master_key())
        for name in ("", *copies):
            keep(opened.stores[name].shelf, sealer, kit, records)
    except DrmgrError as error:
        return error
    return None


def kit_state(opened: "Site") -> str:
    """Opens the newest kit and holds it against the site's files. Raises PreflightError when a new host would get others."""
    from drmgr.cli.output import human_time
    from drmgr.flows.kit import contents
    from drmgr.flows.recover import newest_kit
    from drmgr.keystore.sealing import MasterSealer

    newest = newest_kit(opened.stores[""].shelf, MasterSealer(opened.keystore.master_key()))
    if newest.problems:
        raise PreflightError(
            f"the newest recovery kit does not open: {newest.problems[0]}",
            hint="find out who wrote it; the next backup stores a sound one",
        )
    made = human_time(newest.kit.made_at, opened.zone)
    if contents(newest.kit) != contents(kit_of(opened)):
        raise PreflightError(
            f"the recovery kit of {made} is not of the present configuration and keys",
            hint="the next backup renews it, or at once: drmgr repo init",
        )
    return f"of {made}, as the site is now"


def installation(state: Path) -> str:
    """The name of this drmgr among those that were recovered from one another; drawn when it is first asked for.

    Raises ConfigError when it can neither be read nor written.
    """
    from ulid import ULID

    path = state / INSTALLATION
    try:
        if not path.exists():
            begin_installation(state)
        return str(ULID.from_str(path.read_text(encoding="ascii").strip()))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} does not hold the name of this installation", hint="move it away") from error


def begin_installation(state: Path) -> None:
    """From here on everything is kept under a new name: what is kept under the old one stays as it is. Raises OSError."""
    from ulid import ULID

    write_atomically(state / INSTALLATION, f"{ULID()}\n".encode())


def kit_of(opened: "Site") -> "Kit":
    """The site's own files as they are now: site file, jobs, drills, wrapped keys, public keys. No secret in the clear.

    Raises ConfigError when one cannot be read.
    """
    from drmgr.flows.kit import Kit

    loaded = opened.loaded
    keys = (path for path in sorted(opened.keys_directory.iterdir()) if path.is_file() and path.name[0] != ".")
    paths = [loaded.path, *loaded.files.values(), *loaded.drill_files.values(), *keys]
    tools = {**opened.tools(), "python": platform.python_version()}
    files = tuple(_kit_file(path, loaded.base) for path in paths)
    return Kit(opened.config.site.id, opened.clock.now(), tools, files)


def _kit_file(path: Path, base: Path) -> "KitFile":
    from drmgr.flows.kit import KitFile

    named = path.relative_to(base) if path.is_relative_to(base) else path
    try:
        return KitFile(str(named), path.stat().st_mode & 0o777, path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {(error.strerror or '').lower()}") from error
