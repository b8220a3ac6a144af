"""Limits on what callers may name things."""

import re
from collections.abc import Mapping, Sequence

from services.retrieval.errors import DocumentInvalid
from services.retrieval.model import DEFAULT_MAX_CHARS
from services.runtime import labels
from services.runtime.errors import InvalidArgument

COLLECTION = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
SHA256 = re.compile(r"[0-9a-f]{64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BLANK = re.compile(r"[\x00-\x20]+")
# Schemes of addresses that run where they are opened.
_RUNS = ("javascript", "vbscript", "data")
MAX_ID_BYTES = 1024
MAX_URI = 4096
MAX_TITLE = 1024
MAX_GROUPS = 64
MAX_GROUP = 200
MAX_CHARS = range(200, 8001)
LARGEST_PAGE = 1000
DEFAULT_PAGE = 100


def collection_name(name: str) -> str:
    """`name`, if a collection can have it. Raises InvalidArgument."""
    if not COLLECTION.fullmatch(name):
        raise InvalidArgument(
            "a collection's name is 1 to 64 of a-z, 0-9, '-' and '_' and begins with a letter or a digit"
        )
    return name


def max_chars(value: int) -> int:
    """The longest passage, with its default for 0. Raises InvalidArgument."""
    if value == 0:
        return DEFAULT_MAX_CHARS
    if value not in MAX_CHARS:
        raise InvalidArgument(f"max_chars must be from {MAX_CHARS.start} to {MAX_CHARS.stop - 1}, not {value}")
    return value


def page_size(value: int) -> int:
    """How many to list, with its default for 0. Raises InvalidArgument."""
    if not 0 <= value <= LARGEST_PAGE:
        raise InvalidArgument(f"page_size must be from 0 to {LARGEST_PAGE}, not {value}")
    return value or DEFAULT_PAGE


def check_document(document_id: str, uri: str, title: str, content_hash: str) -> None:
    """Raises DocumentInvalid where a field of the document's head is malformed."""
    if not 1 <= len(document_id.encode()) <= MAX_ID_BYTES:
        raise DocumentInvalid(f"a document's id has 1 to {MAX_ID_BYTES} bytes")
    if _CONTROL.search(document_id):
        raise DocumentInvalid("a document's id has no control characters")
    if len(uri) > MAX_URI:
        raise DocumentInvalid(f"a document's uri has at most {MAX_URI} characters")
    if _BLANK.sub("", uri[:100]).partition(":")[0].lower() in _RUNS:  # as browsers read them
        raise DocumentInvalid("a document's uri is no address that runs where it is opened, such as javascript:")
    if len(title) > MAX_TITLE:
        raise DocumentInvalid(f"a document's title has at most {MAX_TITLE} characters")
    if content_hash and not SHA256.fullmatch(content_hash):
        raise DocumentInvalid("content_hash is a SHA-256 in lower-case hexadecimal")


def check_metadata(metadata: Mapping[str, str]) -> None:
    """Raises DocumentInvalid where the labels pass a limit."""
    if wrong := labels.fault(metadata):
        raise DocumentInvalid(wrong)


def check_groups(access_groups: Sequence[str]) -> None:
    """Raises DocumentInvalid where an access list passes a limit."""
    if len(access_groups) > MAX_GROUPS:
        raise DocumentInvalid(f"a document names at most {MAX_GROUPS} access groups")
    if not all(1 <= len(group) <= MAX_GROUP and group.isprintable() for group in access_groups):
        raise DocumentInvalid(f"an access group has 1 to {MAX_GROUP} printable characters")
