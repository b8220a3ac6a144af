"""JSON, mail, reStructuredText and notebooks."""

import json
from contextlib import suppress
from email.message import EmailMessage
from pathlib import Path

import pytest

from services.retrieval.errors import DocumentUnreadable
from services.retrieval.ingest import json_data, mail
from services.retrieval.ingest.blocks import Extract, Kind
from services.retrieval.ingest.json_data import read_json, read_json_lines
from services.retrieval.ingest.mail import read_eml, read_mbox
from services.retrieval.ingest.notebooks import LONGEST_OUTPUT, read_ipynb
from services.retrieval.ingest.rst import read_rst

LONG = "Because the river is high. " * 20


def texts(extract: Extract) -> list[str]:
    return [block.text for block in extract.blocks]


def packed(value: object) -> bytes:
    return json.dumps(value).encode()


def message(subject: str = "Plans", text: str = "Hello.\n") -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "Ann <ann@example.org>", "bob@example.org", subject
    made["Date"] = "Mon, 06 May 2024 10:00:00 +0200"
    made.set_content(text)
    return made


def test_an_object_is_its_fields_and_what_is_within_by_name() -> None:
    extract = read_json(packed({
        "title": "Rivers", "open": True, "none": None, "tags": ["a", "b"],
        "price": {"amount": 5, "unit": {"of": "EUR"}},
        "parts": [{"name": "A", "size": {"x": 1}}, {"name": "B", "size": {"x": 2}}],
    }))  # fmt: skip
    assert texts(extract) == [
        "title: Rivers", "open: yes", "tags: a, b", "price", "amount: 5", "unit", "of: EUR", "parts",
        "name: A; size.x: 1", "name: B; size.x: 2",
    ]  # fmt: skip
    assert [block.level for block in extract.blocks if block.kind is Kind.HEADING] == [1, 2, 1]
    assert extract.title == "Rivers"


def test_a_long_record_stands_below_its_title() -> None:
    extract = read_json(packed([{"id": 7, "Title": "Why?", "answer": LONG}, {"a": 1}]))
    assert texts(extract) == ["Why?", "id: 7", LONG.strip(), "a: 1"]
    assert [block.kind for block in extract.blocks] == [Kind.HEADING, Kind.DEFINITION, Kind.TEXT, Kind.TABLE]


def test_a_line_of_json_lines_is_a_row() -> None:
    extract = read_json_lines(b'{"a": 1, "b": "x"}\n\n{"a": 2, "b": "y"}\n{"a": ')
    assert texts(extract) == ["a: 1; b: x", "a: 2; b: y"]
    assert list(extract.warnings) == ["no valid JSON: 1 line"]


def test_what_people_cannot_read_is_left_out_and_said() -> None:
    extract = read_json(packed([{"name": "A", "picture": "QUJD" * 1000}]))
    assert texts(extract) == ["name: A"]
    assert list(extract.warnings) == ["not read: 1 value that people cannot read"]


def test_records_beyond_the_limit_are_left_out_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_data, "MOST_RECORDS", 2)
    extract = read_json_lines(b'{"a": 1}\n' * 5)
    assert len(extract.blocks) == 2
    assert list(extract.warnings) == ["not read: 3 records behind the first 2"]


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"{", "valid JSON"),
        (b"text", "valid JSON"),
        (b'{"a": NaN}', "valid JSON"),
        (b"[" * 100_000 + b"]" * 100_000, "valid JSON"),
        (b'{"a":' * 200 + b"1" + b"}" * 200, "nested"),
        (b"[" * 200 + b"1" + b"]" * 200, "nested"),
    ],
)
def test_what_is_no_json_or_too_deep_is_refused(data: bytes, match: str) -> None:
    with pytest.raises(DocumentUnreadable, match=match):
        read_json(data)


def test_lines_that_are_mostly_no_json_are_refused() -> None:
    with pytest.raises(DocumentUnreadable, match="3 of its 4 lines"):
        read_json_lines(b"1\nx\ny\nz\n")


def test_a_message_is_its_subject_headers_and_text() -> None:
    made = message("Café plans", "Hello café.\n\nBye.\n")
    made.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="a.pdf")
    extract = read_eml(bytes(made))
    assert texts(extract) == [
        "Café plans", "From: Ann <ann@example.org>", "To: bob@example.org", "Date: 2024-05-06T10:00:00+02:00",
        "Hello café.", "Bye.", "Attachments: a.pdf",
    ]  # fmt: skip
    assert extract.title == "Café plans"
    assert extract.labels == {"from": "Ann <ann@example.org>", "date": "2024-05-06T10:00:00+02:00"}
    assert list(extract.warnings) == ["not read: 1 attachment, but for the name"]


def test_of_two_forms_of_a_message_the_text_is_read_and_of_a_page_its_blocks() -> None:
    both = message(text="As text.")
    both.add_alternative("<p>As a page.</p>", subtype="html")
    assert texts(read_eml(bytes(both)))[-1] == "As text."
    page = message()
    page.set_content(
        "<h1>Hi</h1><table><tr><th>Part</th><th>Price</th></tr><tr><td>A</td><td>1</td></tr></table>", "html"
    )
    extract = read_eml(bytes(page))
    assert texts(extract)[-2:] == ["Hi", "Part: A; Price: 1"]
    assert [block.level for block in extract.blocks if block.kind is Kind.HEADING] == [1, 2]


def test_of_an_endless_header_the_beginning_is_read() -> None:
    extract = read_eml(b"Subject: Gates " + b"=?utf-8?q?a?= " * 60_000 + b"\nFrom: a@b\n\nwater")
    assert extract.title.startswith("Gates a")
    assert len(extract.title) < 2000
    assert texts(extract)[-1] == "water"


@pytest.mark.parametrize("charset", ["iso-8859-1", "no-such", "utf-8", "us-ascii"])
def test_a_charset_that_is_wrong_costs_nothing_but_letters(charset: str) -> None:
    head = f"Subject: x\nContent-Type: text/plain; charset={charset}\nContent-Transfer-Encoding: 8bit\n\n".encode()
    body = "Die Gewährleistung beträgt zwei Jahre und gilt nicht für Schäden, die durch Nutzung entstehen."
    assert texts(read_eml(head + body.encode("cp1252")))[-1] == body


def test_a_mailbox_is_its_messages() -> None:
    box = b"From a@b Mon May  6 10:00:00 2024\nSubject: One\n\nfirst\n>From here\n\nFrom a@b Mon May  6 10:00:00 2024\n"
    extract = read_mbox(box + b"Subject: Two\n\nsecond\n")
    assert texts(extract) == ["One", "first\nFrom here", "Two", "second"]


def test_messages_beyond_the_limit_are_left_out_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "MOST_MESSAGES", 2)
    extract = read_mbox(b"From a@b Mon May  6 10:00:00 2024\nSubject: One\n\nfirst\n\n" * 5)
    assert len(extract.blocks) == 4
    assert list(extract.warnings) == ["not read: 3 messages behind the first 2"]


@pytest.mark.parametrize("data", [b"", b"just text\n", b"\x00\x01", b"{}"])
def test_what_is_no_mail_is_refused(data: bytes) -> None:
    for reader in (read_eml, read_mbox):
        with pytest.raises(DocumentUnreadable):
            reader(data)


def test_deeply_nested_messages_do_no_harm() -> None:
    parts = "".join(f'Content-Type: multipart/mixed; boundary="{n}"\n\n--{n}\n' for n in range(3000))
    with suppress(DocumentUnreadable):
        read_eml(b"From: a@b\n" + parts.encode())


RST = b"""
Manual
======

See :ref:`the guide <guide>` and :py:func:`open`. A `link <http://example.org>`_.

.. versionadded:: 1.2
   It can *dream*.

.. toctree::
   :maxdepth: 2

   other

Options
-------

.. option:: --timeout SECONDS
   :noindex:

   Longest time. The default is 30.

.. note:: Take care.

=====  =====
Part   Price
=====  =====
Mixer  100
Bowl   20
=====  =====

.. code-block:: python

   print(1)

.. a comment
"""


def test_restructured_text() -> None:
    extract = read_rst(RST)
    assert texts(extract) == [
        "Manual", "See the guide and open. A link.", "1.2: It can dream.", "Options",
        "--timeout SECONDS: Longest time. The default is 30.", "Note", "Take care.", "Part: Mixer; Price: 100",
        "Part: Bowl; Price: 20", "```\nprint(1)\n```",
    ]  # fmt: skip
    assert [block.level for block in extract.blocks if block.kind is Kind.HEADING] == [1, 2]
    assert extract.title == "Manual"


def test_nothing_is_included_and_nothing_raw_is_passed_on(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("the secret")
    for directive in ("include", "literalinclude", "raw:: html\n   :file", "csv-table:: x\n   :file"):
        text = f"Before.\n\n.. {directive}:: {tmp_path / 'secret'}\n\n.. raw:: html\n\n   <p>raw</p>\n\nAfter.\n"
        found = "\n".join(texts(read_rst(text.replace("file::", "file:").encode())))
        assert "the secret" not in found
        assert "raw" not in found.replace(str(tmp_path), "")
        assert "After." in found


def test_a_notebook_is_its_markdown_code_and_texts() -> None:
    extract = read_ipynb(packed({
        "cells": [
            {"cell_type": "markdown", "source": ["# T\n", "text"]},
            {"cell_type": "code", "source": "print(1)", "outputs": [
                {"text": ["1\n"]}, {"data": {"text/plain": "2", "image/png": "xx"}}, {"data": {"image/png": "xx"}}]},
            {"cell_type": "code", "source": "x", "outputs": [{"text": "y" * (LONGEST_OUTPUT + 1)}]},
            {"cell_type": "raw", "source": "raw"},
        ],
        "metadata": {"kernelspec": {"language": "python"}},
    }))  # fmt: skip
    assert texts(extract)[:4] == ["# T", "text", "```python\nprint(1)\n```", "```\n1\n2\n```"]
    assert texts(extract)[-1] == "raw"
    assert extract.title == "T"
    assert list(extract.warnings) == [f"cut to {LONGEST_OUTPUT:,} characters: the outputs of 1 cell"]


@pytest.mark.parametrize("data", [b"{", b"[]", b"{}", b'{"cells": 5}', b'{"cells": [5]}', b'{"worksheets": []}'])
def test_what_is_no_notebook_is_refused(data: bytes) -> None:
    with pytest.raises(DocumentUnreadable):
        read_ipynb(data)
