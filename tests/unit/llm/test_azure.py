"""Where OpenAI's models at Azure are asked, and with what."""

import pytest

from services.llm.catalogue import file
from services.llm.catalogue.file import BadCatalogue
from services.llm.endpoint import endpoint_of

FILE = "models:\n  - {name: gpt, generator: azure, base_url: 'BASE', model: my-gpt, api_key_env: KEY MORE}\n"


@pytest.mark.parametrize(
    ("base", "more", "url"),
    [
        ("https://n.openai.azure.com", "",
         "https://n.openai.azure.com/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21"),
        ("https://n.openai.azure.com/", ", api_version: 2025-01-01-preview",
         "https://n.openai.azure.com/openai/deployments/my-gpt/chat/completions?api-version=2025-01-01-preview"),
        ("https://n.openai.azure.com/openai/v1", "", "https://n.openai.azure.com/openai/v1/chat/completions"),
    ],
)  # fmt: skip
def test_a_deployment(base: str, more: str, url: str) -> None:
    (entry,) = file.parse(FILE.replace("BASE", base).replace(" MORE", more), "models.yaml").entries
    endpoint = endpoint_of(entry, "secret")
    assert endpoint.url == url
    assert endpoint.headers["api-key"] == "secret"
    assert "authorization" not in endpoint.headers
    assert "secret" in endpoint.secrets


def test_others_have_no_version_of_an_api() -> None:
    with pytest.raises(BadCatalogue, match="api_version goes with"):
        file.parse(
            FILE.replace("azure", "openai").replace("BASE", "https://h").replace(" MORE", ", api_version: v"), "f"
        )
