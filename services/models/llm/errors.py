"""What the language model refuses, and why."""

from services.runtime.errors import DomainError, ErrorKind, InvalidArgument, Unavailable


class SchemaNotEnforceable(InvalidArgument):
    """The engine cannot hold an answer to this schema."""

    reason = "SCHEMA_NOT_ENFORCEABLE"


class TemplateRefused(InvalidArgument):
    """The model's chat template does not take these messages."""

    reason = "CHAT_TEMPLATE_REFUSED"


class ToolsNotSupported(InvalidArgument):
    """Tools were given, and the model has no format for calling them."""

    reason = "TOOLS_NOT_SUPPORTED"


class AdapterNotFound(DomainError):
    """No LoRA adapter of that name is served."""

    kind = ErrorKind.NOT_FOUND
    reason = "LORA_NOT_FOUND"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no LoRA adapter {name!r}", lora=name)


class Overloaded(DomainError):
    """The queue is full. `retry_after` seconds from now there should be room."""

    kind = ErrorKind.RESOURCE_EXHAUSTED
    reason = "LLM_OVERLOADED"

    def __init__(self, queued: int, retry_after: float) -> None:
        super().__init__(f"{queued} requests wait for the language model; try again later", queued=str(queued))
        self.retry_after = retry_after


class EngineFailed(Unavailable):
    """The engine is gone, or lost this request."""

    reason = "LLM_ENGINE_FAILED"
