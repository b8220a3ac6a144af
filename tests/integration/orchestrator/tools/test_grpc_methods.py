"""Methods of gRPC services as tools, found by the reflection of real servers."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import orjson
import pytest
from google.protobuf import empty_pb2, struct_pb2, timestamp_pb2, wrappers_pb2
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto, MethodOptions
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha import reflection
from grpc_reflection.v1alpha import reflection_pb2 as pb
from grpc_reflection.v1alpha._async import ReflectionServicer
from headworks.retrieval.v1 import retrieval_service_pb2, retrieval_service_pb2_grpc

from services.orchestrator.domain.tool import Reason, ToolPolicy, ToolResult
from services.orchestrator.tools.arguments import ArgumentSchema
from services.orchestrator.tools.grpc_methods import GrpcMethod, GrpcServer, GrpcTarget
from services.orchestrator.tools.message_schema import of_message
from services.orchestrator.tools.reflection import NotReflected
from services.orchestrator.tools.toolbox import Toolbox
from services.runtime import call as calls
from services.runtime.identity import Identity
from services.runtime.server import App
from tests.fakes.identity import Keys
from tests.fakes.search import FakeRetrieval, hit
from tests.fakes.serving import serving
from tests.fakes.tools import CONTEXT, call

RETRIEVAL = "headworks.retrieval.v1.RetrievalService"

FILE = FileDescriptorProto(
    name="shop.proto", package="shop.v1", syntax="proto3", dependency=[wrappers_pb2.DESCRIPTOR.name]
)
for imported in (timestamp_pb2, struct_pb2, empty_pb2):
    FILE.dependency.append(imported.DESCRIPTOR.name)
TYPES: dict[str, Any] = {
    "string": 9, "int32": 5, "int64": 3, "uint64": 4, "double": 1, "bool": 8, "bytes": 12, "message": 11, "enum": 14,
}  # fmt: skip


def field(message: DescriptorProto, name: str, kind: str, type_name: str = "", **more: Any) -> None:
    made = message.field.add(name=name, number=len(message.field) + 1, type=TYPES[kind], label=more.pop("label", 1))
    if type_name:
        made.type_name = type_name
    for key, value in more.items():
        setattr(made, key, value)


def _build() -> None:
    color = FILE.enum_type.add(name="Color")
    color.value.add(name="COLOR_UNSPECIFIED", number=0)
    color.value.add(name="COLOR_RED", number=1)
    order = FILE.message_type.add(name="Order")
    field(order, "order_id", "string")
    field(order, "count", "int32")
    field(order, "cents", "int64")
    field(order, "serial", "uint64")
    field(order, "weight", "double")
    field(order, "gift", "bool")
    field(order, "photo", "bytes")
    field(order, "color", "enum", ".shop.v1.Color")
    field(order, "tags", "string", label=3)
    field(order, "parts", "message", ".shop.v1.Order", label=3)
    field(order, "stock", "message", ".shop.v1.Order.StockEntry", label=3)
    field(order, "at", "message", ".google.protobuf.Timestamp")
    field(order, "extra", "message", ".google.protobuf.Struct")
    field(order, "note", "message", ".google.protobuf.StringValue")
    order.oneof_decl.add(name="payment")
    field(order, "card", "string", oneof_index=0)
    field(order, "cash", "int32", oneof_index=0)
    order.oneof_decl.add(name="_hint")
    field(order, "hint", "string", oneof_index=1, proto3_optional=True)
    entry = order.nested_type.add(name="StockEntry")
    entry.options.map_entry = True
    field(entry, "key", "string")
    field(entry, "value", "int64")
    service = FILE.service.add(name="Shop")
    own, empty = ".shop.v1.Order", ".google.protobuf.Empty"
    service.method.add(name="Buy", input_type=own, output_type=own)
    service.method.add(
        name="Look", input_type=own, output_type=own
    ).options.idempotency_level = MethodOptions.NO_SIDE_EFFECTS
    service.method.add(name="Watch", input_type=own, output_type=own, server_streaming=True)
    service.method.add(name="Upload", input_type=own, output_type=own, client_streaming=True)
    service.method.add(name="Nothing", input_type=empty, output_type=empty)


_build()
POOL = DescriptorPool()
for imported in (wrappers_pb2, timestamp_pb2, struct_pb2, empty_pb2):
    POOL.AddSerializedFile(imported.DESCRIPTOR.serialized_pb)
POOL.AddSerializedFile(FILE.SerializeToString())
Order: Any = GetMessageClass(POOL.FindMessageTypeByName("shop.v1.Order"))


class Shop:
    """Answers what it is asked. `watched`: how many messages of a stream went out; `left` is set when it ends."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.metadata: dict[str, Any] = {}
        self.remaining = 0.0
        self.watched = 0
        self.left = asyncio.Event()
        self.failures: list[grpc.StatusCode] = []

    async def buy(self, request: Any, context: Any) -> Any:
        self.asked.append(request)
        self.metadata = dict(context.invocation_metadata())
        self.remaining = context.time_remaining()
        if self.failures:
            await context.abort(self.failures.pop(0), "the shop says why")
        if request.order_id == "hang":
            await asyncio.Event().wait()
        return request

    async def watch(self, request: Any, context: Any) -> AsyncIterator[Any]:
        try:
            for number in range(request.count or 1_000_000):
                self.watched += 1
                yield Order(order_id=str(number), tags=["x" * 1000])
                if request.order_id == "slow":
                    await asyncio.sleep(0.02)
        finally:
            self.left.set()

    def handlers(self) -> Any:
        unary = grpc.unary_unary_rpc_method_handler(self.buy, Order.FromString, Order.SerializeToString)
        stream = grpc.unary_stream_rpc_method_handler(self.watch, Order.FromString, Order.SerializeToString)
        return grpc.method_handlers_generic_handler("shop.v1.Shop", {"Buy": unary, "Look": unary, "Watch": stream})


@asynccontextmanager
async def listening(shop: Shop, *, reflected: bool = True, version: str = "v1alpha") -> AsyncIterator[str]:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((shop.handlers(),))
    if reflected and version == "v1alpha":
        reflection.enable_server_reflection(["shop.v1.Shop"], server, pool=POOL)
    elif reflected:
        servicer = ReflectionServicer(["shop.v1.Shop"], pool=POOL)
        handler = grpc.stream_stream_rpc_method_handler(
            servicer.ServerReflectionInfo,
            pb.ServerReflectionRequest.FromString,
            pb.ServerReflectionResponse.SerializeToString,
        )
        newer = "grpc.reflection.v1.ServerReflection"
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(newer, {"ServerReflectionInfo": handler}),)
        )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
async def server(shop: Shop) -> AsyncIterator[GrpcServer]:
    async with listening(shop) as address:
        made = GrpcServer(GrpcTarget(address, metadata=(("x-key", "k"),)))
        yield made
        await made.aclose()


async def ask(
    server: GrpcServer, method: str, arguments: Any, policy: ToolPolicy | None = None, **spec: Any
) -> ToolResult:
    tool = await server.tool(GrpcMethod(f"shop.v1.Shop/{method}", name="t", **spec))
    return await Toolbox([tool], {"t": policy or ToolPolicy()}).call(call(json.dumps(arguments), "t"), CONTEXT)


FULL = {
    "orderId": "o1", "count": 2, "cents": "9007199254740993", "serial": 7, "weight": 1.5, "gift": True,
    "photo": "aGk=", "color": "COLOR_RED", "tags": ["a"], "parts": [{"orderId": "p", "parts": [{"count": 1}]}],
    "stock": {"north": 4, "south": "5"}, "at": "2026-01-02T03:04:05Z", "extra": {"a": [1, None]}, "note": "n",
    "card": "c", "hint": "h",
}  # fmt: skip


async def test_every_kind_of_field_goes_and_comes_back(server: GrpcServer, shop: Shop) -> None:
    result = await ask(server, "Buy", FULL)
    assert not result.is_error, result
    (asked,) = shop.asked
    assert (asked.cents, asked.photo, dict(asked.stock)) == (9007199254740993, b"hi", {"north": 4, "south": 5})
    told = orjson.loads(result.content)
    assert told["cents"] == "9007199254740993"
    assert told["parts"][0]["parts"][0]["count"] == 1
    assert (told["at"], told["note"], told["extra"]) == ("2026-01-02T03:04:05Z", "n", {"a": [1.0, None]})
    assert shop.metadata["x-key"] == "k"


@pytest.mark.parametrize(
    "wrong",
    [
        {"nope": 1}, {"count": 1 << 40}, {"count": "two"}, {"cents": "many"}, {"serial": -1}, {"color": "BLUE"},
        {"tags": "a"}, {"parts": [{"nope": 1}]}, {"stock": {"a": "b"}}, {"card": "c", "cash": 1}, {"at": "noon"},
        {"photo": 5}, {"note": 5},
    ],
)  # fmt: skip
async def test_what_is_no_such_message_never_reaches_the_server(server: GrpcServer, shop: Shop, wrong: Any) -> None:
    result = await ask(server, "Buy", wrong)
    assert (result.error_reason, shop.asked) == (Reason.INVALID_ARGUMENTS, [])


def test_the_schema_of_a_message() -> None:
    schema = of_message(Order.DESCRIPTOR)
    ArgumentSchema(schema)
    properties = schema["properties"]
    assert properties["count"] == {"type": "integer", "minimum": -(1 << 31), "maximum": (1 << 31) - 1}
    assert properties["cents"]["type"] == ["integer", "string"]
    assert properties["color"] == {"type": "string", "enum": ["COLOR_UNSPECIFIED", "COLOR_RED"]}
    assert properties["parts"] == {"type": "array", "items": {"$ref": "#/$defs/shop.v1.Order"}}
    assert properties["stock"]["additionalProperties"]["type"] == ["integer", "string"]
    assert properties["at"]["format"] == "date-time"
    assert schema["description"] == "At most one of card, cash."
    assert set(schema["$defs"]) == {"shop.v1.Order"}


@pytest.mark.parametrize(
    ("code", "reason", "tried"),
    [
        (grpc.StatusCode.NOT_FOUND, Reason.FAILED, 1),
        (grpc.StatusCode.PERMISSION_DENIED, Reason.NOT_ALLOWED, 1),
        (grpc.StatusCode.INVALID_ARGUMENT, Reason.INVALID_ARGUMENTS, 1),
        (grpc.StatusCode.UNAVAILABLE, Reason.UNAVAILABLE, 2),
    ],
)
async def test_a_status_is_told_by_its_name(
    server: GrpcServer, shop: Shop, code: grpc.StatusCode, reason: Reason, tried: int
) -> None:
    shop.failures = [code] * 2
    result = await ask(server, "Look", {}, ToolPolicy(attempts=2))
    assert (result.error_reason, result.attempts) == (reason, tried)
    assert result.content == f"Error: {code.name}: the shop says why"


async def test_only_methods_that_declare_it_are_called_again(server: GrpcServer, shop: Shop) -> None:
    shop.failures = [grpc.StatusCode.UNAVAILABLE]
    assert (await ask(server, "Buy", {}, ToolPolicy(attempts=3))).attempts == 1
    shop.failures = [grpc.StatusCode.UNAVAILABLE]
    assert (await ask(server, "Look", {}, ToolPolicy(attempts=3))).attempts == 2


async def test_a_call_has_a_deadline(server: GrpcServer, shop: Shop) -> None:
    result = await ask(server, "Buy", {"orderId": "hang"}, seconds=0.2)
    assert result.error_reason == Reason.TIMEOUT
    assert 0 < shop.remaining <= 0.3


async def test_a_stream_ends(server: GrpcServer) -> None:
    told = orjson.loads((await ask(server, "Watch", {"count": 3})).content)
    assert ([one["orderId"] for one in told["messages"]], told["more"]) == (["0", "1", "2"], False)


@pytest.mark.parametrize(("cap", "messages"), [({"max_messages": 5}, 5), ({"max_bytes": 3500}, 3)])
async def test_a_stream_is_cancelled_at_its_cap(server: GrpcServer, shop: Shop, cap: Any, messages: int) -> None:
    told = orjson.loads((await ask(server, "Watch", {}, **cap)).content)
    assert (len(told["messages"]), told["more"]) == (messages, True)
    await asyncio.wait_for(shop.left.wait(), 60)
    assert shop.watched < 100_000


async def test_a_stream_that_takes_too_long_gives_what_came(server: GrpcServer, shop: Shop) -> None:
    told = orjson.loads((await ask(server, "Watch", {"orderId": "slow"}, seconds=0.3)).content)
    assert 1 <= len(told["messages"]) < 50
    assert told["more"]
    await asyncio.wait_for(shop.left.wait(), 60)


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("shop.v1.Shop/Nope", "has no method Nope; it has: Buy"),
        ("shop.v1.Shops/Buy", "the server answered"),
        ("shop.v1.Order/Buy", "has no service"),
        ("shop.v1.Shop/Upload", "streams its requests"),
    ],
)
async def test_a_method_that_is_not_there(server: GrpcServer, method: str, words: str) -> None:
    with pytest.raises(NotReflected, match=words):
        await server.tool(GrpcMethod(method))


async def test_a_method_that_is_reflected_but_not_served(server: GrpcServer) -> None:
    result = await ask(server, "Nothing", {})
    assert "UNIMPLEMENTED" in result.content


async def test_a_server_without_reflection(shop: Shop) -> None:
    async with listening(shop, reflected=False) as address:
        server = GrpcServer(GrpcTarget(address))
        with pytest.raises(NotReflected, match="serves no reflection"):
            await server.tool(GrpcMethod("shop.v1.Shop/Buy"))
        await server.aclose()


async def test_a_server_with_the_newer_reflection(shop: Shop) -> None:
    async with listening(shop, version="v1") as address:
        server = GrpcServer(GrpcTarget(address))
        assert not (await ask(server, "Buy", {"count": 1})).is_error
        await server.aclose()


async def test_a_server_that_is_not_there() -> None:
    server = GrpcServer(GrpcTarget("127.0.0.1:9"))
    with pytest.raises(NotReflected, match="UNAVAILABLE"):
        await server.tool(GrpcMethod("shop.v1.Shop/Buy"))
    await server.aclose()


async def test_a_service_of_the_mesh_is_called_as_the_caller(keys: Keys) -> None:
    retrieval = FakeRetrieval({"docs": [hit(1, "Cats sleep.")]})

    def add(server: grpc.aio.Server) -> None:
        retrieval_service_pb2_grpc.add_RetrievalServiceServicer_to_server(retrieval, server)

    assert retrieval_service_pb2.DESCRIPTOR.services_by_name["RetrievalService"].full_name == RETRIEVAL
    async with serving(App(add, [RETRIEVAL]), verifier=keys.verifier) as address:
        ((_, token),) = keys.metadata("acme")
        identity = Identity("acme", "ann", scopes=frozenset({"collections.read:docs", "collections.read:x"}))
        mine = calls.Call("/test", request_id="req_1", identity=identity, token=token)
        calls.enter(mine)
        server = GrpcServer(GrpcTarget(address, mesh=True))
        tool = await server.tool(GrpcMethod(f"{RETRIEVAL}/Search"))
        assert tool.declaration.name == "RetrievalService_Search"
        assert tool.idempotent
        toolbox = Toolbox([tool])
        result = await toolbox.call(call('{"collection": "docs", "query": "why?"}', tool.declaration.name), CONTEXT)
        assert orjson.loads(result.content)["hits"][0]["passage"]["text"] == "Cats sleep."
        (seen,) = retrieval.calls
        assert (seen.tenant, seen.request_id) == ("acme", "req_1")
        assert seen.remaining <= 31  # gRPC rounds timeouts up
        gone = await toolbox.call(call('{"collection": "x"}', tool.declaration.name), CONTEXT)
        assert gone.content.startswith("Error: NOT_FOUND: there is no collection")
        await server.aclose()


async def test_a_service_of_the_mesh_does_what_the_caller_may_do_only(keys: Keys) -> None:
    retrieval = FakeRetrieval({"docs": [hit(1, "Cats sleep.")]})

    def add(server: grpc.aio.Server) -> None:
        retrieval_service_pb2_grpc.add_RetrievalServiceServicer_to_server(retrieval, server)

    async with serving(App(add, [RETRIEVAL]), verifier=keys.verifier) as address:
        ((_, token),) = keys.metadata("acme")
        scopes = frozenset({"models.call:*", "collections.read:others"})
        calls.enter(calls.Call("/test", identity=Identity("acme", "ann", scopes=scopes), token=token))
        server = GrpcServer(GrpcTarget(address, mesh=True))
        for method, arguments, missing in [
            ("Search", '{"collection": "docs", "query": "why?"}', "collections.read:docs"),
            ("Search", '{"query": "why?"}', "collections.read:default"),
            ("DeleteCollection", '{"name": "others"}', "collections.delete:others"),
        ]:
            tool = await server.tool(GrpcMethod(f"{RETRIEVAL}/{method}"))
            result = await Toolbox([tool]).call(call(arguments, tool.declaration.name), CONTEXT)
            assert (result.is_error, missing in result.content) == (True, True)
        assert retrieval.calls == []
        await server.aclose()
