import pytest

from bench.load.http1 import BadResponse, Response, ResponseReader, request

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n"


@pytest.mark.parametrize(("wire", "body"), [(LENGTH, b"hello"), (CHUNKS, b"hello world")])
@pytest.mark.parametrize("step", [1, 2, 7, 1000])
def test_a_response_may_come_in_any_pieces(wire: bytes, body: bytes, step: int) -> None:
    reader = ResponseReader()
    answers = [reader.feed(wire[at : at + step]) for at in range(0, len(wire), step)]
    assert answers[-1] == Response(200, body, close=False)
    assert all(answer is None for answer in answers[:-1])


def test_responses_follow_one_another() -> None:
    reader = ResponseReader()
    assert reader.feed(CHUNKS) == Response(200, b"hello world", close=False)
    assert reader.feed(LENGTH) == Response(200, b"hello", close=False)


def test_the_first_byte_of_a_body_is_seen() -> None:
    reader = ResponseReader()
    head, _, body = CHUNKS.partition(b"\r\n\r\n")
    reader.feed(head + b"\r\n\r\n")
    assert not reader.body_begun
    reader.feed(body[:8])
    assert reader.body_begun


def test_closing_and_empty_responses() -> None:
    assert ResponseReader().feed(b"HTTP/1.1 503 Busy\r\nconnection: close\r\ncontent-length: 0\r\n\r\n") == Response(
        503, b"", close=True
    )
    assert ResponseReader().feed(b"HTTP/1.1 204 No Content\r\n\r\n") == Response(204, b"", close=False)


@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
        b"x" * 70000,
    ],
)
def test_what_is_not_http_is_refused(wire: bytes) -> None:
    with pytest.raises(BadResponse):
        ResponseReader().feed(wire)


def test_a_request_on_the_wire() -> None:
    wire = request("/v1/x", "here:80", {"authorization": "Bearer k"}, b"{}")
    head, _, body = wire.partition(b"\r\n\r\n")
    assert body == b"{}"
    assert head.decode().split("\r\n") == [
        "POST /v1/x HTTP/1.1",
        "host: here:80",
        "content-type: application/json",
        "content-length: 2",
        "authorization: Bearer k",
    ]


@pytest.mark.parametrize("step", [1, 2, 7, 1000])
def test_a_body_can_be_taken_as_it_comes(step: int) -> None:
    reader = ResponseReader()
    found = b""
    for at in range(0, len(CHUNKS), step):
        response = reader.feed(CHUNKS[at : at + step])
        found += response.body if response else reader.take()
    assert found == b"hello world"
