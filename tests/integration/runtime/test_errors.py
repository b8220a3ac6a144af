"""Exceptions as callers see them."""

import asyncio
import json
import logging
from typing import Any

import grpc
import pytest
from headworks.orchestrator.v1 import orchestrator_service_pb2 as run_pb
from headworks.orchestrator.v1 import orchestrator_service_pb2_grpc as run_grpc

from services.runtime import clients, errors, statuses
from services.runtime.errors import DomainError, ErrorKind, UpstreamError
from services.runtime.interceptors import layers
from services.runtime.triton.wire import pb as inference_pb
from services.runtime.triton.wire import pb_grpc as inference_grpc
from tests.fakes.serving import channel_for, generic, until

AS_IT_IS: Any = None  # no serializer: messages stay bytes


class Odd(DomainError):
    kind = ErrorKind.RESOURCE_EXHAUSTED
    reason = "ODD"


async def failure(error: BaseException, *, streams: bool = False) -> grpc.aio.AioRpcError:
    """What a caller gets when the handler raises `error`."""

    async def unary(request: bytes, context: Any) -> bytes:
        raise error

    async def stream(request: bytes, context: Any) -> Any:
        yield b"first"
        raise error

    handlers = {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "Stream": grpc.unary_stream_rpc_method_handler(stream),
    }
    async with channel_for(generic("test.Errors", handlers, layers=layers(None, 10))) as channel:
        try:
            if streams:
                async for _ in channel.unary_stream("/test.Errors/Stream")(b""):
                    pass
            else:
                await channel.unary_unary("/test.Errors/Unary")(b"")
        except grpc.aio.AioRpcError as caught:
            return caught
    raise AssertionError("the call succeeded")


@pytest.mark.parametrize("streams", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize("kind", ErrorKind)
async def test_every_kind_becomes_its_status_with_an_error_info(kind: ErrorKind, streams: bool) -> None:
    got = await failure(UpstreamError(kind, "WHY", "in words: 語", limit="3"), streams=streams)
    info = statuses.error_info(got)
    assert (got.code(), got.details()) == (statuses.CODES[kind], "in words: 語")
    assert info is not None
    assert (info.reason, info.domain, dict(info.metadata)) == ("WHY", "headworks", {"limit": "3"})


async def test_an_error_of_one_service_keeps_its_own_reason() -> None:
    got = await failure(Odd("too many", limit="3"))
    assert (got.code(), getattr(statuses.error_info(got), "reason", "")) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "ODD")


@pytest.mark.parametrize("streams", [False, True], ids=["unary", "stream"])
async def test_the_unexpected_is_known_by_an_id_only(caplog: pytest.LogCaptureFixture, streams: bool) -> None:
    with caplog.at_level(logging.ERROR):
        got = await failure(RuntimeError("password=hunter2"), streams=streams)
    info = statuses.error_info(got)
    assert got.code() is grpc.StatusCode.INTERNAL
    assert info is not None
    error_id = info.metadata["error_id"]
    assert got.details() == f"internal error {error_id}"
    assert "hunter2" not in str(got.trailing_metadata()) + str(got.details())
    (record,) = [record for record in caplog.records if record.message == "unexpected error"]
    assert record.__dict__["error_id"] == error_id
    assert "hunter2" in str(record.exc_info)


async def test_a_timeout_within_the_handler_is_not_the_calls_deadline() -> None:
    assert (await failure(TimeoutError("of a pool"))).code() is grpc.StatusCode.INTERNAL


async def test_another_services_error_is_passed_on() -> None:
    inner = await failure(errors.CollectionNotFound("cats"))
    outer = await failure(inner)
    assert (outer.code(), outer.details()) == (grpc.StatusCode.NOT_FOUND, "there is no collection 'cats'")
    assert statuses.error_info(outer) == statuses.error_info(inner)


@pytest.mark.parametrize("text", ["m" * 200_000, "模" * 50_000, "😀" * 50_000, "\x00\n%" * 20_000], ids=lambda t: t[0])
async def test_a_long_name_in_an_error_fits_into_the_trailers(text: str) -> None:
    got = await failure(errors.ModelNotFound(text))
    assert got.code() is grpc.StatusCode.NOT_FOUND
    assert str(got.details()).startswith("there is no model '")


async def test_an_abort_by_hand_passes() -> None:
    async def abort(request: bytes, context: Any) -> bytes:
        await context.abort(grpc.StatusCode.DATA_LOSS, "by hand", (("why", "so"),))
        return b""

    handlers = {"Do": grpc.unary_unary_rpc_method_handler(abort)}
    async with channel_for(generic("test.Abort", handlers, layers=layers(None, 10))) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary("/test.Abort/Do")(b"")
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.DATA_LOSS, "by hand")
    trailing: Any = caught.value.trailing_metadata()
    assert dict(trailing)["why"] == "so"


async def test_cancellation_passes(caplog: pytest.LogCaptureFixture) -> None:
    entered, left = asyncio.Event(), asyncio.Event()

    async def wait(request: bytes, context: Any) -> bytes:
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()
        return b""

    handlers = {"Do": grpc.unary_unary_rpc_method_handler(wait)}
    with caplog.at_level(logging.INFO):
        async with channel_for(generic("test.Cancel", handlers, layers=layers(None, 10))) as channel:
            call = channel.unary_unary("/test.Cancel/Do")(b"")
            await entered.wait()
            call.cancel()
            await until(left.is_set)
            served = await until(lambda: [record for record in caplog.records if record.name == "access"])
    assert served[0].__dict__["code"] == ErrorKind.CANCELLED
    assert "unexpected error" not in caplog.text


async def test_every_call_is_one_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        await failure(Odd("too many"), streams=True)
    (record,) = [record for record in caplog.records if record.name == "access"]
    fields = record.__dict__
    assert {name: fields[name] for name in ("method", "code", "reason", "sent", "subject")} == {
        "method": "/test.Errors/Stream", "code": 8, "reason": "ODD", "sent": 1, "subject": "",
    }  # fmt: skip
    assert json.dumps(fields["ms"])


async def test_who_does_not_answer_is_named_by_role_and_not_by_address() -> None:
    async with grpc.aio.insecure_channel("127.0.0.1:1") as nowhere:
        runs, triton = run_grpc.OrchestratorServiceStub(nowhere), inference_grpc.GRPCInferenceServiceStub(nowhere)
        passed_on: Any = nowhere.unary_unary("/headworks.retrieval.v1.RetrievalService/Search", AS_IT_IS, AS_IT_IS)
        calls = {
            "orchestrator": clients.unary(runs.ListModels(run_pb.ListModelsRequest())),
            "orchestrator ": anext(clients.stream(runs.Attach(run_pb.AttachRequest()))),
            "triton": clients.unary(triton.ServerReady(inference_pb.ServerReadyRequest())),
            "retrieval": clients.unary(passed_on(b""), "retrieval"),
        }
        for name, call in calls.items():
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            assert statuses.from_rpc_error(caught.value).message == f"the service {name.strip()} is unavailable"
