"""Mutual TLS from files: what a server asks of its callers, what a client shows, and how both see new files.

Every process of a mesh has a certificate of its own, its key, and the authority that signed everybody's.
"""

import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import grpc
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from services.runtime.file_faults import fault

log = logging.getLogger(__name__)

T = TypeVar("T")
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
        loader = _Loader(self, _configuration)
        newer: Any = loader.newer  # may give None, unlike what the stubs say
        return grpc.dynamic_ssl_server_credentials(loader.first, newer, require_client_authentication=True)

    def server_context(self) -> ssl.SSLContext:
        """The same for a server that is not gRPC's."""
        loader = _Loader(self, _context)
        context = loader.first

        def newer(handshake: ssl.SSLObject, name: str | None, current: ssl.SSLContext) -> None:
            nonlocal context
            context = loader.newer() or context
            handshake.context = context

        context.sni_callback = newer  # called at each handshake, with a name or without
        return context


class _Loader(Generic[T]):
    """Asked before each handshake, by gRPC on its own threads. Each state of the files is tried once."""

    def __init__(self, files: TlsFiles, make: Callable[[Pems, TlsFiles], T]) -> None:
        self._files = files
        self._make = make
        self._tried = files.stamp()
        self.first = make(files.read(), files)

    def newer(self) -> T | None:
        """What the files hold now; None where that is nothing new, or not good: then what was good goes on."""
        stamp = self._files.stamp()
        if stamp == self._tried:
            return None
        self._tried = stamp
        try:
            made = self._make(self._files.read(), self._files)
        except BadCertificates as error:
            log.warning("new certificates are not used: %s", error)
            return None
        log.info("new certificates are in use", extra={"certificate": str(self._files.certificate)})
        return made


def _configuration(pems: Pems, files: TlsFiles) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(pems.private_key, pems.certificate)], pems.ca)


def _context(pems: Pems, files: TlsFiles) -> ssl.SSLContext:
    """Python takes certificates from files only: those that were checked may be others by now."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.verify_mode = ssl.CERT_REQUIRED
    made.set_alpn_protocols(["http/1.1"])
    try:
        made.load_cert_chain(files.certificate, files.private_key)
        made.load_verify_locations(cadata=pems.ca.decode("ascii"))
    except (OSError, ValueError) as error:
        raise BadCertificates(f"{files.certificate} and {files.private_key} cannot be used: {error}") from error
    return made


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadCertificates(f"{path} cannot be read: {fault(error)}") from error


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
