"""The signature inside the PDF itself (PAdES-B-B): made here with the site's own key, no time server asked."""

from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from drmgr.errors import EvidenceError
from drmgr.system.files import write_atomically

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.serialization.pkcs12 import PKCS12PrivateKeyTypes
    from cryptography.x509 import Certificate

FIELD: Final = "drmgr"
"""Name of the signature field; it is invisible, for the visible signatures belong to people."""


@dataclass(frozen=True)
class PdfVerdict:
    ok: bool
    reason: str


def ready_to_sign() -> None:
    """Loads what signing needs, which takes a while, when there is nothing else to do."""
    import pyhanko.pdf_utils.incremental_writer
    import pyhanko.sign.general
    import pyhanko.sign.signers  # noqa: F401


def sign_pdf(pdf: Path, key: "PKCS12PrivateKeyTypes", certificate: "Certificate", when: datetime) -> None:
    """Signs the file in place with ``when`` as the claimed time of signing.

    Raises EvidenceError when the file is no PDF, when it is signed already, or when it cannot be written.
    """
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
    from pyhanko.pdf_utils.misc import PdfError
    from pyhanko.sign.general import SigningError

    output = BytesIO()
    try:
        writer = IncrementalPdfFileWriter(BytesIO(pdf.read_bytes()))
        if writer.prev.embedded_signatures:
            raise EvidenceError(f"{pdf.name} is signed already", hint="render the report again, then sign it")
        _signer(key, certificate, when).sign_pdf(writer, output=output)
        write_atomically(pdf, output.getvalue(), mode=0o644)
    except OSError as error:
        raise EvidenceError(
            f"{pdf.name} cannot be signed: {error.strerror}", hint="check the folder's rights"
        ) from error
    except (PdfError, SigningError) as error:
        raise EvidenceError(f"{pdf.name} cannot be signed: {error}", hint="render the report again") from error


def verify_pdf(pdf: Path, certificate: "Certificate") -> PdfVerdict:
    """Whether the PDF carries one whole-file signature made with exactly this certificate. Never raises for a bad file.

    The certificate is pinned: no authority is asked, and its end of validity does not matter to old reports.
    """
    from pyhanko.pdf_utils.misc import PdfError
    from pyhanko.pdf_utils.reader import PdfFileReader

    try:
        reader = PdfFileReader(BytesIO(pdf.read_bytes()))
        signatures = reader.embedded_signatures
        if len(signatures) != 1:
            return PdfVerdict(False, f"{pdf.name} carries {len(signatures)} signatures where one is expected")
        return _judge(pdf.name, signatures[0], certificate)
    except OSError as error:
        return PdfVerdict(False, f"{pdf.name} cannot be read: {error.strerror}")
    except (PdfError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        # a PDF that was changed at random makes the parser fail in many ways; all mean the same to the reader
        return PdfVerdict(False, f"{pdf.name} is damaged: its structure cannot be read")


def _judge(name: str, signature: Any, certificate: "Certificate") -> PdfVerdict:
    from cryptography.hazmat.primitives.serialization import Encoding
    from pyhanko.sign.general import CMSExtractionError
    from pyhanko.sign.validation.generic_cms import validate_sig_integrity
    from pyhanko.sign.validation.status import SignatureCoverageLevel

    try:
        if signature.signer_cert.dump() != certificate.public_bytes(Encoding.DER):
            return PdfVerdict(False, f"{name} is signed with another certificate")
        signature.compute_integrity_info()
        covered = signature.coverage == SignatureCoverageLevel.ENTIRE_FILE
        intact, valid = validate_sig_integrity(
            signature.signer_info,
            cert=signature.signer_cert,
            expected_content_type="data",
            actual_digest=signature.compute_digest(),
        )
    except CMSExtractionError:
        return PdfVerdict(False, f"the signature in {name} cannot be read")
    if not (intact and valid):
        return PdfVerdict(False, f"{name} was changed after it was signed")
    if not covered:
        return PdfVerdict(False, f"something was added to {name} after it was signed")
    return PdfVerdict(True, "the signature holds and covers the whole file")


def _signer(key: "PKCS12PrivateKeyTypes", certificate: "Certificate", when: datetime) -> Any:
    from cryptography.hazmat.primitives.serialization import NoEncryption
    from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
    from pyhanko.sign import fields, signers

    class TimedSigner(signers.PdfSigner):
        """Signs with the time it was given, so that the PDF says the same time as the evidence's catalog."""

        def init_signing_session(self, *args: Any, **options: Any) -> Any:
            session = super().init_signing_session(*args, **options)
            session.system_time = when
            return session

    bundle = serialize_key_and_certificates(None, key, certificate, None, NoEncryption())
    simple = signers.SimpleSigner.load_pkcs12_data(bundle, other_certs=[])
    metadata = signers.PdfSignatureMetadata(
        field_name=FIELD, md_algorithm="sha256", subfilter=fields.SigSeedSubFilter.PADES
    )
    return TimedSigner(metadata, signer=simple)
