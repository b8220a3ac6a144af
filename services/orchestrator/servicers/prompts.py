"""PromptService: validate, convert, one domain call, convert back."""

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
from headworks.orchestrator.v1 import prompt_pb2
from headworks.orchestrator.v1 import prompt_service_pb2 as pb
from headworks.orchestrator.v1 import prompt_service_pb2_grpc as pb_grpc

from services.orchestrator import convert, requests
from services.orchestrator.prompts.service import PromptService, RegisteredPrompt
from services.orchestrator.servicers.named import before_of, name_of, version_of
from services.runtime.call import current
from services.runtime.errors import InvalidArgument
from services.runtime.interceptors.pipeline import Context

WHAT = "a prompt's name"


class PromptServicer(pb_grpc.PromptServiceServicer):
    def __init__(self, prompts: PromptService) -> None:
        self._prompts = prompts

    async def ApplyPrompt(self, request: pb.ApplyPromptRequest, context: Context) -> pb.ApplyPromptResponse:
        kept, changed = await self._prompts.apply(current().tenant, request.spec, dry_run=request.dry_run)
        return pb.ApplyPromptResponse(prompt=prompt(kept), changed=changed)

    async def GetPrompt(self, request: pb.GetPromptRequest, context: Context) -> pb.GetPromptResponse:
        name, version = name_of(request.name, WHAT), version_of(request.version)
        return pb.GetPromptResponse(prompt=prompt(await self._prompts.get(current().tenant, name, version)))

    async def ListPrompts(self, request: pb.ListPromptsRequest, context: Context) -> pb.ListPromptsResponse:
        size, tenant = requests.page_size(request.page_size), current().tenant
        if request.name:
            name, before = name_of(request.name, WHAT), before_of(request.page_token)
            kept, more = await self._prompts.versions(tenant, name, size, before)
            token = str(kept[-1].stored.version) if more else ""
        else:
            after = name_of(request.page_token, WHAT, "page_token") if request.page_token else ""
            kept, more = await self._prompts.latest(tenant, size, after)
            token = kept[-1].stored.name if more else ""
        return pb.ListPromptsResponse(prompts=[prompt(each) for each in kept], next_page_token=token)

    async def RenderPrompt(self, request: pb.RenderPromptRequest, context: Context) -> pb.RenderPromptResponse:
        name, version = name_of(request.name, WHAT), version_of(request.version)
        found = await self._prompts.find(current().tenant, name, version)
        messages = await asyncio.to_thread(found.spec.render, values(request.variables))
        said = [convert.message(message) for message in messages]
        return pb.RenderPromptResponse(rendered=prompt_pb2.RenderedPrompt(prompt=found.label, messages=said))

    async def DeletePrompt(self, request: pb.DeletePromptRequest, context: Context) -> pb.DeletePromptResponse:
        name, version = name_of(request.name, WHAT), version_of(request.version)
        return pb.DeletePromptResponse(deleted=await self._prompts.delete(current().tenant, name, version))


def values(given: Mapping[str, str]) -> dict[str, Any]:
    """The values of variables, from JSON."""
    try:
        return {name: orjson.loads(value) for name, value in given.items()}
    except orjson.JSONDecodeError as error:
        raise InvalidArgument(f"the value of a variable is not JSON: {error}", field="variables") from error


def prompt(kept: RegisteredPrompt) -> prompt_pb2.Prompt:
    """A prompt as others see it."""
    stored, spec = kept.stored, kept.spec
    return prompt_pb2.Prompt(
        name=stored.name,
        version=stored.version,
        description=spec.description if spec else "",
        spec=stored.spec,
        digest=stored.digest,
        create_time=convert.timestamp(stored.create_time) if stored.create_time else None,
        variables=[
            prompt_pb2.PromptVariable(
                name=name,
                type=variable.type,
                description=variable.description,
                required=variable.needed,
                default="" if variable.needed else orjson.dumps(variable.absent).decode(),
            )
            for name, variable in (spec.variables if spec else {}).items()
        ],
        unavailable=kept.unavailable,
    )
