"""An orchestrator in a process of its own, to be killed: `python counting_orchestrator.py DATABASE PUBLIC_KEY NAME
GATEWAY`, which renews identities.

Its agent counts to 100, from where its journal ends, each number under a token that is good. It asks for approval first
where the question is "may I?", and takes SECONDS where it is "slowly SECONDS".
Prints its port when it serves.
"""

import asyncio
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

from services.orchestrator.domain.event import ApprovalKind, ApprovalRequested, Body, FinishReason, TextDelta
from services.orchestrator.runs.agent import Journal, RunInput, RunOutcome
from services.runtime.call import current, renewed
from services.runtime.identity import TokenVerifier
from tests.integration.orchestrator.killable import serve_agent

LAST = 100


class Counting:
    name = "rag"
    version = 1
    description = "Counts."
    resumable = True

    def __init__(self, verifier: TokenVerifier) -> None:
        self.verifier = verifier

    async def run(self, ask: RunInput, journal: Journal) -> AsyncGenerator[Body | RunOutcome, None]:
        bodies = [event.body for event in journal.events]
        if ask.question == "may I?":
            if not any(isinstance(body, ApprovalRequested) for body in bodies):
                yield ApprovalRequested("a1", ApprovalKind.RUN, "may I?")
            await journal.decision("a1")
        _, _, seconds = ask.question.partition("slowly ")
        for number in range(sum(isinstance(body, TextDelta) for body in bodies), LAST):
            await asyncio.sleep(float(seconds or 1) / LAST)
            await renewed()
            self.verifier.verify(current().token)
            yield TextDelta(f"{number} ")
        yield RunOutcome(FinishReason.STOP)


async def main(database: str, public_key: str, name: str, gateway: str) -> None:
    verifier = TokenVerifier(await asyncio.to_thread(Path(public_key).read_bytes), leeway=0)
    await serve_agent(Counting(verifier), verifier, database, name, gateway)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
