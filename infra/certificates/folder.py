"""The certificates of a mesh as files: NAME.crt and NAME.key for each holder, ca.crt and ca.key for the authority."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from infra.certificates.authority import Issued, Subject, alternative_names, issue, make_authority
from infra.certificates.shown import NotACertificate, read
from services.runtime.tls import TlsFiles

CA = "ca"
EDGE = "edge"
OPERATOR = "operator"
"""The supervisor of a local mesh: it asks the services how they are, and tells control where they are."""
SERVICES = ("control", "envoy", "gateway", "orchestrator", "retrieval", "triton")
LOOPBACK = ("localhost", "127.0.0.1", "::1")
DAYS = 90.0
CA_DAYS = 3650.0
# Of a certificate's life: with less than this left it is made anew.
RENEW_AT = 1 / 3


class MissingCertificates(Exception):
    """A folder lacks files of a mesh; the message names one."""


@dataclass(frozen=True, slots=True)
class Folder:
    """Where the files are."""

    root: Path

    @property
    def ca(self) -> Path:
        return self.certificate(CA)

    def certificate(self, name: str) -> Path:
        return self.root / f"{name}.crt"

    def private_key(self, name: str) -> Path:
        return self.root / f"{name}.key"

    def files(self, name: str) -> TlsFiles:
        """Those of one holder."""
        return TlsFiles(self.certificate(name), self.private_key(name), self.ca)

    def check(self) -> None:
        """Raises MissingCertificates, or BadCertificates, unless every holder has its files."""
        for subject in subjects(()):
            for path in (self.ca, self.certificate(subject.name), self.private_key(subject.name)):
                if not path.is_file():
                    raise MissingCertificates(f"{path} is missing; `headworks certs make --out {self.root}` makes it")
            self.files(subject.name).read()


def subjects(hosts: Iterable[str]) -> list[Subject]:
    """Everybody in a mesh. The edge answers for `hosts` too, and calls nobody."""
    services = [Subject(name, (name, *LOOPBACK)) for name in (*SERVICES, OPERATOR)]
    return [Subject(EDGE, (*LOOPBACK, *hosts), client=False), *services]


def ensure(
    folder: Folder, hosts: Iterable[str] = (), days: float = DAYS, force: bool = False, now: datetime | None = None
) -> list[str]:
    """Make what is missing, about to end, unreadable, or not for these hosts; with `force`, all but the authority.

    Returns the names of those made. Hosts that the edge's certificate already has stay in the new one. Raises
    ValueError for a host that cannot be, OSError.
    """
    wanted = subjects(dict.fromkeys((*_edge_hosts(folder), *hosts)))
    alternative_names(host for subject in wanted for host in subject.hosts)  # before anything is written
    folder.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    made: list[str] = []
    authority = _authority(folder, now)
    if authority is None:
        authority = make_authority(CA_DAYS)
        _write(folder, CA, authority)
        made.append(CA)
    for subject in wanted:
        if force or CA in made or not _good(folder, subject, now):
            _write(folder, subject.name, issue(authority, subject, days))
            made.append(subject.name)
    return made


def _authority(folder: Folder, now: datetime | None) -> Issued | None:
    """The one that is there; None where there is none, or it ends soon."""
    try:
        folder.files(CA).read()
        if read(folder.ca).share_left(now) < RENEW_AT:
            return None
        return Issued(folder.ca.read_bytes(), folder.private_key(CA).read_bytes())
    except (NotACertificate, ValueError):
        return None


def _good(folder: Folder, subject: Subject, now: datetime | None) -> bool:
    """Whether the holder's files are there, belong together and to the authority, have its hosts and last."""
    try:
        folder.files(subject.name).read()
        shown = read(folder.certificate(subject.name))
        return (
            shown.share_left(now) >= RENEW_AT and set(subject.hosts) <= set(shown.hosts) and shown.signed_by(folder.ca)
        )
    except (NotACertificate, ValueError):
        return False


def _edge_hosts(folder: Folder) -> tuple[str, ...]:
    try:
        return read(folder.certificate(EDGE)).hosts
    except NotACertificate:
        return ()


def _write(folder: Folder, name: str, issued: Issued) -> None:
    """The key first: who finds a new key beside an old certificate waits for the other."""
    _replace(folder.private_key(name), issued.private_key, 0o600)
    _replace(folder.certificate(name), issued.certificate, 0o644)


def _replace(path: Path, content: bytes, mode: int) -> None:
    """By a rename, with this mode from the start: nobody reads a part of it, and nobody else a key."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
