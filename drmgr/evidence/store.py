"""The folder of sealed evidence: appends to its chain, finds and reads documents."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drmgr.errors import EvidenceError, LockedError, UsageError
from drmgr.evidence.build import build_document
from drmgr.evidence.chain import Link, file_name, first_id, hash_file, links, newest
from drmgr.evidence.note import build_note
from drmgr.evidence.sign import key_id, read_envelope, sign_statement
from drmgr.evidence.verify import verify_path
from drmgr.interfaces import Catalog, Clock
from drmgr.model import ChainHead, DrillRecord, EvidenceEntry, IncidentNote, Json, Verdict
from drmgr.privacy import withhold_free_text
from drmgr.system.files import write_atomically

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

LOCK_SECONDS = 30.0
"""How long to wait for another drill that is sealing right now; sealing takes milliseconds."""


@dataclass(frozen=True)
class Document:
    """One document as it lies in its file. Reading proves nothing; see verify.py."""

    path: Path
    sha256: str
    keyid: str
    statement: Mapping[str, Json]

    @property
    def predicate(self) -> Mapping[str, Any]:
        predicate: Mapping[str, Any] = self.statement["predicate"]
        return predicate


class FileEvidenceStore:
    """An EvidenceStore in one directory. ``private_key`` is asked for at each sealing, so the key is not held meanwhile."""

    def __init__(
        self, directory: Path, private_key: "Callable[[], Ed25519PrivateKey]", catalog: Catalog, clock: Clock
    ) -> None:
        self._directory = directory
        self._private_key = private_key
        self._catalog = catalog
        self._clock = clock

    def seal(self, record: DrillRecord) -> EvidenceEntry:
        """Signs the record, chains it to the newest document, writes it durably and lets the catalog remember it.

        Free text among the checks' values is withheld first. Raises EvidenceError when the folder lacks what the
        catalog remembers or cannot be written, KeystoreError from the key, LockedError when another sealing hangs.
        """
        kept = withhold_free_text(record)
        return self._append(lambda *place: build_document(kept, *place))

    def head(self) -> ChainHead | None:
        """The newest document as it lies in the folder. Raises EvidenceError."""
        link = newest(self._directory)
        return None if link is None else ChainHead(link.sequence, link.sha256, first_id(self._directory))

    def add(self, note: IncidentNote) -> EvidenceEntry:
        """Chains what became known of an incident after its restore. Raises as ``seal``."""
        return self._append(lambda *place: build_note(note, *place))

    def _append(self, build: "Callable[[str, int, str | None], dict[str, Json]]") -> EvidenceEntry:
        from ulid import ULID

        key = self._private_key()
        with self._lock():
            head = self._head(key.public_key())
            sequence = 1 if head is None else head.sequence + 1
            now = self._clock.now()
            evidence_id = str(ULID.from_datetime(now))
            statement = build(evidence_id, sequence, None if head is None else head.sha256)
            path = self._directory / file_name(sequence, evidence_id)
            self._write(path, sign_statement(statement, key))
            predicate = statement["predicate"]
            header, verdict = predicate["header"], Verdict(predicate["verdict"]["verdict"])
            entry = EvidenceEntry(
                *(evidence_id, header["run"], sequence, header["name"], verdict, now, str(path), hash_file(path))
            )
            self._catalog.remember_evidence(entry)
        return entry

    @contextmanager
    def _lock(self) -> Iterator[None]:
        from filelock import FileLock, Timeout

        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._directory / ".lock", timeout=LOCK_SECONDS)
            lock.acquire()
        except Timeout as error:
            raise LockedError(f"the evidence in {self._directory} is being sealed by another run") from error
        except OSError as error:
            raise self._cannot_write(error) from error
        try:
            yield
        finally:
            lock.release()

    def _write(self, path: Path, content: bytes) -> None:
        try:
            write_atomically(path, content, mode=0o644)
        except OSError as error:
            raise self._cannot_write(error) from error

    def _cannot_write(self, error: OSError) -> EvidenceError:
        return EvidenceError(
            f"evidence cannot be written to {self._directory}: {error.strerror}",
            hint="check the free space and the rights of the directory named by evidence in the site file",
        )

    def _head(self, public_key: "Ed25519PublicKey") -> Link | None:
        """The newest document, once the folder was held against the catalog."""
        chain = links(self._directory)
        by_id = {link.id: link for link in chain}
        remembered = self._catalog.evidence()
        for entry in remembered:
            link = by_id.get(entry.id)
            if link is None:
                raise EvidenceError(
                    f"evidence document {entry.sequence} is in the catalog but not in {self._directory}"
                )
            if link.sha256 != entry.sha256:
                raise EvidenceError(f"evidence document {link.path.name} is not the one that was sealed")
        known = {entry.id for entry in remembered}
        for link in chain:
            if link.id not in known:
                self._adopt(link, public_key)
        return chain[-1] if chain else None

    def _adopt(self, link: Link, public_key: "Ed25519PublicKey") -> None:
        """Lets the catalog remember a document that it lost, or that a crash kept from it; only a good one."""
        document = load_document(link.path)
        if document.keyid == key_id(public_key):
            verdict = verify_path(link.path, public_key)
            if not verdict.ok:
                raise EvidenceError(
                    f"the catalog does not know this document, and it does not verify: {verdict.reason}"
                )
        self._catalog.remember_evidence(entry_of(document))


def load_document(path: Path) -> Document:
    """Reads one document. Raises EvidenceError when it is none."""
    try:
        signed = read_envelope(path.read_bytes())
        statement = json.loads(signed.payload)
        dict(statement["predicate"]["header"])
        keyid = signed.signatures[0][0] if signed.signatures else ""
        return Document(path, hash_file(path), keyid, statement)
    except OSError as error:
        raise EvidenceError(f"{path.name} cannot be read: {error.strerror}", hint="check the path") from error
    except EvidenceError as error:
        raise EvidenceError(f"{path.name}: {error.message}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise EvidenceError(f"{path.name} is not an evidence document") from error


def load(path: Path) -> Mapping[str, Any]:
    """The predicate of one document: its field groups. Raises EvidenceError."""
    return load_document(path).predicate


def entry_of(document: Document) -> EvidenceEntry:
    """What the catalog would remember of this document. Raises EvidenceError when its header lacks something."""
    header = document.predicate["header"]
    try:
        return EvidenceEntry(
            id=header["id"],
            run=header["run"],
            sequence=header["sequence"],
            name=header["name"],
            verdict=Verdict(document.predicate["verdict"]["verdict"]),
            sealed_at=datetime.fromisoformat(header["finished_at"]),
            path=str(document.path),
            sha256=document.sha256,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise EvidenceError(f"{document.path.name} lacks part of its header or verdict") from error


def find(directory: Path, wanted: str) -> Path:
    """The document whose id, run id, report number or sequence number is ``wanted``.

    Raises UsageError when there is none, EvidenceError when the folder cannot be read.
    """
    chain = links(directory)
    for link in chain:
        if wanted in (link.id, link.path.name, str(link.sequence)):
            return link.path
    for link in reversed(chain):
        try:
            header = load(link.path)["header"]
        except EvidenceError:
            continue
        if wanted in (header.get("run"), header.get("number")):
            return link.path
    raise UsageError(f"there is no evidence with the id {wanted}", hint="list it with: drmgr evidence list")
