"""The electronic medical record: documents of each stay, their versions and signatures, restraint and seclusion."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import ClassVar, NamedTuple

from drmgr.demo import clinical_words as words
from drmgr.demo.departments.department import DAY, MINUTE, Department
from drmgr.demo.feed import Ask, Left, Stay, read
from drmgr.demo.tables import Table, Words

ROUND_DAYS = 3
REVISED_SHARE, RESTRAINED_SHARE = 0.2, 0.35
LEGACY_DOCUMENTS = 2


class Encounter(NamedTuple):
    his_admission_id: int
    visit_id: int
    record_no: str
    patient_name: str
    ward_id: int
    admission_kind: str
    admitted_at: datetime
    on_ward_at: datetime
    updated_at: datetime


class Document(NamedTuple):
    id: int
    visit_id: int
    his_discharge_id: int | None
    kind: str
    title: str
    version_count: int
    status: str
    author: str
    written_at: datetime
    submitted_at: datetime | None
    signed_at: datetime | None


class DocumentVersion(NamedTuple):
    id: int
    document_id: int
    version_no: int
    content: Words
    saved_at: datetime


class DocumentSignature(NamedTuple):
    id: int
    document_id: int
    version_no: int
    signer: str
    role: str
    digest: str
    signed_at: datetime


class Restraint(NamedTuple):
    id: int
    visit_id: int
    document_id: int
    kind: str
    reason: str
    started_at: datetime
    ended_at: datetime | None


class EmrDepartment(Department):
    """Writes the documents of every stay, and a summary at its end."""

    SYSTEM: ClassVar[str] = "emr"
    TABLES: ClassVar[Sequence[Table]] = (
        Table("encounter", Encounter, unique=("visit_id",)),
        Table("document", Document, index=("visit_id", "written_at")),
        Table("document_version", DocumentVersion, refers={"document_id": "document"}),
        Table("document_signature", DocumentSignature, refers={"document_id": "document"}),
        Table("restraint", Restraint, refers={"document_id": "document"}),
    )
    SEEN: ClassVar[Mapping[str, str]] = {
        "admission": "SELECT coalesce(max(his_admission_id), 0) FROM encounter",
        "discharge": "SELECT coalesce(max(his_discharge_id), 0) FROM document",
    }

    def catch_up(self, his: Ask) -> None:
        if self._fresh:
            self._legacy()
        for stay in read(his, Stay, self._seen["admission"]):
            self._stay(stay)
        for left in read(his, Left, self._seen["discharge"]):
            self._document(left.visit_id, "discharge", words.summary(left), left.discharged_at, left=left.discharge_id)

    def _legacy(self) -> None:
        """Records taken over from the old system as bare titles: their text was never migrated."""
        for _ in range(LEGACY_DOCUMENTS):
            at = self._now - 3650 * DAY
            self._add(
                Document(self._next(Document), 0, None, "legacy", "旧系统迁移病历", 1, "signed", "迁移", at, at, at)
            )

    def _stay(self, stay: Stay) -> None:
        admitted = stay.admitted_at
        on_ward = self._until_now(admitted + (5 + self._pick(50)) * MINUTE)
        self._add(
            Encounter(
                stay.admission_id,
                stay.visit_id,
                stay.record_no,
                stay.name,
                stay.ward_id,
                stay.kind,
                admitted,
                on_ward,
                on_ward,
            )
        )
        horizon = min(stay.discharged_at or self._now, self._now)
        self._document(stay.visit_id, "admission", words.admission(stay), on_ward)
        at, number = on_ward + ROUND_DAYS * DAY, 1
        while at < horizon:
            self._document(stay.visit_id, "progress", words.progress(stay, number), at)
            at, number = at + ROUND_DAYS * DAY, number + 1
        if self._rng.random() < RESTRAINED_SHARE:
            self._restrain(stay, on_ward, horizon)
        if stay.discharged_at is None:
            lately = max(self._now - (1 + self._pick(170)) * MINUTE, on_ward)
            self._document(stay.visit_id, "nursing", words.nursing(stay), lately, signed=False)

    def _restrain(self, stay: Stay, on_ward: datetime, horizon: datetime) -> None:
        for _ in range(1 + self._pick(2)):
            started = on_ward + (horizon - on_ward) * (0.9 * self._rng.random())
            kind = ("restraint", "seclusion")[self._pick(2)]
            reason = words.RESTRAINT_REASONS[self._pick(len(words.RESTRAINT_REASONS))]
            ended: datetime | None = started + timedelta(hours=1 + self._pick(7))
            if ended is not None and ended > self._now:
                ended = None
            document = self._document(stay.visit_id, kind, words.restraint(stay, kind, reason), started)
            self._add(Restraint(self._next(Restraint), stay.visit_id, document, kind, reason, started, ended))

    def _document(
        self, visit: int, kind: str, content: str, at: datetime, *, signed: bool = True, left: int | None = None
    ) -> int:
        number, author = self._next(Document), self._person()
        versions = 2 if self._rng.random() < REVISED_SHARE else 1
        submitted = self._until_now(at + 20 * MINUTE) if signed else None
        signed_at = self._until_now(at + (30 + self._pick(600)) * MINUTE) if signed else None
        title, status = words.TITLES[kind], "signed" if signed else "draft"
        self._add(Document(number, visit, left, kind, title, versions, status, author, at, submitted, signed_at))
        for version in range(1, versions + 1):
            text = content if version == versions else content[: len(content) // 2]
            saved = self._until_now(at + version * 5 * MINUTE)
            self._add(DocumentVersion(self._next(DocumentVersion), number, version, text, saved))
        if signed_at is not None:
            digest = hashlib.sha256(content.encode()).hexdigest()
            self._add(
                DocumentSignature(self._next(DocumentSignature), number, versions, author, "医师", digest, signed_at)
            )
        return number
