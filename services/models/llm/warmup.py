"""What is generated before the first caller comes, so that none pays for what the first of its kind compiles."""

import asyncio

from services.llm.triton.protocol import Generate, LlmPrompt
from services.models.llm.engine import LlmEngine
from services.models.llm.service import Service

AT_ONCE = 4
TOKENS = 8


async def warm_up(service: Service, engine: LlmEngine) -> None:
    """Generate in several shapes. Raises DomainError where the model cannot."""
    context = engine.config.model_config.max_model_len
    for words in (1, context // 16, context // 4):
        await service.ask(_request(words))
    await asyncio.gather(*(service.ask(_request(number + 1)) for number in range(AT_ONCE)))
    await service.ask(_request(1, confidence=True))
    await service.ask(_request(1, response_format={"type": "json_object"}))
    for name in engine.adapters:
        await service.ask(_request(1, lora=name))


def _request(words: int, **more: object) -> Generate:
    prompt = LlmPrompt([{"role": "user", "content": " ".join(["hi"] * words)}])
    return Generate("", prompt, {"max_tokens": TOKENS}, **more)  # type: ignore[arg-type]
