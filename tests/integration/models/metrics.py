"""Reading Prometheus metrics."""

import asyncio
import re
import time
import urllib.request
from collections.abc import Callable


class Metrics:
    """The metrics at a port of this machine."""

    def __init__(self, port: int) -> None:
        self._port = port

    def text(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics") as response:
            text: str = response.read().decode()
        return text

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples of that name with these labels; 0 where there is none."""
        lines = re.findall(rf"^{re.escape(name)}(\{{[^}}]*\}})? (\S+)$", self.text(), re.MULTILINE)
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        return sum(float(value) for found, value in lines if all(one in found for one in wanted))

    async def until(self, holds: Callable[["Metrics"], bool], limit: float) -> float:
        """Seconds until `holds` became true. Fails after `limit` seconds."""
        began = time.monotonic()
        while not await asyncio.to_thread(holds, self):
            passed = time.monotonic() - began
            assert passed < limit, f"not so after {passed:.1f} s:\n{self.text()}"
            await asyncio.sleep(0.01)
        return time.monotonic() - began
