"""The requests of Agent2Agent: one call of the pipeline each, and its events as updates of a task."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from typing import Any, NoReturn

import grpc
from a2a.server.context import ServerCallContext
from a2a.server.request_handlers.request_handler import RequestHandler
from a2a.server.routes.common import ServerCallContextBuilder
from a2a.types import a2a_pb2 as a2a
from a2a.utils.errors import (
    A2AError,
    ExtendedAgentCardNotConfiguredError,
    InternalError,
    InvalidParamsError,
    PushNotificationNotSupportedError,
    TaskNotFoundError,
    UnsupportedOperationError,
)
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import orchestrator_service_pb2_grpc as pb_grpc
from headworks.orchestrator.v1 import run_pb2

from gateway.access.authorize import require
from gateway.access.permissions import run as run_needs
from gateway.budgets.errors import BudgetExceeded
from gateway.calls.runs import RunCalls
from gateway.faces.http.a2a.convert import Update, Updates, run_request, task_of
from gateway.faces.http.asgi import AsgiExchange, exchange_of
from gateway.faces.http.rpc_errors import error_json
from services.runtime import clients
from services.runtime.call import Call, outgoing
from services.runtime.errors import DomainError, ErrorKind
from services.runtime.interceptors.standard import Errors

EXCHANGE = "headworks"
OVER = (run_pb2.Run.STATE_SUCCEEDED, run_pb2.Run.STATE_FAILED, run_pb2.Run.STATE_CANCELLED)
_CALLERS_FAULT = (ErrorKind.INVALID_ARGUMENT, ErrorKind.NOT_FOUND, ErrorKind.FAILED_PRECONDITION)


class Contexts(ServerCallContextBuilder):
    """The context of a request is the exchange that it came by, whose own context is the agent."""

    def build(self, request: Any) -> ServerCallContext:
        found = exchange_of(request)
        return ServerCallContext(state={EXCHANGE: found, "headers": dict(request.headers)})


class A2aHandler(RequestHandler):
    """A task is a run of the caller's own, of the agent at whose path it is asked for."""

    def __init__(self, orchestrator: grpc.aio.Channel, runs: RunCalls) -> None:
        self._orchestrator = pb_grpc.OrchestratorServiceStub(orchestrator)
        self._runs = runs
        self._errors = Errors()

    async def on_message_send(self, params: a2a.SendMessageRequest, context: ServerCallContext) -> a2a.Task:
        async with aclosing(self._asked(params, context)) as updates:
            tasks = [task async for task, _ in updates]
        if not tasks:
            raise InternalError("the run has no events")
        return tasks[-1]

    async def on_message_send_stream(
        self, params: a2a.SendMessageRequest, context: ServerCallContext
    ) -> AsyncGenerator[Any, None]:
        async for _, update in _exchange(context).owned(self._asked(params, context)):
            yield update

    async def on_get_task(self, params: a2a.GetTaskRequest, context: ServerCallContext) -> a2a.Task:
        exchange = _exchange(context)
        async with self._work(exchange) as call:
            run = await self._run(exchange, params.id)
            if run.state not in OVER:
                return task_of(run)
            updates = Updates(run.session_id)
            async with aclosing(self._runs.attach(pb.AttachRequest(run_id=run.id), call)) as batches:
                async for events in batches:
                    for _ in updates.take(events):
                        pass
            return updates.task
        raise AssertionError("unreachable")

    async def on_cancel_task(self, params: a2a.CancelTaskRequest, context: ServerCallContext) -> a2a.Task:
        exchange = _exchange(context)
        async with self._work(exchange) as call:
            run = await self._run(exchange, params.id)
            require(call, f"runs.write:{run.id}")
            asked = self._orchestrator.Cancel(pb.CancelRequest(run_id=run.id), **outgoing(call.remaining, call))
            return task_of((await clients.unary(asked)).run)
        raise AssertionError("unreachable")

    async def on_subscribe_to_task(
        self, params: a2a.SubscribeToTaskRequest, context: ServerCallContext
    ) -> AsyncGenerator[Any, None]:
        exchange = _exchange(context)
        async for update in exchange.owned(self._followed(exchange, params.id)):
            yield update

    async def on_list_tasks(self, params: a2a.ListTasksRequest, context: ServerCallContext) -> a2a.ListTasksResponse:
        raise UnsupportedOperationError("tasks are not listed here: see the API's ListRuns")

    async def on_create_task_push_notification_config(self, params: Any, context: ServerCallContext) -> NoReturn:
        raise PushNotificationNotSupportedError

    async def on_get_task_push_notification_config(self, params: Any, context: ServerCallContext) -> NoReturn:
        raise PushNotificationNotSupportedError

    async def on_list_task_push_notification_configs(self, params: Any, context: ServerCallContext) -> NoReturn:
        raise PushNotificationNotSupportedError

    async def on_delete_task_push_notification_config(self, params: Any, context: ServerCallContext) -> NoReturn:
        raise PushNotificationNotSupportedError

    async def on_get_extended_agent_card(self, params: Any, context: ServerCallContext) -> NoReturn:
        raise ExtendedAgentCardNotConfiguredError

    async def _asked(
        self, params: a2a.SendMessageRequest, context: ServerCallContext
    ) -> AsyncGenerator[tuple[a2a.Task, Update], None]:
        """The updates of a new run, each with the task so far."""
        exchange = _exchange(context)
        request = run_request(exchange.context, params.message)
        updates = Updates(request.session_id)
        async with self._work(exchange) as call:
            require(call, *run_needs(request.model, request.collection, request.session_id))
            try:
                async with aclosing(self._runs.run(request, call)) as batches:
                    async for events in batches:
                        for update in updates.take(events):
                            yield updates.task, update
            except BudgetExceeded:
                if not updates.over:
                    raise  # before anything was answered

    async def _followed(self, exchange: AsgiExchange, run_id: str) -> AsyncGenerator[Update, None]:
        """The updates of a run, from its first on."""
        async with self._work(exchange) as call:
            run = await self._run(exchange, run_id)
            updates = Updates(run.session_id)
            async with aclosing(self._runs.attach(pb.AttachRequest(run_id=run.id), call)) as batches:
                async for events in batches:
                    for update in updates.take(events):
                        yield update

    async def _run(self, exchange: AsgiExchange, run_id: str) -> run_pb2.Run:
        """Raises PermissionDenied, TaskNotFoundError for a run of another agent."""
        call = exchange.call
        require(call, f"runs.read:{run_id}")
        asked = self._orchestrator.GetRun(pb.GetRunRequest(run_id=run_id), **outgoing(call.remaining, call))
        run = (await clients.unary(asked)).run
        if run.model != exchange.context:
            raise TaskNotFoundError
        return run

    @asynccontextmanager
    async def _work(self, exchange: AsgiExchange) -> AsyncGenerator[Call, None]:
        """Around the work for a request, whose errors the call has, and the caller in the protocol's form."""
        with exchange.working():
            try:
                yield exchange.call
            except A2AError:
                raise
            except Exception as error:
                raise await self._told(exchange.call, error) from error

    async def _told(self, call: Call, error: Exception) -> A2AError:
        async def fail() -> None:
            raise error

        try:
            await self._errors.around(call, fail)
        except DomainError as failed:
            if failed.kind is ErrorKind.NOT_FOUND and failed.reason == "RUN_NOT_FOUND":
                return TaskNotFoundError(data=error_json(failed))
            form = InvalidParamsError if failed.kind in _CALLERS_FAULT else InternalError
            return form(failed.message, error_json(failed))
        raise AssertionError("unreachable")


def _exchange(context: ServerCallContext) -> AsgiExchange:
    found: AsgiExchange = context.state[EXCHANGE]
    return found
