"""Forms, in whatever pieces they come."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.faces.http.errors import UnsupportedType
from gateway.faces.http.forms import MOST_FIELDS, FormEvent, FormField, read_form
from services.runtime.errors import InvalidArgument

TYPE = 'multipart/form-data; boundary="x-y"'


def form(*fields: tuple[str, bytes]) -> bytes:
    parts = [
        b"--x-y\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + data + b"\r\n"
        for head, data in fields
    ]
    return b"".join(parts) + b"--x-y--\r\n"


def read(pieces: Sequence[bytes], content_type: str = TYPE) -> list[FormEvent]:
    async def body() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    async def events() -> list[FormEvent]:
        return [event async for event in read_form(content_type, body())]

    return asyncio.run(events())


def whole(events: list[FormEvent]) -> list[tuple[FormField, bytes]]:
    found: list[tuple[FormField, bytes]] = []
    for event in events:
        if isinstance(event, FormField):
            found.append((event, b""))
        else:
            field, data = found[-1]
            found[-1] = (field, data + event)
    return found


BODY = form(('name="purpose"', b"user_data"), ('name="file"; filename="a b.txt"', b"one\r\n--x-\r\ntwo"))


@given(st.lists(st.integers(0, len(BODY)), max_size=6))
def test_the_same_in_any_pieces(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(BODY)]
    pieces = [BODY[start:end] for start, end in pairwise(places)]
    assert whole(read(pieces)) == [
        (FormField("purpose"), b"user_data"),
        (FormField("file", "a b.txt"), b"one\r\n--x-\r\ntwo"),
    ]


def test_an_empty_file_has_no_bytes() -> None:
    assert read([form(('name="file"; filename=""', b""))]) == [FormField("file", "")]


@pytest.mark.parametrize(
    "content_type", ["", "application/json", "multipart/form-data", "multipart/mixed; boundary=x-y"]
)
def test_other_types_are_refused(content_type: str) -> None:
    with pytest.raises(UnsupportedType):
        read([BODY], content_type)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no form",
        BODY[:-6],
        BODY[: len(BODY) // 2],
        form(('filename="a"', b"x")),
        form(*[(f'name="f{number}"', b"") for number in range(MOST_FIELDS + 1)]),
        b"--x-y\r\n" + b"a: " + b"b" * 100_000 + b"\r\n\r\nx\r\n--x-y--\r\n",
    ],
    ids=["nothing", "no form", "no end", "half", "no name", "too many fields", "a long header"],
)
def test_what_is_no_form_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidArgument):
        read([body])


def test_a_long_boundary_is_refused() -> None:
    with pytest.raises(InvalidArgument):
        read([BODY], f"multipart/form-data; boundary={'x' * 5000}")
