"""Counts and running digests over the lines of a manifest, in their order; memory does not grow with their number."""

import hashlib
import json
import os
from collections.abc import Mapping

from drmgr.engines.files.look import Line, leads_out, name_bytes
from drmgr.engines.files.seen import Seen
from drmgr.model import Json

Groups = Mapping[str, Mapping[str, Json]]

NOT_COMPARED = "not-compared"
"""Stands for the owners where only root could have given them back; checks/facts.py knows it."""

METADATA = ("kind", "mode", "mtime", "xattrs", "target", "device", "linked")
OWNERS = ("uid", "gid")
UIDS = ("studies", "series", "instances")


class Tally:
    """Takes line after line: ``found`` as it is now, ``stored`` as the manifest has it (the same at backup time)."""

    def __init__(self, seen: Seen, *, dicom: bool) -> None:
        self.extra = 0
        self.files = self.folders = self.links = self.others = 0
        self.moving = self.leading_out = self.damaged = 0
        self._bytes = self._hashed = self._missing = self._changed = 0
        self._unknown = self._differing = 0
        self._content, self._metadata, self._owners = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()
        self._dicom = _Dicom(seen) if dicom else None
        self._seen = seen
        # as root, what came back must belong to whom it belonged
        self._owned = os.geteuid() == 0

    @property
    def present(self) -> int:
        """Objects of every kind that were found."""
        return self.files + self.folders + self.links + self.others

    def linked(self, line: Line, as_in: Line | None = None) -> None:
        """Puts the first name of the same file in place of the inode, which is another one after a restore.

        ``as_in`` is the manifest's line: a file that had one name then is not asked for others now.
        """
        inode = line.pop("inode", None)
        if inode is not None and (as_in is None or "linked" in as_in):
            mark = hashlib.blake2b(name_bytes(line["path"]), digest_size=8).digest()
            line["linked"] = self._seen.first("inode", inode, mark).hex()

    def add(self, found: Line | None, *, stored: Line) -> None:
        kind = stored.get("kind", "file")
        self.moving += bool(stored.get("moving")) and kind == "file"
        self._hashed += "sha256" in stored
        if found is None:
            self._missing += 1
            return
        if kind == "file":
            self.files += 1
            self._add_content(found, stored)
        else:
            self.folders += kind == "dir"
            self.links += kind == "symlink"
            self.others += kind not in {"dir", "symlink"}
            # of a link that changed meanwhile nobody knows where it led
            self.leading_out += "target" in stored and leads_out(found["path"], found.get("target", ""))
        self._add_metadata(found, stored)

    def _add_content(self, found: Line, stored: Line) -> None:
        self._bytes += found["size"]
        same = found["size"] == stored["size"] and found.get("sha256") == stored.get("sha256")
        self._changed += not same
        self._content.update(json.dumps([found["path"], found["size"], found.get("sha256")]).encode())
        if self._dicom is not None and "dicom" in stored:
            self._dicom.add(found["path"], found.get("dicom"))

    def _add_metadata(self, found: Line, stored: Line) -> None:
        if "mode" not in stored:
            self._unknown += 1
            return
        now = [found.get(name) for name in METADATA]
        whose = [found.get(name) for name in OWNERS]
        self._metadata.update(json.dumps([found["path"], *now]).encode())
        self._owners.update(json.dumps([found["path"], *whose]).encode())
        if found is not stored:
            same = now == [stored.get(name) for name in METADATA]
            same_owner = not self._owned or whose == [stored.get(name) for name in OWNERS]
            self._differing += not (same and same_owner)

    def groups(self, *, compared: bool = False) -> Groups:
        """The facts. ``compared``: of a tree that came back, not of the source."""
        owners = NOT_COMPARED if compared and not self._owned else self._owners.hexdigest()
        groups: dict[str, Mapping[str, Json]] = {
            "files": {"count": self.files, "bytes": self._bytes, "hashed": self._hashed, "moving": self.moving},
            "content": {"digest": self._content.hexdigest()},
            "differences": {
                "missing": self._missing,
                "changed": self._changed,
                "extra": self.extra,
                "metadata": self._differing,
            },
            "objects": {
                "folders": self.folders,
                "links": self.links,
                "leading_out": self.leading_out,
                "others": self.others,
            },
            "metadata": {"digest": self._metadata.hexdigest(), "unknown": self._unknown},
            "owners": {"digest": owners},
        }
        return groups if self._dicom is None else {**groups, "dicom": self._dicom.group()}


class _Dicom:
    """How many studies, series and instances there are, and a digest over which file is which."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._counts = dict.fromkeys((*UIDS, "files", "others", "damaged"), 0)
        self._digest = hashlib.sha256()

    def add(self, path: str, identity: Json) -> None:
        self._digest.update(json.dumps([path, identity]).encode())
        if not isinstance(identity, list):
            self._counts["damaged" if identity else "others"] += 1
            return
        self._counts["files"] += 1
        for group, uid in zip(UIDS, identity, strict=False):
            self._counts[group] += self._seen.new(group, uid)

    def group(self) -> Mapping[str, Json]:
        return {**self._counts, "digest": self._digest.hexdigest()}


def known_to(groups: Groups, those: Groups) -> Groups:
    """The same facts as ``those``: what an older backup did not know is left out."""
    kept = {name: items for name, items in groups.items() if name in those}
    return {name: {key: value for key, value in items.items() if key in those[name]} for name, items in kept.items()}
