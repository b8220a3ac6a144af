"""Domain errors to statuses and back."""

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc.aio import Metadata

from services.runtime import clients, errors, statuses
from services.runtime.errors import DomainError, ErrorKind, UpstreamError


def answered(
    code: grpc.StatusCode, error: DomainError | None = None, text: str = "its own words"
) -> grpc.aio.AioRpcError:
    trailing = Metadata(*statuses.details(error)) if error else Metadata(("server", "someone"))
    return grpc.aio.AioRpcError(code, Metadata(), trailing, error.message if error else text, None)


@pytest.mark.parametrize("kind", ErrorKind)
def test_a_kind_is_the_status_code_of_its_number(kind: ErrorKind) -> None:
    assert statuses.CODES[kind].value[0] == int(kind)
    assert statuses.CODES[kind].name == kind.name


@pytest.mark.parametrize(
    ("error", "kind", "reason", "metadata"),
    [
        (errors.InvalidArgument("x", field="f"), ErrorKind.INVALID_ARGUMENT, "INVALID_ARGUMENT", {"field": "f"}),
        (errors.Unauthenticated("x"), ErrorKind.UNAUTHENTICATED, "UNAUTHENTICATED", {}),
        (errors.PermissionDenied("x"), ErrorKind.PERMISSION_DENIED, "PERMISSION_DENIED", {}),
        (errors.DeadlineExceeded("x"), ErrorKind.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", {}),
        (errors.Unavailable("x"), ErrorKind.UNAVAILABLE, "UNAVAILABLE", {}),
        (errors.CollectionNotFound("c"), ErrorKind.NOT_FOUND, "COLLECTION_NOT_FOUND", {"collection": "c"}),
        (errors.ModelNotFound("m"), ErrorKind.NOT_FOUND, "MODEL_NOT_FOUND", {"model": "m"}),
        (UpstreamError(ErrorKind.ALREADY_EXISTS, "TAKEN", "x", name="n"), ErrorKind.ALREADY_EXISTS, "TAKEN",
         {"name": "n"}),
    ],
)  # fmt: skip
def test_an_error_survives_the_way_to_another_service(
    error: DomainError, kind: ErrorKind, reason: str, metadata: dict[str, str]
) -> None:
    back = statuses.from_rpc_error(answered(statuses.CODES[error.kind], error))
    assert (back.kind, back.reason, back.message, back.details) == (kind, reason, error.message, metadata)


@pytest.mark.parametrize("seconds", [None, 0.0, 1.5, 3600.0])
def test_when_to_try_again_survives_the_way_too(seconds: float | None) -> None:
    error = UpstreamError(ErrorKind.RESOURCE_EXHAUSTED, "FULL", "x", limit="3").retry_in(seconds)
    back = statuses.from_rpc_error(answered(grpc.StatusCode.RESOURCE_EXHAUSTED, error))
    again = statuses.from_rpc_error(answered(grpc.StatusCode.RESOURCE_EXHAUSTED, back))
    assert (back.retry_after, again.retry_after, again.details) == (seconds, seconds, {"limit": "3"})


@pytest.mark.parametrize("name", ["kind", "reason", "message", "self"])
def test_details_may_be_called_anything(name: str) -> None:
    info = any_pb2.Any()
    info.Pack(error_details_pb2.ErrorInfo(reason="WHY", metadata={name: "value"}))
    status = status_pb2.Status(code=5, details=[info])
    trailing = Metadata((statuses.DETAILS_KEY, status.SerializeToString()))
    error = statuses.from_rpc_error(grpc.aio.AioRpcError(grpc.StatusCode.NOT_FOUND, Metadata(), trailing, "gone", None))
    assert (error.kind, error.reason, error.message, error.details) == (
        ErrorKind.NOT_FOUND,
        "WHY",
        "gone",
        {name: "value"},
    )


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.UNAVAILABLE, ErrorKind.UNAVAILABLE),
        (grpc.StatusCode.NOT_FOUND, ErrorKind.NOT_FOUND),
        (grpc.StatusCode.UNKNOWN, ErrorKind.INTERNAL),
        (grpc.StatusCode.UNIMPLEMENTED, ErrorKind.INTERNAL),
        (grpc.StatusCode.DATA_LOSS, ErrorKind.INTERNAL),
    ],
)
def test_words_that_came_without_an_error_info_are_not_passed_on(code: grpc.StatusCode, kind: ErrorKind) -> None:
    error = statuses.from_rpc_error(answered(code, text="SELECT secret"))
    assert (error.kind, error.reason) == (kind, code.name)
    assert "secret" not in error.message


@pytest.mark.parametrize(
    ("package", "name"),
    [
        ("headworks.retrieval.v1", "retrieval"),
        ("headworks.orchestrator.v1", "orchestrator"),
        ("headworks.gateway.v1", "gateway"),
        ("inference", "triton"),
        ("grpc.health.v1", ""),
        ("headworks", ""),
        ("", ""),
    ],
)
def test_who_serves_a_package(package: str, name: str) -> None:
    assert clients.role(package) == name


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (grpc.StatusCode.UNAVAILABLE, "the service retrieval is unavailable"),
        (grpc.StatusCode.UNKNOWN, "the service retrieval answered UNKNOWN"),
    ],
)
def test_a_service_that_failed_without_a_word_is_named(code: grpc.StatusCode, said: str) -> None:
    error = answered(code, text="ipv4:10.0.0.7:50051: connection refused")
    error.service = "retrieval"  # type: ignore[attr-defined]  # as the clients do
    assert statuses.from_rpc_error(error).message == said


@pytest.mark.parametrize("garbage", [b"\xff\xff\xff", b""])
def test_a_garbled_status_is_no_error_info(garbage: bytes) -> None:
    trailing = Metadata((statuses.DETAILS_KEY, garbage))
    error = grpc.aio.AioRpcError(grpc.StatusCode.INTERNAL, Metadata(), trailing, "x", None)
    assert statuses.error_info(error) is None
    assert statuses.from_rpc_error(error).kind is ErrorKind.INTERNAL


@pytest.mark.parametrize(("code", "number"), [(grpc.StatusCode.NOT_FOUND, 5), (7, 7), (None, 13)])
def test_number(code: grpc.StatusCode | int | None, number: int) -> None:
    assert statuses.number(code) == number


@pytest.mark.parametrize(
    ("text", "limit", "kept"),
    [("abc", 3, "abc"), ("abcd", 3, "abc"), ("語語", 4, "語"), ("語", 2, ""), ("\ud800x", 9, "?x")],
)
def test_cut_counts_bytes_and_splits_no_character(text: str, limit: int, kept: str) -> None:
    assert statuses.cut(text, limit) == kept
