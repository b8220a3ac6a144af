"""An authority of one's own, and the certificates that it signs: X.509 with ECDSA on P-256. No files here."""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY = "Headworks development CA"
LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
# A clock that is a little behind is to find a new certificate valid.
BEFORE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a certificate is for: a name, the hosts and addresses it answers for, and whether it also calls others."""

    name: str
    hosts: tuple[str, ...]
    client: bool = True


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its private key, both in PEM."""

    certificate: bytes
    private_key: bytes


def make_authority(days: float) -> Issued:
    """A new authority, valid for `days`. It signs certificates and no further authorities."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(AUTHORITY)
    usage = _usage(key_cert_sign=True, crl_sign=True)
    builder = _builder(name, name, key, days).add_extension(x509.BasicConstraints(True, 0), critical=True)
    builder = builder.add_extension(usage, critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    return _issued(builder.sign(key, hashes.SHA256()), key)


def issue(authority: Issued, subject: Subject, days: float) -> Issued:
    """A certificate signed by `authority`, with a new key. It ends no later than the authority.

    Raises ValueError for a host that is neither a name nor an address.
    """
    signer = serialization.load_pem_private_key(authority.private_key, password=None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise ValueError("the authority's key is not of an elliptic curve")  # made elsewhere
    issuer = x509.load_pem_x509_certificate(authority.certificate)
    key = ec.generate_private_key(ec.SECP256R1())
    left = (issuer.not_valid_after_utc - datetime.now(UTC)) / timedelta(days=1)
    uses = [ExtendedKeyUsageOID.SERVER_AUTH, *([ExtendedKeyUsageOID.CLIENT_AUTH] if subject.client else [])]
    builder = (
        _builder(_name(subject.name), issuer.subject, key, min(days, left))
        .add_extension(x509.BasicConstraints(False, None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternative_names(subject.hosts)), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    return _issued(builder.sign(signer, hashes.SHA256()), key)


def alternative_names(hosts: Iterable[str]) -> list[x509.GeneralName]:
    """Each host as an address, or else as a name. Raises ValueError."""
    return [_alternative_name(host) for host in dict.fromkeys(hosts)]


def _alternative_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    labels = host.removeprefix("*.").split(".")
    if not all(LABEL.fullmatch(label) for label in labels):
        raise ValueError(f"{host!r} is neither a host name nor an address")
    return x509.DNSName(host)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: float
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BEFORE)
        .not_valid_after(now + timedelta(days=days))
    )


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=key_cert_sign, crl_sign=crl_sign, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _issued(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Issued:
    form = serialization.PrivateFormat.PKCS8
    private = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    return Issued(certificate.public_bytes(serialization.Encoding.PEM), private)
