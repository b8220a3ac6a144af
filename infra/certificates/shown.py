"""What a certificate file says, for people and for deciding whether it has to be renewed."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature

SUFFIX = ".crt"


class NotACertificate(Exception):
    """A file cannot be read as a certificate."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One certificate: its name, for which hosts, from when until when."""

    name: str
    hosts: tuple[str, ...]
    begins: datetime
    ends: datetime
    serial: str
    certificate: x509.Certificate

    def share_left(self, now: datetime | None = None) -> float:
        """How much of its life is left, from 1 to below 0."""
        return (self.ends - (now or datetime.now(UTC))) / (self.ends - self.begins)

    def signed_by(self, ca: Path) -> bool:
        """Whether the first authority in the file signed it. Raises NotACertificate."""
        try:
            self.certificate.verify_directly_issued_by(read(ca).certificate)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return True


def read(path: Path) -> Shown:
    """The first certificate in the file. Raises NotACertificate."""
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())[0]
    except OSError as error:
        raise NotACertificate(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise NotACertificate(f"{path} is no PEM certificate") from error
    return Shown(
        path.name.removesuffix(SUFFIX), _hosts(found), found.not_valid_before_utc, found.not_valid_after_utc,
        f"{found.serial_number:x}", found,
    )  # fmt: skip


def show(folder: Path) -> list[Shown]:
    """All certificates of a folder, by name. Raises NotACertificate where there is none, or one cannot be read."""
    found = [read(path) for path in sorted(folder.glob(f"*{SUFFIX}"))]
    if not found:
        raise NotACertificate(f"there is no certificate (*{SUFFIX}) in {folder}")
    return found


def _hosts(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    addresses = [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    return (*names.get_values_for_type(x509.DNSName), *addresses)
