"""Runs a mesh of stand-ins until told to stop, as `headworks up` runs the real one.

mesh_of_stand_ins.py DATA NAME:WISH,WISH …
"""

import asyncio
import os
import sys
from pathlib import Path

from infra.local.layout import Layout
from infra.local.lock import DirectoryLock
from infra.local.session import take
from infra.local.spec import Command, Ports, Spec
from infra.local.supervisor import Limits, Supervisor, handle_signals
from tests.fakes.probes import Listening

STAND_IN = Path(__file__).with_name("stand_in.py")


def stand_in(name: str, *wishes: str, after: tuple[str, ...] = (), rank: int = 0) -> Spec:
    def command(ports: Ports) -> Command:
        return Command([sys.executable, "-S", str(STAND_IN), str(ports["grpc"]), *wishes], dict(os.environ))

    return Spec(name, name, command, Listening(), after=after, rank=rank, published=False)


async def main() -> None:
    layout = Layout(Path(sys.argv[1]))
    layout.make()
    lock = DirectoryLock(layout.lock)
    take(lock, layout)
    specs = [stand_in(name, *wishes.split(",")) for name, _, wishes in (arg.partition(":") for arg in sys.argv[2:])]
    limits = Limits(ready=20, drain=1)
    async with Supervisor(
        layout, specs, "http://127.0.0.1:1", layout.root, observe=lambda _: None, limits=limits, keep_open=(lock.fd,)
    ) as supervisor:
        handle_signals(supervisor)
        if await supervisor.start():
            await supervisor.keep()


if __name__ == "__main__":
    asyncio.run(main())
