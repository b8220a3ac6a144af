"""A program that opens generations and says so, to be killed. Its argument is Triton's gRPC target."""

import asyncio
import sys

import grpc

from services.llm.triton.client import LlmClient
from services.llm.triton.protocol import Generate, LlmPrompt

COUNT = 4


async def main(target: str) -> None:
    """Read the first chunks of COUNT generations, say so, and wait for the end."""
    async with grpc.aio.insecure_channel(target) as channel:
        client = LlmClient(channel)
        request = Generate(
            "", LlmPrompt([{"role": "user", "content": "Hello"}]), {"max_tokens": 8000, "ignore_eos": True}
        )
        answers = [client.generate(request, timeout=100) for _ in range(COUNT)]
        for answer in answers:
            await anext(answer)
        print("open", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
