"""vLLM's engine, as far as it is used here."""

import time
from collections.abc import Callable
from typing import Any, Protocol

from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.exceptions import VLLMClientError
from vllm.lora.request import LoRARequest
from vllm.outputs import RequestOutput
from vllm.platforms import current_platform
from vllm.usage.usage_lib import UsageContext
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError
from vllm.v1.metrics.loggers import StatLoggerBase

from services.llm.triton.protocol import Generate, InvalidLlmRequest
from services.models.llm.arguments import chat_template, engine_arguments
from services.models.llm.errors import AdapterNotFound, EngineFailed, SchemaNotEnforceable
from services.models.llm.prompts import Prepared, Prompts
from services.models.settings import ModelsSettings, adapters


class OutputSink(Protocol):
    """Takes the outputs of one sequence; called on the engine's loop, and must not block."""

    def put(self, output: RequestOutput | Exception) -> None: ...


class LlmEngine:
    """Generates sequences. Make it, and use it, on the loop that it is to run on."""

    def __init__(self, settings: ModelsSettings, on_load: Callable[[int], None]) -> None:
        """Loads the model, which takes its time. `on_load` hears how many sequences wait, after each step."""
        arguments = AsyncEngineArgs(**engine_arguments(settings, current_platform.is_cpu()))
        self._llm = AsyncLLM.from_engine_args(
            arguments, usage_context=UsageContext.ENGINE_CONTEXT, stat_loggers=[_load_listener(on_load)]
        )
        self.config = self._llm.vllm_config
        self.prompts = Prompts(self.config, self._llm.renderer, settings.llm_tool_parser, chat_template(settings))
        self._lora = {
            name: LoRARequest(name, number, path)
            for number, (name, path) in enumerate(adapters(settings.llm_lora).items(), start=1)
        }

    @property
    def max_sequences(self) -> int:
        """Sequences generated at once."""
        return int(self.config.scheduler_config.max_num_seqs)

    @property
    def adapters(self) -> list[str]:
        return list(self._lora)

    @property
    def failed(self) -> bool:
        """Whether the engine is gone for good."""
        return bool(self._llm.errored)

    async def add(self, request: Generate, prepared: Prepared, sink: OutputSink) -> str:
        """Start a sequence; its outputs go to `sink`. Returns the engine's id for it.

        Raises AdapterNotFound, SchemaNotEnforceable, InvalidLlmRequest or EngineFailed.
        """
        # What AsyncLLM.add_request does, with a sink in place of a queue that a task of its own would have to empty.
        llm = self._llm
        if llm.errored:
            raise EngineFailed("the engine is gone")
        try:
            core = await self._inputs(request, prepared)
            llm.input_processor.assign_request_id(core)
            llm._run_output_handler()
            await llm._add_request(core, None, None, 0, sink)
        except EngineDeadError as error:
            raise EngineFailed("the engine is gone") from error
        return str(core.request_id)

    async def abort(self, ids: list[str]) -> None:
        """End sequences at once; their memory is free after the engine's current step."""
        await self._llm.abort(ids, internal=True)

    def stop(self) -> None:
        """End the engine's processes."""
        self._llm.shutdown(timeout=1.0)

    async def _inputs(self, request: Generate, prepared: Prepared) -> Any:
        processor = self._llm.input_processor
        arguments: dict[str, Any] = {
            "supported_tasks": await self._llm.get_supported_tasks(),
            "arrival_time": time.time(),
            "lora_request": self._adapter(request.lora),
            "priority": int(request.batch),
        }
        if prepared.sampling.structured_outputs is None:
            try:
                return processor.process_inputs(request.id, prepared.inputs, prepared.sampling, **arguments)
            except (VLLMClientError, ValueError) as error:
                raise InvalidLlmRequest(str(error)) from error
        try:
            # Checking a schema compiles it, which may take long.
            return await processor.process_inputs_async(request.id, prepared.inputs, prepared.sampling, **arguments)
        except (VLLMClientError, ValueError) as error:
            raise SchemaNotEnforceable(f"the engine cannot enforce this schema: {error}") from error

    def _adapter(self, name: str) -> LoRARequest | None:
        if not name:
            return None
        try:
            return self._lora[name]
        except KeyError:
            raise AdapterNotFound(name) from None


def _load_listener(on_load: Callable[[int], None]) -> Any:
    class Listener(StatLoggerBase):  # type: ignore[misc]  # vLLM is an extra, so untyped here
        """Tells how many sequences wait in the engine's scheduler."""

        def __init__(self, vllm_config: object, engine_index: int = 0) -> None:
            pass

        def record(self, scheduler_stats: Any, iteration_stats: object, *_: object, **__: object) -> None:
            if scheduler_stats is not None:
                on_load(scheduler_stats.num_waiting_reqs + scheduler_stats.num_skipped_waiting_reqs)

        def log_engine_initialized(self) -> None:
            pass

    return Listener
