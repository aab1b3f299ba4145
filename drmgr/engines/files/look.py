"""Looks at one object of a tree: what it is, whose it is, what is in it. By bytes, so that any name is the same again."""

import errno
import hashlib
import os
import stat
from collections.abc import Mapping
from io import BufferedReader

from drmgr.engines.files.settings import FactsMode
from drmgr.model import Json

SAMPLE_ONE_IN = 16
"""In ``sampled`` mode one file in so many is hashed, chosen by its path's own hash: the same ones every night."""

KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFCHR: "chardev",
    stat.S_IFBLK: "dev",
    stat.S_IFSOCK: "socket",
}
"""restic's names for the kinds of objects."""

_NO_ATTRIBUTES = {errno.ENOTSUP, errno.ENOSYS}

Line = dict[str, Json]
"""One object in a manifest: ``path``, ``size`` for files, and what is known of it."""


def name_bytes(path: str) -> bytes:
    """The name as it is on disk; bytes that are not UTF-8 are lone surrogates in a manifest (PEP 383)."""
    return path.encode("utf-8", "surrogateescape")


def wants_hash(mode: FactsMode, path: str) -> bool:
    """Whether a file at that path is hashed in that mode."""
    return mode != "sampled" or hashlib.sha256(name_bytes(path)).digest()[0] % SAMPLE_ONE_IN == 0


def opened(folder: bytes, path: str) -> BufferedReader:
    """The regular file at that path. Raises OSError, also for a link or pipe that took its place."""
    # as bytes: the host's own encoding of names may be another than the manifest's
    place = os.path.join(folder, name_bytes(path))  # noqa: PTH118 - pathlib knows no bytes
    handle = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise FileNotFoundError("not a regular file")
    return os.fdopen(handle, "rb")


def look(folder: bytes, path: str, *, kind: str, hashed: bool, dicom: bool) -> tuple[Line, os.stat_result]:
    """What lies at that path now, which must be of that kind, and its status after it was read. Raises OSError."""
    line: Line = {"path": path}
    if kind == "file":
        with opened(folder, path) as file:
            if hashed:
                line["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
            if dicom:
                line["dicom"] = _dicom(file)
            attributes = _attributes(file.fileno())
            status = os.fstat(file.fileno())
        line["size"] = status.st_size
        if status.st_nlink > 1:
            line["inode"] = f"{status.st_dev}:{status.st_ino}"
    else:
        place = os.path.join(folder, name_bytes(path))  # noqa: PTH118 - pathlib knows no bytes
        attributes = _attributes(place)
        target = os.readlink(place) if kind == "symlink" else b""  # noqa: PTH115
        status = os.lstat(place)
        if KINDS.get(stat.S_IFMT(status.st_mode)) != kind:
            raise FileNotFoundError("an object of another kind")
        line["kind"] = kind
        if target:
            line["target"] = target.decode("utf-8", "surrogateescape")
        if kind in {"chardev", "dev"}:
            line["device"] = status.st_rdev
    line |= {"mode": stat.S_IMODE(status.st_mode), "uid": status.st_uid, "gid": status.st_gid}
    if attributes:
        line["xattrs"] = attributes
    return line, status


def _dicom(file: BufferedReader) -> Json:
    from drmgr.engines.files.dicom import identity

    file.seek(0)
    return identity(file)


def _attributes(of: int | bytes) -> str:
    """One hash over all extended attributes, ACLs among them; empty when there are none. Raises OSError."""
    links = {} if isinstance(of, int) else {"follow_symlinks": False}
    try:
        names = os.listxattr(of, **links)
    except OSError as error:
        if error.errno in _NO_ATTRIBUTES:
            return ""
        raise
    if not names:
        return ""
    digest = hashlib.sha256()
    for name in sorted(names):
        value = os.getxattr(of, name, **links)
        digest.update(f"{len(name)}:{name}:{len(value)}:".encode("utf-8", "surrogateescape") + value)
    return digest.hexdigest()[:32]


def leads_out(path: str, target: str) -> bool:
    """Whether a symbolic link at ``path`` leads out of its tree: what it points to is then not stored with it."""
    if target.startswith("/"):
        return True
    folder = os.path.dirname(path)  # noqa: PTH120 - the text alone counts
    way = os.path.normpath(os.path.join(folder, target))  # noqa: PTH118
    return way == ".." or way.startswith("../")


def same_object(status: os.stat_result, told: Mapping[str, Json]) -> bool:
    """Whether that is the very state that restic read: size, content's time and, where it is told, status's time."""
    return (
        status.st_mtime_ns == told["modified"]
        and told["changed"] in {-1, status.st_ctime_ns}
        and (told["kind"] != "file" or told["size"] == status.st_size)
    )
