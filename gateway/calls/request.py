"""What a call asks of a model, as far as the pipeline goes."""

from collections.abc import Sequence
from dataclasses import dataclass

from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb

from gateway.access.needs import model_name
from services.llm.tokens import estimate

# Reserved for an answer whose length nobody limits; more is taken as the answer grows.
ANSWER_TOKENS = 256


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """`texts`: all that the caller sends to be read, in order. `instructions`: what an answer must not give away.
    `prompt_tokens` and `answer_tokens` are estimates. `instructs`: whether a model does what the texts say."""

    model: str
    texts: Sequence[str]
    instructions: str = ""
    prompt_tokens: int = 0
    answer_tokens: int = ANSWER_TOKENS
    stream: bool = True
    instructs: bool = True

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.answer_tokens


def of_run(request: pb.RunRequest, stream: bool, instructions: str = "") -> ModelRequest:
    """Of a run: the messages' contents, and the arguments of the calls in them. `instructions`: the agent's own."""
    texts: list[str] = []
    protected = [instructions] if instructions else []
    for message in request.messages:
        texts.append(message.content)
        texts += [call.arguments for call in message.tool_calls]
        if message.role == message.ROLE_SYSTEM and message.content:
            protected.append(message.content)
    most = max(0, request.sampling.max_tokens) if request.HasField("sampling") else 0
    return ModelRequest(
        model_name(request.model),
        texts,
        "\n".join(protected),
        prompt_tokens=sum(map(estimate, texts)),
        answer_tokens=min(most, ANSWER_TOKENS) or ANSWER_TOKENS,
        stream=stream,
    )


def put_texts(request: pb.RunRequest, texts: Sequence[str]) -> None:
    """Write the texts of `of_run` back, as the model may read them."""
    left = iter(texts)
    for message in request.messages:
        message.content = next(left)
        for call in message.tool_calls:
            call.arguments = next(left)
