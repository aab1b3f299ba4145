"""The recovery kit: what a new host needs to become this site again. Bytes in, bytes out."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from drmgr.errors import KeystoreError
from drmgr.model import Json
from drmgr.system.clock import rfc3339

KIT_SCHEMA: Final = "drmgr/recovery-kit/1"


@dataclass(frozen=True)
class KitFile:
    """One file of the site. ``path`` is relative to the site file's folder, or absolute when it lies elsewhere."""

    path: str
    mode: int
    content: bytes


@dataclass(frozen=True)
class Kit:
    """What was needed to run this site at ``made_at``. ``files[0]`` is the site file; ``tools`` are versions by name."""

    site: str
    made_at: datetime
    tools: Mapping[str, str]
    files: tuple[KitFile, ...]


def kit_bytes(kit: Kit) -> bytes:
    """The kit as JSON; ``kit_from_bytes`` reads it back."""
    document: Json = {
        "schema": KIT_SCHEMA,
        "site": kit.site,
        "made_at": rfc3339(kit.made_at),
        "tools": dict(kit.tools),
        "files": [
            {"path": file.path, "mode": file.mode, "content": base64.b64encode(file.content).decode()}
            for file in kit.files
        ],
    }
    return json.dumps(document, ensure_ascii=False).encode()


def kit_from_bytes(content: bytes) -> Kit:
    """Raises KeystoreError when this is no kit that this drmgr can read."""
    try:
        document = json.loads(content)
        if document["schema"] != KIT_SCHEMA:
            raise KeystoreError(
                f"the recovery kit is of another drmgr: {document['schema']}", hint="install the drmgr that wrote it"
            )
        files = tuple(
            KitFile(str(each["path"]), int(each["mode"]), _bytes(each["content"])) for each in document["files"]
        )
        made_at = datetime.fromisoformat(document["made_at"])
        return Kit(str(document["site"]), made_at, {**document["tools"]}, files)
    except (ValueError, LookupError, TypeError) as error:
        raise KeystoreError("the recovery kit is not a readable one") from error


def contents(kit: Kit) -> bytes:
    """What changes when a file of the kit does, and only then."""
    files = sorted((file.path, file.mode, _text(file.content)) for file in kit.files)
    return json.dumps(files).encode()


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
