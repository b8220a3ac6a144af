"""What an orchestrator serves in a process of its own, which a test kills."""

import asyncio

import grpc

from services.orchestrator.adapters.peers import Peers
from services.orchestrator.directory import RunDirectory
from services.orchestrator.runs.agent import Agent
from services.orchestrator.runs.executor import Executor
from services.orchestrator.runs.heartbeat import Heartbeat
from services.orchestrator.servicers.runs import OrchestratorServicer
from services.runtime.identity import TokenVerifier
from tests.fakes.agents import FixedAgents
from tests.fakes.renewing import identities
from tests.fakes.serving import app_of, serving
from tests.fixtures.runs import opened_records


async def serve_agent(agent: Agent, verifier: TokenVerifier, database: str, name: str, gateway: str) -> None:
    """Serve one agent's runs until the process is killed; `gateway` renews their identities. Prints the port."""
    async with (
        opened_records(database, name) as records,
        grpc.aio.insecure_channel("127.0.0.1:1") as nobody,
        identities(verifier, gateway, 10) as whose,
    ):
        executor = Executor(FixedAgents([agent]), records, 100)
        await Heartbeat(executor, records, whose.of_left, 60, 0.2, 1.0).open()
        peers = Peers(nobody, name)
        servicer = OrchestratorServicer(executor, RunDirectory(executor, records), peers, whose, 60)
        async with serving(app_of(servicer), verifier=verifier) as address:
            print(address, flush=True)
            await asyncio.Event().wait()
