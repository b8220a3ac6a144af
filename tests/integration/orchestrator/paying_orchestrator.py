"""An orchestrator in a process of its own, to be killed: `paying_orchestrator.py DATABASE PUBLIC_KEY NAME GATEWAY`.

Its agent pays three times, which a person has to approve each, and never twice for one call: each payment is a line of
the file `paid` beside the public key. Prints its port when it serves.
"""

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from services.orchestrator.domain.tool import Declaration, ToolContext, ToolPolicy
from services.runtime.identity import TokenVerifier
from tests.fakes.models import calls, says, turns
from tests.integration.orchestrator.killable import serve_agent
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
    payer, _ = agent(script, "limits: {parallel_tools: 1}\n", Pay(key.parent / "paid"), policies=gated)
    await serve_agent(payer, verifier, database, name, gateway)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
