"""What a caller asks of a model, as far as policy goes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb

from gateway.access.permissions import model_name
from services.llm.tokens import estimate

# Reserved for an answer whose length nobody said; more is taken as the answer grows.
ANSWER_TOKENS = 256


@dataclass(frozen=True, slots=True)
class Ask:
    """`texts`: all that the caller says, in order. `instructions`: those of them that an answer must not give away.
    `reads`, `writes`: about how many tokens the prompt has, and the answer may have. `instructs`: a model does what the
    texts say."""

    model: str
    texts: Sequence[str]
    instructions: str = ""
    reads: int = 0
    writes: int = ANSWER_TOKENS
    stream: bool = True
    instructs: bool = True

    def told(self, instructions: str) -> "Ask":
        """The same, with what an agent is told beside what the caller tells it."""
        return replace(self, instructions="\n".join(filter(None, (instructions, self.instructions))))

    @property
    def tokens(self) -> int:
        return self.reads + self.writes


def of_run(request: pb.RunRequest, stream: bool = True) -> Ask:
    """Of a run: the messages' contents, and the arguments of the calls in them."""
    texts = [text for message in request.messages for text in (message.content, *_arguments(message))]
    system = [message.content for message in request.messages if message.role == message.ROLE_SYSTEM]
    longest = max(0, request.sampling.max_tokens) if request.HasField("sampling") else 0
    return Ask(
        model_name(request.model),
        texts,
        "\n".join(system),
        reads=sum(map(estimate, texts)),
        writes=min(longest, ANSWER_TOKENS) or ANSWER_TOKENS,
        stream=stream,
    )


def put(request: pb.RunRequest, texts: Sequence[str]) -> None:
    """Write the texts of `of_run` back, as they are to be said."""
    left = iter(texts)
    for message in request.messages:
        message.content = next(left)
        for call in message.tool_calls:
            call.arguments = next(left)


def _arguments(message: object) -> list[str]:
    return [call.arguments for call in message.tool_calls]  # type: ignore[attr-defined]
