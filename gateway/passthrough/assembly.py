"""The bare models, wired from the settings."""

from contextlib import AsyncExitStack

from gateway.passthrough.passthrough import Passthrough
from gateway.settings import GatewaySettings
from services.llm.client import HttpClient
from services.llm.models import Engines, read_file
from services.llm.settings import LlmSettings, secret


async def open_passthrough(settings: GatewaySettings, models: LlmSettings, resources: AsyncExitStack) -> Passthrough:
    """Closed with `resources`. Raises BadCatalogue."""
    client = HttpClient(settings.upstream_connections or models.connections)
    await client.open()
    resources.push_async_callback(client.aclose)
    file = read_file(models, settings.upstreams_file, "HEADWORKS_GATEWAY_UPSTREAMS_FILE")
    engines = Engines(client, secret)
    return Passthrough({entry.name: engines.bare(entry) for entry in file.entries if entry.bare})
