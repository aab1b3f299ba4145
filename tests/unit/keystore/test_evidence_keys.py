"""The signing keys, and the public files that go with them."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.x509.oid import NameOID

from drmgr.errors import KeystoreError
from drmgr.keystore.evidence_keys import (
    evidence_private_key,
    evidence_public_key,
    init_keys,
    report_certificate,
    report_private_key,
)
from drmgr.keystore.store import FileKeystore
from drmgr.keystore.wrapping import ScryptCost
from drmgr.system.clock import SystemClock
from drmgr.system.secret import Secret

SITE = "示例精神专科医院"


class FixedClock(SystemClock):
    def now(self) -> datetime:
        return datetime(2024, 2, 29, 8, 30, tzinfo=UTC)


def keystore(directory: Path) -> FileKeystore:
    return FileKeystore(directory, lambda: Secret("passphrase"), cost=ScryptCost(n=2**4))


@pytest.fixture
def made(tmp_path: Path) -> FileKeystore:
    store = keystore(tmp_path / "keys")
    created = init_keys(store, ["his", "pacs"], SITE, FixedClock())
    signing = ["evidence-signing", "audit-signing", "report-signing"]
    assert created == [*signing, "row-hashing", "repository/his", "repository/pacs"]
    return store


def test_the_evidence_key_and_its_public_file_belong_together(made: FileKeystore) -> None:
    file = made.directory / "evidence.pub"
    signature = evidence_private_key(keystore(made.directory)).sign(b"document")
    evidence_public_key(file).verify(signature, b"document")
    with pytest.raises(InvalidSignature):
        evidence_public_key(file).verify(signature, b"documenT")
    assert file.read_text().startswith("-----BEGIN PUBLIC KEY-----")
    assert stat.S_IMODE(file.stat().st_mode) == 0o644


def test_the_report_certificate_names_the_site_and_may_only_sign(made: FileKeystore) -> None:
    certificate = report_certificate(made.directory / "report.crt")
    public = certificate.public_key()
    assert isinstance(public, EllipticCurvePublicKey)
    public.verify(report_private_key(made).sign(b"pdf", ECDSA(hashes.SHA256())), b"pdf", ECDSA(hashes.SHA256()))
    certificate.verify_directly_issued_by(certificate)
    names = {attribute.oid: attribute.value for attribute in certificate.subject}
    assert names == {NameOID.COMMON_NAME: "drmgr report signing", NameOID.ORGANIZATION_NAME: SITE}
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert (usage.value.digital_signature, usage.value.content_commitment, usage.value.key_cert_sign) == (
        True,
        True,
        False,
    )
    assert certificate.not_valid_before_utc == FixedClock().now()
    assert certificate.not_valid_after_utc - FixedClock().now() >= timedelta(days=3652)


def test_a_second_time_makes_only_what_is_lacking(made: FileKeystore) -> None:
    public, certificate = made.directory / "evidence.pub", made.directory / "report.crt"
    kept = certificate.read_bytes(), made.repository_password("his")
    public_before = public.read_bytes()
    public.unlink()
    assert init_keys(keystore(made.directory), ["his", "lis"], SITE, FixedClock()) == ["repository/lis"]
    assert (certificate.read_bytes(), made.repository_password("his")) == kept
    assert public.read_bytes() == public_before


@pytest.mark.parametrize("name", ["evidence.pub", "report.crt"])
def test_a_public_file_of_another_key_is_refused(made: FileKeystore, tmp_path: Path, name: str) -> None:
    other = keystore(tmp_path / "other")
    init_keys(other, [], SITE, FixedClock())
    (made.directory / name).write_bytes((other.directory / name).read_bytes())
    with pytest.raises(KeystoreError, match=f"{name} does not belong"):
        init_keys(made, [], SITE, FixedClock())


def test_unfit_key_material_is_refused(made: FileKeystore, tmp_path: Path) -> None:
    with pytest.raises(KeystoreError, match="cannot be read"):
        evidence_public_key(tmp_path / "nothing.pub")
    for load in (evidence_public_key, report_certificate):
        with pytest.raises(KeystoreError, match="does not hold"):
            load(made.directory / "keystore.json")
    odd = keystore(tmp_path / "odd")
    odd.create()
    odd.put("evidence-signing", b"not a key")
    odd.put("report-signing", made.secret("evidence-signing"))
    with pytest.raises(KeystoreError, match="not a private key"):
        evidence_private_key(odd)
    with pytest.raises(KeystoreError, match="not an elliptic-curve key"):
        report_private_key(odd)


def test_a_long_site_name_still_fits_a_certificate(tmp_path: Path) -> None:
    store = keystore(tmp_path)
    init_keys(store, [], "医" * 100, FixedClock())
    subject = report_certificate(tmp_path / "report.crt").subject
    assert subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value == "医" * 64
