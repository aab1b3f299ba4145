"""The keys that sign: Ed25519 for evidence and for the audit log, ECDSA P-256 with a certificate for PDF reports."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_pem_public_key,
)
from cryptography.x509.oid import NameOID

from drmgr.errors import KeystoreError
from drmgr.interfaces import Clock, Keystore
from drmgr.keystore.store import FileKeystore, repository_entry
from drmgr.system.files import write_atomically

EVIDENCE_ENTRY = "evidence-signing"
REPORT_ENTRY = "report-signing"
AUDIT_ENTRY = "audit-signing"
ROWS_ENTRY = "row-hashing"
"""Turns the keys of rows into hashes that mean nothing outside the site; random bytes, not a key pair."""

EVIDENCE_PUBLIC_FILE = "evidence.pub"
AUDIT_PUBLIC_FILE = "audit.pub"
REPORT_CERTIFICATE_FILE = "report.crt"
CERTIFICATE_VALIDITY = timedelta(days=3653)
LONGEST_NAME = 64
"""Characters that X.509 allows in a name."""


def init_keys(keystore: FileKeystore, systems: Sequence[str], site_name: str, clock: Clock) -> list[str]:
    """Makes the keystore and whatever keys a site still lacks; gives back the names of the entries it made.

    The public files beside the keystore are made from the keys, again if they were lost. Nothing is overwritten.
    Raises KeystoreError, also when a public file does not belong to its key.
    """
    keystore.create()
    created = [name for name in (EVIDENCE_ENTRY, AUDIT_ENTRY) if keystore.add(name, "ed25519", _new_ed25519)]
    if keystore.add(REPORT_ENTRY, "ecdsa-p256", lambda: _private_bytes(generate_private_key(SECP256R1()))):
        created.append(REPORT_ENTRY)
    if keystore.add_random(ROWS_ENTRY):
        created.append(ROWS_ENTRY)
    created.extend(name for name in map(repository_entry, systems) if keystore.add_random(name))
    _ensure_public(keystore, EVIDENCE_ENTRY, EVIDENCE_PUBLIC_FILE)
    _ensure_public(keystore, AUDIT_ENTRY, AUDIT_PUBLIC_FILE)
    _ensure_report_certificate(keystore, site_name, clock)
    return created


def evidence_private_key(keystore: Keystore) -> Ed25519PrivateKey:
    """The key that signs evidence. Raises KeystoreError."""
    return _ed25519(keystore, EVIDENCE_ENTRY)


def audit_private_key(keystore: Keystore) -> Ed25519PrivateKey:
    """The key that signs the audit log: another than that of evidence, so that one may be changed alone.

    Raises KeystoreError.
    """
    return _ed25519(keystore, AUDIT_ENTRY)


def report_private_key(keystore: Keystore) -> EllipticCurvePrivateKey:
    """The key that signs PDF reports. Raises KeystoreError."""
    key = _private_key(keystore, REPORT_ENTRY)
    if not isinstance(key, EllipticCurvePrivateKey):
        raise KeystoreError(f"the key {REPORT_ENTRY} is not an elliptic-curve key")
    return key


def evidence_public_key(path: Path) -> Ed25519PublicKey:
    """The key that proves evidence, or the audit log, from its PEM file. Raises KeystoreError."""
    try:
        key = load_pem_public_key(_read(path))
    except ValueError as error:
        raise KeystoreError(f"{path} does not hold a public key") from error
    if not isinstance(key, Ed25519PublicKey):
        raise KeystoreError(f"{path} does not hold an ed25519 public key")
    return key


def report_certificate(path: Path) -> x509.Certificate:
    """The certificate of the PDF signatures, from its PEM file. Raises KeystoreError."""
    try:
        return x509.load_pem_x509_certificate(_read(path))
    except ValueError as error:
        raise KeystoreError(f"{path} does not hold a certificate") from error


def _ensure_public(keystore: FileKeystore, entry: str, file: str) -> None:
    path = keystore.directory / file
    public = _ed25519(keystore, entry).public_key()
    if not path.exists():
        _write(path, public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    elif evidence_public_key(path) != public:
        raise _not_ours(path, entry)


def _ensure_report_certificate(keystore: FileKeystore, site_name: str, clock: Clock) -> None:
    path = keystore.directory / REPORT_CERTIFICATE_FILE
    key = report_private_key(keystore)
    if not path.exists():
        _write(path, _self_signed(key, site_name, clock).public_bytes(Encoding.PEM))
        return
    certified = report_certificate(path).public_key()
    if not isinstance(certified, EllipticCurvePublicKey) or certified != key.public_key():
        raise _not_ours(path, REPORT_ENTRY)


def _self_signed(key: EllipticCurvePrivateKey, site_name: str, clock: Clock) -> x509.Certificate:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, "drmgr report signing")]
    organisation = site_name.strip()[:LONGEST_NAME]
    if organisation:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation))
    name = x509.Name(attributes)
    now = clock.now()
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + CERTIFICATE_VALIDITY)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_signing_only(), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _signing_only() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _new_ed25519() -> bytes:
    return _private_bytes(Ed25519PrivateKey.generate())


def _private_bytes(key: Ed25519PrivateKey | EllipticCurvePrivateKey) -> bytes:
    # not encrypted once more: the keystore wraps it
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def _ed25519(keystore: Keystore, entry: str) -> Ed25519PrivateKey:
    key = _private_key(keystore, entry)
    if not isinstance(key, Ed25519PrivateKey):
        raise KeystoreError(f"the key {entry} is not an ed25519 key")
    return key


def _private_key(keystore: Keystore, name: str) -> object:
    try:
        return load_der_private_key(keystore.secret(name), password=None)
    except (ValueError, TypeError) as error:
        raise KeystoreError(f"the key {name} is not a private key") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise KeystoreError(
            f"{path} cannot be read: {(error.strerror or type(error).__name__).lower()}",
            hint="make it from the keystore with: drmgr keys init",
        ) from error


def _write(path: Path, content: bytes) -> None:
    try:
        write_atomically(path, content, mode=0o644)
    except OSError as error:
        raise KeystoreError(f"{path} cannot be written: {(error.strerror or type(error).__name__).lower()}") from error


def _not_ours(path: Path, entry: str) -> KeystoreError:
    return KeystoreError(
        f"{path} does not belong to the key {entry} in the keystore",
        hint="somebody exchanged it, or it is of another site; move it away and run: drmgr keys init",
    )
