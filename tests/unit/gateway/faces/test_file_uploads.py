"""The form of an upload as retrieval's requests."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from headworks.retrieval.v1 import file_service_pb2 as pb

from gateway.faces.http.forms import FormEvent, FormField
from gateway.faces.http.openai.errors import BadRequest
from gateway.faces.http.openai.stores.files import _upload

FILE, PURPOSE = FormField("file", "a.txt"), FormField("purpose")


def requests(*form: FormEvent) -> list[pb.CreateFileRequest]:
    async def events() -> AsyncIterator[FormEvent]:
        for event in form:
            yield event

    async def read() -> list[pb.CreateFileRequest]:
        return [request async for request in _upload(events())]

    return asyncio.run(read())


HEAD = pb.CreateFileRequest(head=pb.FileHead(filename="a.txt"))
LAST = pb.CreateFileRequest(purpose="assistants")


def chunk(data: bytes) -> pb.CreateFileRequest:
    return pb.CreateFileRequest(chunk=data)


def test_whichever_field_is_first() -> None:
    expected = [HEAD, chunk(b"x"), chunk(b"y"), LAST]
    assert requests(FILE, b"x", b"y", PURPOSE, b"assis", b"tants") == expected
    assert requests(PURPOSE, b"assistants", FILE, b"x", b"y") == expected


def test_chunks_are_of_a_mebibyte_at_most() -> None:
    sent = requests(FILE, b"x" * (5 << 19), PURPOSE, b"assistants")
    assert [len(request.chunk) for request in sent[1:-1]] == [1 << 20, 1 << 20, 1 << 19]


def test_a_purpose_that_is_missing_is_for_retrieval_to_refuse() -> None:
    assert requests(FILE, b"x")[-1] == pb.CreateFileRequest(purpose="")


@pytest.mark.parametrize(
    ("form", "where"),
    [
        ([], "file"),
        ([PURPOSE, b"assistants"], "file"),
        ([FormField("file"), b"x"], "file"),
        ([FILE, b"x", FILE, b"y"], "file"),
        ([FILE, b"x", FormField("expires_after[seconds]"), b"7"], "expires_after[seconds]"),
        ([PURPOSE, b"x" * 65], "purpose"),
    ],
)
def test_what_is_refused_is_named(form: list[FormEvent], where: str) -> None:
    with pytest.raises(BadRequest) as caught:
        requests(*form)
    assert caught.value.details["param"] == where
