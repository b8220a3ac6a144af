"""Replicas that start together make the tables once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from sqlalchemy import inspect

from services.orchestrator.agents.store import AgentStore
from services.orchestrator.runs.tables import METADATA, make, open_engine

REPLICAS = 6


def test_replicas_that_start_together(tmp_path: Path) -> None:
    for number in range(5):
        url, together = f"sqlite:///{tmp_path}/{number}.db", Barrier(REPLICAS)

        def start(url: str = url, together: Barrier = together) -> set[str]:
            engine, store = open_engine(url), AgentStore(url)
            together.wait(10)
            make(engine)
            store.open()
            found = set(inspect(engine).get_table_names())
            engine.dispose()
            store.close()
            return found

        with ThreadPoolExecutor(REPLICAS) as pool:
            started = [pool.submit(start) for _ in range(REPLICAS)]
        assert all(one.result() >= {*METADATA.tables, "agents"} for one in started)
