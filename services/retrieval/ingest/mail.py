"""Reads mail: a message as a heading with its subject, who wrote it when, and its text; attachments by their names."""

import re
from collections.abc import Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import parsedate_to_datetime
from typing import Any

from services.retrieval.errors import DocumentUnreadable, EncodingUnknown
from services.retrieval.ingest.blocks import Block, Extract, Kind, lowered
from services.retrieval.ingest.faults import reading
from services.retrieval.ingest.html import read_page
from services.retrieval.ingest.omissions import omissions
from services.retrieval.ingest.outline import Outline
from services.retrieval.ingest.plain import write_plain
from services.retrieval.ingest.text import decode

MOST_MESSAGES = 50_000
MOST_NAMED = 20
LONGEST_HEADER = 10_000
UNREAD = "not read: {} attachment(s), but for the name"
_HEADERS = ("From", "To", "Date")
_START = re.compile(rb"^From \S+.*\d{4}\s*$", re.MULTILINE)
_QUOTED_START = re.compile(rb"^>(>*From )", re.MULTILINE)


def read_eml(data: bytes) -> Extract:
    """Raises DocumentUnreadable."""
    message = _parsed(data)
    if not any(name in message for name in ("From", "Subject", "Date", "Message-ID")):
        raise DocumentUnreadable("it does not begin as a message does, by From, Subject or Date")
    blocks: list[Block] = []
    unread = _write(message, blocks)
    labels = {name.lower(): text for name in ("From", "Date") if (text := _header(message, name))}
    return Extract(_header(message, "Subject"), blocks, labels, warnings=omissions((unread, UNREAD)))


def read_mbox(data: bytes) -> Extract:
    """Raises DocumentUnreadable."""
    starts = [start.start() for start in _START.finditer(data)]
    if not starts or data[: starts[0]].strip():
        raise DocumentUnreadable("it does not begin as a mailbox does, by `From ADDRESS DATE`")
    blocks: list[Block] = []
    unread = broken = 0
    for first, last in zip(starts[:MOST_MESSAGES], [*starts[1:], len(data)], strict=False):
        lines = data[first:last].partition(b"\n")[2]
        try:
            unread += _write(_parsed(_QUOTED_START.sub(rb"\1", lines)), blocks)
        except DocumentUnreadable:
            broken += 1
    left = max(0, len(starts) - MOST_MESSAGES)
    warnings = omissions(
        (left, f"not read: {{}} message(s) behind the first {MOST_MESSAGES:,}"),
        (broken, "broken: {} message(s)"),
        (unread, UNREAD),
    )
    return Extract("", blocks, warnings=warnings)


class _Policy(EmailPolicy):
    """Reads the beginning of a header that is far longer than any: read whole it takes a thousand times its length."""

    def header_fetch_parse(self, name: str, value: str) -> Any:
        return super().header_fetch_parse(name, value[:LONGEST_HEADER])


_POLICY: Any = _Policy()  # whose type has that of its messages, which a subclass cannot say in Python 3.11


def _parsed(data: bytes) -> EmailMessage:
    with reading("the message"):
        return message_from_bytes(data, policy=_POLICY)


def _write(message: EmailMessage, blocks: list[Block]) -> int:
    """Write a message; how many attachments it has."""
    with reading("the message"):
        outline = Outline()
        subject = _header(message, "Subject")
        outline.heading(1, subject or "(no subject)")
        for name in _HEADERS:
            if text := _header(message, name):
                outline.open_definition(name)
                outline.write(text)
                outline.close()
        _write_body(message, outline)
        names = list(_attachments(message))
        blocks += outline.blocks
        if names:
            more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
            blocks.append(Block(Kind.TEXT, f"Attachments: {', '.join(names[:MOST_NAMED])}{more}"))
    return len(names)


def _write_body(message: EmailMessage, outline: Outline) -> None:
    """Write the text, or else the page, below the message's heading."""
    part = message.get_body(("plain", "html"))
    if not isinstance(part, EmailMessage):
        return
    text = _text(part)
    first = len(outline.blocks)
    if part.get_content_type() == "text/html":
        outline.blocks += read_page(text).blocks
    else:
        write_plain(text, outline)
    outline.blocks[first:] = lowered(outline.blocks[first:], 1)


def _text(part: EmailMessage) -> str:
    """A part's text in the charset that it names; by what it reads as where that is wrong."""
    try:
        return str(part.get_content(errors="strict"))
    except (LookupError, UnicodeError):
        payload = part.get_payload(decode=True)
    data = payload if isinstance(payload, bytes) else b""
    try:
        return decode(data).text
    except (DocumentUnreadable, EncodingUnknown):
        return data.decode("ascii", "replace")


def _attachments(message: EmailMessage) -> Iterator[str]:
    for part in message.iter_attachments():
        if isinstance(part, EmailMessage):
            yield " ".join((part.get_filename() or part.get_content_type()).split())[:200]


def _header(message: EmailMessage, name: str) -> str:
    """A header in one line, a date as ISO 8601; "" where it is not there or broken."""
    try:
        text = " ".join(str(message.get(name, "")).split())
        return parsedate_to_datetime(text).isoformat() if name == "Date" and text else text
    except (ValueError, TypeError, IndexError, AttributeError, LookupError):
        return ""
