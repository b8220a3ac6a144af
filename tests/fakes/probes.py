"""How a stand-in of a service is asked whether it is ready."""

from infra.local.probes import answers
from infra.local.spec import Health, Ports


class Listening:
    """Ready when it accepts connections at its first port."""

    async def check(self, ports: Ports) -> Health:
        ready = await answers(next(iter(ports.values())))
        return Health(ready, "" if ready else "not listening yet", ready)

    async def aclose(self) -> None:
        pass
