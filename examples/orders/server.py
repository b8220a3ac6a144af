"""A gRPC service of one's own: `python examples/orders/server.py [PORT]`."""

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from grpc_reflection.v1alpha import reflection

# Compiles the file beside this one; needs grpcio-tools. Stubs that were compiled before do as well.
orders: Any
orders_grpc: Any
orders, orders_grpc = grpc.protos_and_services("orders.proto")

BOOK = {"A-17": orders.Order(number="A-17", item="a bee hive", price=240), "A-18": orders.Order(number="A-18", price=9)}


class Orders(orders_grpc.OrdersServicer):  # type: ignore[misc]  # made while this runs
    """Keeps the book of orders in memory."""

    def GetOrder(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 (named as in the proto)
        if request.number not in BOOK:
            context.abort(grpc.StatusCode.NOT_FOUND, f"there is no order {request.number!r}")
        return BOOK[request.number]

    def Refund(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        order = self.GetOrder(request, context)
        order.refunded = True
        return order


def main(port: int = 50051) -> None:
    """Serve until Ctrl-C. Port 0 takes a free one."""
    server = grpc.server(ThreadPoolExecutor(4))
    orders_grpc.add_OrdersServicer_to_server(Orders(), server)
    reflection.enable_server_reflection(["shop.v1.Orders", reflection.SERVICE_NAME], server)
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    print(f"orders at 127.0.0.1:{port}", flush=True)  # noqa: T201 (for who started it)
    server.wait_for_termination()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
