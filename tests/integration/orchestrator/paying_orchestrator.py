"""An orchestrator in a process of its own, to be killed: `paying_orchestrator.py DATABASE PUBLIC_KEY NAME GATEWAY`.

Its agent pays three times, which a person has to approve each, and never twice for one call: each payment is a line of
the file `paid` beside the public key. Prints its port when it serves.
"""

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc

from services.orchestrator.adapters.peers import Peers
from services.orchestrator.directory import RunDirectory
from services.orchestrator.domain.tool import Declaration, ToolContext, ToolPolicy
from services.orchestrator.runs.executor import Executor
from services.orchestrator.runs.heartbeat import Heartbeat
from services.orchestrator.servicers.runs import OrchestratorServicer
from services.runtime.identity import TokenVerifier
from tests.fakes.agents import FixedAgents
from tests.fakes.models import calls, says, turns
from tests.fakes.renewing import identities
from tests.fakes.serving import app_of, serving
from tests.fixtures.runs import opened_records
from tests.unit.orchestrator.agents.making import agent

PAYMENTS = 3
SECONDS = 0.05


class Pay:
    """Pays at once, and takes a while to say so."""

    idempotent = False
    name = "pay"
    declaration = Declaration("pay", "Pays.", {"type": "object", "properties": {"n": {"type": "integer"}}})

    def __init__(self, paid: Path) -> None:
        self._paid = paid

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        with self._paid.open("a") as file:
            file.write(f"{context.call_id}\n")
        await asyncio.sleep(SECONDS)
        return "paid"


async def main(database: str, public_key: str, name: str, gateway: str) -> None:
    key = Path(public_key)
    verifier = TokenVerifier(await asyncio.to_thread(key.read_bytes), leeway=0)
    script = turns(calls(*(("pay", f'{{"n": {n}}}') for n in range(PAYMENTS))), says("All paid."))
    gated = {"pay": ToolPolicy(approval=True)}
    payer, _ = agent(script, "limits: {parallel_tools: 1}\n", Pay(key.parent / "paid"), policies=gated)  # type: ignore[arg-type]
    async with (
        opened_records(database, name) as records,
        grpc.aio.insecure_channel("127.0.0.1:1") as nobody,
        identities(verifier, gateway, 10) as whose,
    ):
        executor = Executor(FixedAgents([payer]), records, 100)
        await Heartbeat(executor, records, whose.of_left, 60, 0.2, 1.0).open()
        peers = Peers(nobody, name)
        servicer = OrchestratorServicer(executor, RunDirectory(executor, records), peers, whose, 60)
        async with serving(app_of(servicer), verifier=verifier) as address:
            print(address, flush=True)
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
