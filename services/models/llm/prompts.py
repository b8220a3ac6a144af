"""Chats to the engine's inputs: the model's chat template, its tokens, what may be sampled, how tool calls are read.

All of it is vLLM's own serving code, so that an answer is what vLLM's server would have given.
"""

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from vllm.config import VllmConfig
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.exceptions import VLLMClientError
from vllm.parser import Parser, ParserManager
from vllm.renderers import BaseRenderer, TokenizeParams
from vllm.sampling_params import SamplingParams

from services.llm.errors import ContextTooLong
from services.llm.triton.protocol import Generate, InvalidLlmRequest, LlmPrompt
from services.models.llm import metrics
from services.models.llm.errors import TemplateRefused, ToolsNotSupported
from services.models.llm.rendered import Rendered, key_of


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the engine needs for one generation. `parser` is there where the answer may hold tool calls."""

    inputs: Any
    tokens: list[int]
    sampling: SamplingParams
    chat: ChatCompletionRequest
    parser: Parser | None


class Prompts:
    """Prepares chats for one model."""

    def __init__(self, config: VllmConfig, renderer: BaseRenderer, tool_parser: str, template: str | None) -> None:
        self._model = config.model_config
        self._renderer = renderer
        self._template = template
        self._rendered = Rendered()
        self._defaults = self._model.get_diff_sampling_param()
        self._parser_class: type[Parser] | None = ParserManager.get_parser(
            tool_parser_name=tool_parser or None,
            enable_auto_tools=bool(tool_parser),
            model_name=self._model.model,
            tokenizer=renderer.tokenizer,
        )

    async def prepare(self, request: Generate) -> Prepared:
        """Raises InvalidLlmRequest, TemplateRefused, ToolsNotSupported or ContextTooLong."""
        chat = self._chat(request)
        inputs = await self._render(chat, request.prompt, counted=False)
        tokens: list[int] = inputs["prompt_token_ids"]
        parser = self._parser(chat)
        if parser is not None:
            _hold_to_schema(chat)
            chat = parser.adjust_request(chat)
        return Prepared(inputs, tokens, self._sampling(request, chat, len(tokens)), chat, parser)

    async def count(self, prompt: LlmPrompt) -> int:
        """Tokens of a prompt. Raises InvalidLlmRequest or TemplateRefused."""
        inputs = await self._render(_read(Generate("count", prompt)), prompt, counted=True)
        return len(inputs["prompt_token_ids"])

    def _chat(self, request: Generate) -> ChatCompletionRequest:
        if request.prompt.tools and self._parser_class is None:
            raise ToolsNotSupported("this model is served without a format for tool calls (llm_tool_parser)")
        return _read(request)

    async def _render(self, chat: ChatCompletionRequest, prompt: LlmPrompt, *, counted: bool) -> Any:
        """The engine's input, kept for its generation where it is only counted. The template and the tokenizer run in
        the renderer's threads."""
        tools = [tool.model_dump() for tool in chat.tools] if chat.tools else None
        params = chat.build_chat_params(self._template, "auto").with_defaults({"tools": tools, "tokenize": False})
        # No limit here: the length of what is too long is told to the caller.
        limits = TokenizeParams(max_total_tokens=None, add_special_tokens=chat.add_special_tokens)
        # The messages as they came: what reading makes of them may hide behind iterators.
        key = key_of(prompt.messages, params, limits)
        if not counted and (inputs := self._rendered.take(key)) is not None:
            metrics.REUSED.inc()
            return inputs
        try:
            _, (inputs,) = await self._renderer.render_chat_async([list(chat.messages)], params, limits)
        except (VLLMClientError, ValueError, TypeError, KeyError) as error:
            raise TemplateRefused(f"the model's chat template does not take these messages: {error}") from error
        if counted:
            self._rendered.put(key, inputs)
        return inputs

    def _parser(self, chat: ChatCompletionRequest) -> Parser | None:
        if not chat.tools or self._parser_class is None or chat.tool_choice == "none":
            return None
        return self._parser_class(self._renderer.get_tokenizer(), chat.tools, model_config=self._model)

    def _sampling(self, request: Generate, chat: ChatCompletionRequest, prompt: int) -> SamplingParams:
        context = self._model.max_model_len
        wanted = request.sampling.get("max_tokens")
        if prompt + (wanted or 1) > context:
            raise ContextTooLong.counted(prompt, wanted or 1, context)
        # An unset limit is the model's own, or what the context leaves.
        limit = wanted or min(self._defaults.get("max_tokens") or context, context - prompt)
        try:
            return chat.to_sampling_params(limit, self._defaults)
        except (VLLMClientError, ValueError) as error:
            raise InvalidLlmRequest(str(error)) from error


def _hold_to_schema(chat: ChatCompletionRequest) -> None:
    """Have a call that must be made obey its tool's schema, not only the form of a call."""
    if chat.tool_choice != "auto":
        for tool in chat.tools or ():
            if "strict" not in tool.function.model_fields_set:  # the caller says nothing of it
                tool.function.strict = True


def _read(request: Generate) -> ChatCompletionRequest:
    values: dict[str, Any] = {
        **request.sampling,
        "messages": request.prompt.messages,
        "response_format": request.response_format,
        "stream": True,
    }
    if request.prompt.tools:
        values["tools"] = request.prompt.tools
        values["tool_choice"] = request.tool_choice or "auto"
        values["parallel_tool_calls"] = request.parallel_tool_calls
    if request.confidence:
        values |= {"logprobs": True, "top_logprobs": 0}
    try:
        return ChatCompletionRequest.model_validate(values)
    except (ValidationError, VLLMClientError) as error:
        raise InvalidLlmRequest(_why(error)) from error


def _why(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:3])
    return str(error)
