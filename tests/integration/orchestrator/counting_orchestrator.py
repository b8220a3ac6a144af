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

import grpc

from services.orchestrator.adapters.peers import Peers
from services.orchestrator.directory import RunDirectory
from services.orchestrator.domain.event import ApprovalKind, ApprovalRequested, Body, FinishReason, TextDelta
from services.orchestrator.runs.agent import Journal, RunInput, RunOutcome
from services.orchestrator.runs.executor import Executor
from services.orchestrator.runs.heartbeat import Heartbeat
from services.orchestrator.servicers.runs import OrchestratorServicer
from services.runtime.call import current, renewed
from services.runtime.identity import TokenVerifier
from tests.fakes.agents import FixedAgents
from tests.fakes.renewing import identities
from tests.fakes.serving import app_of, serving
from tests.fixtures.runs import opened_records

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
    async with (
        opened_records(database, name) as records,
        grpc.aio.insecure_channel("127.0.0.1:1") as nobody,
        identities(verifier, gateway, 10) as whose,
    ):
        executor = Executor(FixedAgents([Counting(verifier)]), records, 100)
        await Heartbeat(executor, records, whose.of_left, 60, 0.2, 1.0).open()
        peers = Peers(nobody, name)
        servicer = OrchestratorServicer(executor, RunDirectory(executor, records), peers, whose, 60)
        async with serving(app_of(servicer), verifier=verifier) as address:
            print(address, flush=True)
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
