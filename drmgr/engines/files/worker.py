"""Looks at objects of a tree, one line each. Also a program of its own, so that several processes share the work.

``python -m drmgr.engines.files.worker ROOT ACT MODE INDEX COUNT`` reads a list on standard input and answers for every
COUNTth line of it, beginning with the INDEXth, in order. ``ACT`` is ``vouch`` or ``compare``.
"""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator

from drmgr.engines.files.look import Line, look, same_object, wants_hash
from drmgr.engines.files.settings import FactsMode
from drmgr.model import Json

DONE = b"="
"""Begins a line that is an answer already: it is given back as it is."""

Act = Callable[[bytes, FactsMode, Json], "Line | None"]


def vouch(folder: bytes, mode: FactsMode, told: Json) -> Line:
    """The manifest's line for one stored object: with what is in it if it still is the object that restic read.

    ``told`` is restic's own account: ``path``, ``kind``, ``size``, ``modified``, ``changed``.
    """
    path, kind = told["path"], told["kind"]
    line: Line = {"path": path}
    line |= {"size": told["size"], "mtime": told["modified"]} if kind == "file" else {"kind": kind}
    wanted = kind == "file" and wants_hash(mode, path)
    try:
        found, status = look(folder, path, kind=kind, hashed=wanted, dicom=mode == "dicom")
    except OSError:
        return {**line, "moving": True}
    if not same_object(status, told):
        return {**line, "moving": True}
    return {**found, **line}


def compare(folder: bytes, _mode: FactsMode, stored: Json) -> Line | None:
    """The same object in another tree, looked at as far as the manifest's line goes; None when it is not there."""
    kind = stored.get("kind", "file")
    try:
        found, status = look(folder, stored["path"], kind=kind, hashed="sha256" in stored, dicom="dicom" in stored)
    except OSError:
        return None
    if kind == "file" and "mtime" in stored:
        found["mtime"] = status.st_mtime_ns
    if "linked" in stored:
        found["inode"] = f"{status.st_dev}:{status.st_ino}"
    return found


ACTS: dict[str, Act] = {"vouch": vouch, "compare": compare}


def answers(folder: bytes, act: str, mode: FactsMode, lines: Iterable[bytes]) -> Iterator[bytes]:
    """One answer a line, each a line of JSON."""
    acting = ACTS[act]
    for line in lines:
        if line.startswith(DONE):
            yield line[len(DONE) :]
        else:
            yield encoded(acting(folder, mode, decoded(line)))


_ENCODER = json.JSONEncoder(separators=(",", ":"))
"""Made once: json.dumps makes another one for every call."""


def encoded(document: Json) -> bytes:
    """The document as one line of ASCII."""
    return f"{_ENCODER.encode(document)}\n".encode("ascii")


def decoded(line: bytes) -> Json:
    """The document on one line of ASCII; json.loads would look for another encoding first."""
    return json.loads(line.decode("ascii"))


def main(arguments: list[str]) -> None:
    root, act, mode, index, count = arguments
    ours = (line for number, line in enumerate(sys.stdin.buffer) if number % int(count) == int(index))
    if mode not in {"full", "sampled", "dicom"}:
        raise ValueError(mode)
    for answer in answers(os.fsencode(root), act, mode, ours):  # type: ignore[arg-type] # looked at above
        sys.stdout.buffer.write(answer)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
