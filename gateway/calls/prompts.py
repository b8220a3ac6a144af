"""The prompts that callers name, as the orchestrator has them, cached."""

import asyncio
from collections.abc import Mapping
from typing import Any

import grpc
from headworks.orchestrator.v1 import prompt_service_pb2 as pb
from headworks.orchestrator.v1 import prompt_service_pb2_grpc as pb_grpc

from gateway.access.authorize import require
from gateway.calls.cached_answers import ASK_SECONDS, CachedAnswers
from gateway.calls.prompt_use import PromptUse
from services.llm.prompts.prompt import PromptVersion, parse, reference
from services.runtime import clients, statuses
from services.runtime.call import Call, outgoing
from services.runtime.errors import ErrorKind, Unavailable

LATEST_SECONDS, VERSION_SECONDS = 1.0, 60.0
"""How long a name stands for its version, and how long a version is known to be there: it never changes, but it may be
deleted."""
THREAD_FROM = 8 << 10
"""Characters of values and templates that are rendered in a thread."""
HEADER = "x-headworks-prompt"


class PromptsUnavailable(Unavailable):
    reason = "PROMPT_UNAVAILABLE"

    def __init__(self, name: str) -> None:
        super().__init__(f"the prompt {name!r} cannot be read for now, and was not used here before", prompt=name)


class Prompts:
    """While the orchestrator is gone, what was read last serves. All questions are asked as the call's own caller."""

    def __init__(self, orchestrator: grpc.aio.Channel) -> None:
        self._stub = pb_grpc.PromptServiceStub(orchestrator)
        self._latest: CachedAnswers[tuple[str, str], PromptVersion] = CachedAnswers(LATEST_SECONDS)
        self._versions: CachedAnswers[tuple[str, str, int], PromptVersion] = CachedAnswers(VERSION_SECONDS)

    async def use(self, call: Call, name: str, variables: Mapping[str, Any]) -> PromptUse:
        """A prompt with a caller's values, "name" or "name@version". Raises PermissionDenied, PromptNotFound as the
        orchestrator does, BadVariables, PromptsUnavailable."""
        version = await self.find(call, name)
        size = len(str(variables)) + sum(len(message.content) for message in version.spec.messages)
        if size < THREAD_FROM and version.spec.plain:
            used = PromptUse(version, variables)
        else:
            used = await asyncio.to_thread(PromptUse, version, variables)
        call.headers[HEADER] = call.notes["prompt"] = used.label
        return used

    async def find(self, call: Call, name: str) -> PromptVersion:
        """The same without the values."""
        wanted, number = reference(name, "prompt")
        require(call, f"prompts.read:{wanted}")
        return await self.read(call, wanted, number)

    async def read(self, call: Call, name: str, version: int) -> PromptVersion:
        """A version for the mesh's own use; 0 for the latest."""
        try:
            if version:
                return await self._versions.get((call.tenant, name, version), lambda: self._load(call, name, version))
            return await self._latest.get((call.tenant, name), lambda: self._load(call, name, 0))
        except grpc.aio.AioRpcError as error:
            known = statuses.from_rpc_error(error)
            if known.kind in (ErrorKind.UNAVAILABLE, ErrorKind.DEADLINE_EXCEEDED) and call.remaining > 0:
                raise PromptsUnavailable(name) from error
            raise known from error

    def changed(self, tenant: str) -> None:
        """Read anew what is cached of a tenant whose prompts may have changed."""
        self._latest.expire(lambda key: key[0] == tenant)
        self._versions.expire(lambda key: key[0] == tenant)

    async def _load(self, call: Call, name: str, version: int) -> PromptVersion:
        request = pb.GetPromptRequest(name=name, version=version)
        found = (await clients.unary(self._stub.GetPrompt(request, **outgoing(ASK_SECONDS, call)))).prompt
        loaded = PromptVersion(found.name, found.version, await asyncio.to_thread(parse, found.spec))
        if not version:
            self._versions.put((call.tenant, name, loaded.version), loaded)
        return loaded
