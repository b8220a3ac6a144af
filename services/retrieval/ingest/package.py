"""Documents that are zip archives of XML: their entries by name, no more of them than is sane, XML without entities.

Nothing is unpacked to a disk: a name that leads out of the archive is a name like any other, which nothing asks for.
"""

import io
import posixpath
import zipfile
from collections.abc import Iterator
from urllib.parse import unquote
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from services.retrieval.errors import ContentTooLarge, DocumentUnreadable
from services.runtime.zips import ENCRYPTED, ZipLimits, excess

LIMITS = ZipLimits(entries=20_000, total_bytes=512 << 20, ratio=250, suspect_bytes=8 << 20)
MOST_ENTRY_BYTES = 128 << 20
"""What one entry that is read unpacks to."""
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


class Package:
    """The archive. Raises DocumentUnreadable for what is none, ContentTooLarge for what would unpack to too much."""

    def __init__(self, data: bytes) -> None:
        if data.startswith(_OLE):
            raise DocumentUnreadable("it needs a password, or is of an Office before 2007: save it anew without one")
        try:
            self._packed = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
            raise DocumentUnreadable(f"it is no archive as documents of its type are: {str(error)[:200]}") from error
        entries = self._packed.infolist()
        if why := excess(entries, LIMITS):
            raise ContentTooLarge(why)
        self._entries = {entry.filename: entry for entry in entries}

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def names(self) -> Iterator[str]:
        """The entries' names."""
        return iter(self._entries)

    def read(self, name: str) -> bytes:
        """An entry. Raises DocumentUnreadable where there is none or it is broken, ContentTooLarge."""
        entry = self._entries.get(name)
        if entry is None:
            raise DocumentUnreadable(f"{name[:100]!r}, a part of it, is not there")
        if entry.flag_bits & ENCRYPTED:
            raise DocumentUnreadable("it needs a password")
        if entry.file_size > MOST_ENTRY_BYTES:
            raise ContentTooLarge(f"a part of it unpacks to more than {MOST_ENTRY_BYTES >> 20} MiB")
        try:
            return self._packed.read(entry)  # no more than the size that the archive says
        except Exception as error:
            raise DocumentUnreadable(f"{name[:100]!r}, a part of it, is broken ({type(error).__name__})") from error

    def xml(self, name: str) -> Element:
        """An entry's root element. Raises DocumentUnreadable, ContentTooLarge."""
        return parse_xml(self.read(name), name)

    def has_entities(self) -> bool:
        """Whether an XML entry declares entities, for readers that parse it themselves."""
        xml = (name for name in self._entries if name.lower().endswith((".xml", ".rels")))
        return any(b"<!ENTITY" in self.read(name).replace(b"\0", b"") for name in xml)


def parse_xml(data: bytes, name: str = "it") -> Element:
    """The root element. Raises DocumentUnreadable for what is no XML, or declares entities."""
    try:
        return fromstring(data)
    except DefusedXmlException as error:
        raise DocumentUnreadable(f"{name[:100]} declares XML entities, which can unpack without end") from error
    except (ParseError, ValueError, LookupError) as error:
        raise DocumentUnreadable(f"{name[:100]} is no valid XML: {str(error)[:200]}") from error


def beside(name: str, target: str) -> str:
    """The name of an entry that another one names, relative to itself or from the top."""
    path = unquote(target.partition("#")[0])
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), path)).lstrip("/")
