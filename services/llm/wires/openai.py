"""OpenAI's own wire, which goes on as it is, and the same at Azure."""

from collections.abc import Callable, Mapping

from services.llm.catalogue.entry import CatalogueEntry
from services.llm.wires.prompt_cache import keyed
from services.llm.wires.wire import Prepared, Reading

AZURE_VERSION = "2024-10-21"
"""Of Azure's API, where the catalogue names none."""


class OpenAiWire:
    """`base_url` ends before "/chat/completions", such as https://api.openai.com/v1. `tenant`: whose the
    present call is, where the provider is to be told which of a tenant's requests begin alike."""

    def __init__(self, tenant: Callable[[], str] | None = None) -> None:
        self._tenant = tenant

    def url(self, entry: CatalogueEntry) -> str:
        return f"{entry.base_url.rstrip('/')}/chat/completions"

    def headers(self, key: str) -> Mapping[str, str]:
        return {"authorization": f"Bearer {key}"} if key else {}

    async def prepare(self, url: str, headers: Mapping[str, str], body: bytes) -> Prepared:
        return Prepared(url, headers, body if self._tenant is None else keyed(body, self._tenant()))

    def reading(self, model: str) -> Reading | None:
        return None


class AzureWire(OpenAiWire):
    """`base_url` is the resource's, such as https://NAME.openai.azure.com, and `model` the deployment; or it ends with
    /openai/v1, as Azure's newer API has it, which needs no version."""

    def url(self, entry: CatalogueEntry) -> str:
        base = entry.base_url.rstrip("/")
        if base.endswith("/v1"):
            return f"{base}/chat/completions"
        version = entry.api_version or AZURE_VERSION
        return f"{base}/openai/deployments/{entry.model}/chat/completions?api-version={version}"

    def headers(self, key: str) -> Mapping[str, str]:
        return {"api-key": key} if key else {}
