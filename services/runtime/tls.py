"""Mutual TLS from files: what a server asks of its callers, what a client shows, and how both see new files.

Every process of a mesh has a certificate of its own, its key, and the authority that signed everybody's.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

log = logging.getLogger(__name__)

Stamp = tuple[tuple[int, int, int], ...]
GONE = (0, 0, 0)


class BadCertificates(ValueError):
    """The files cannot be read, or do not belong together; the message says which."""


@dataclass(frozen=True, slots=True)
class Pems:
    """What the files hold."""

    certificate: bytes
    private_key: bytes
    ca: bytes


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The PEM files of one process: its certificate (or chain), its key, the mesh's authority."""

    certificate: Path
    private_key: Path
    ca: Path

    def read(self) -> Pems:
        """What the files hold now. Raises BadCertificates."""
        pems = Pems(_read(self.certificate), _read(self.private_key), _read(self.ca))
        _check(pems, self)
        return pems

    def stamp(self) -> Stamp:
        """Differs once a file was replaced, written to, or made readable. Never raises."""
        return tuple(_stamp(path) for path in (self.certificate, self.private_key, self.ca))

    def client(self) -> grpc.ChannelCredentials:
        """Shows the certificate and trusts the authority alone, as the files are now. Raises BadCertificates."""
        pems = self.read()
        return grpc.ssl_channel_credentials(pems.ca, pems.private_key, pems.certificate)

    def server(self) -> grpc.ServerCredentials:
        """Asks every caller for a certificate of the authority, and shows new files from the next handshake on.

        Raises BadCertificates.
        """
        loader = _Loader(self)
        newer: Any = loader.newer  # may give None, unlike what the stubs say
        return grpc.dynamic_ssl_server_credentials(loader.first, newer, require_client_authentication=True)


class _Loader:
    """Asked by gRPC, on its own threads, before each handshake. Each state of the files is tried once."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._tried = files.stamp()
        self.first = _configuration(files.read())

    def newer(self) -> grpc.ServerCertificateConfiguration | None:
        """What the files hold now; None where that is nothing new, or not good: then what was good goes on."""
        stamp = self._files.stamp()
        if stamp == self._tried:
            return None
        self._tried = stamp
        try:
            made = _configuration(self._files.read())
        except BadCertificates as error:
            log.warning("new certificates are not used: %s", error)
            return None
        log.info("new certificates are in use", extra={"certificate": str(self._files.certificate)})
        return made


def _configuration(pems: Pems) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(pems.private_key, pems.certificate)], pems.ca)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadCertificates(f"{path} cannot be read: {error.strerror}") from error


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return GONE
    return found.st_ino, found.st_size, found.st_ctime_ns


def _check(pems: Pems, files: TlsFiles) -> None:
    """Half of a replacement is no certificate: the key must be that of the certificate."""
    try:
        certificate = x509.load_pem_x509_certificates(pems.certificate)[0]
        x509.load_pem_x509_certificates(pems.ca)
    except ValueError as error:
        raise BadCertificates(f"{files.certificate} or {files.ca} is no PEM certificate") from error
    try:
        key = serialization.load_pem_private_key(pems.private_key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadCertificates(f"{files.private_key} is no PEM private key without a password") from error
    if key.public_key() != certificate.public_key():
        raise BadCertificates(f"{files.private_key} is not the key of {files.certificate}")
