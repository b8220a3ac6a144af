"""Files and who asks for them."""

from dataclasses import dataclass
from typing import TypeAlias

PURPOSES = ("assistants", "user_data")


@dataclass(frozen=True, slots=True)
class Owner:
    """Who asks: a user or a service account of a tenant, whose files it sees; with `others`, all of the tenant."""

    tenant: str
    subject: str
    others: bool = False


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file's record. `created`: seconds since the epoch."""

    id: str
    tenant: str
    subject: str
    filename: str
    purpose: str
    size: int
    created: float


@dataclass(frozen=True, slots=True)
class UploadHead:
    """Begins an upload."""

    filename: str


@dataclass(frozen=True, slots=True)
class UploadChunk:
    """The next bytes of an upload."""

    data: bytes


@dataclass(frozen=True, slots=True)
class UploadPurpose:
    """What the file is for."""

    purpose: str


UploadMessage: TypeAlias = UploadHead | UploadChunk | UploadPurpose


@dataclass(frozen=True, slots=True)
class PageOf:
    """Which part of a list is wanted: at most `size` of what follows the one with the id `after`."""

    size: int
    after: str = ""
    ascending: bool = False
