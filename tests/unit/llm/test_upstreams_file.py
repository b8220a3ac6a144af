"""The older file of upstreams, read as a catalogue."""

import pytest

from services.llm.catalogue.file import BadCatalogue, CatalogueFile, key_of, parse
from services.llm.endpoint import ModelEndpoint, endpoint_of

FULL = """
models:
  small:
    base_url: https://llm.example/v1/
    model: small-2026
    api_key_env: LLM_KEY
    description: A small one.
    input_price: 0.15
    output_price: 0.6
    timeout: 20
    headers: {X-Team: search}
  plain: {base_url: "http://127.0.0.1:9/v1"}
"""
BAD = {
    "not yaml": ("models: [", "line 1: the file: not YAML"),
    "no mapping": ("[]", "the file"),
    "no models": ("{}", "models"),
    "no url": ("models: {a: {}}", "models.a.base_url"),
    "bad url": ("models: {a: {base_url: llm.example}}", "models.a.base_url"),
    "a query": ("models: {a: {base_url: 'https://x/v1?key=secret'}}", "models.a.base_url"),
    "bad name": ("models: {'a b': {base_url: 'http://x'}}", "models.a b"),
    "unknown field": ("models: {a: {base_url: 'http://x', api_key: sk-secret}}", "models.a.api_key"),
    "twice": ("models: {a: {base_url: 'http://x'}, a: {base_url: 'http://y'}}", "models.a: this key is there twice"),
    "negative price": ("models: {a: {base_url: 'http://x', input_price: -1}}", "models.a.input_price"),
    "endless": ("models: {a: {base_url: 'http://x', timeout: .inf}}", "models.a.timeout"),
    "unset key": ("models: {a: {base_url: 'http://x', api_key_env: NONE}}", "NONE, which is not set"),
    "key of two lines": ("models: {a: {base_url: 'http://x', api_key_env: LINES}}", "LINES holds no key"),
    "our header": ("models: {a: {base_url: 'http://x', headers: {Authorization: sk-secret}}}", "Authorization"),
    "split header": ('models: {a: {base_url: "http://x", headers: {x: "a\\r\\nb: c"}}}', "cannot be sent"),
}


def endpoints(file: CatalogueFile, secrets: dict[str, str]) -> dict[str, ModelEndpoint]:
    return {entry.name: endpoint_of(entry, key_of(entry, secrets.get)) for entry in file.entries}


def test_upstreams_are_read() -> None:
    file = parse(FULL, "f")
    found = endpoints(file, {"LLM_KEY": "sk-1 \n"})
    small, plain = found["small"], found["plain"]
    assert (small.url, small.model) == ("https://llm.example/v1/chat/completions", "small-2026")
    assert (file.entries[0].price.input_nanos, file.entries[0].price.output_nanos) == (150_000_000, 600_000_000)
    assert (small.timeout, small.first_byte_seconds, small.idle_seconds) == (20, 60, 60)
    assert (small.headers["authorization"], small.headers["x-team"]) == ("Bearer sk-1", "search")
    assert (plain.model, file.entries[1].price.input_nanos, "authorization" in plain.headers) == ("plain", 0, False)
    assert all(entry.bare for entry in file.entries)


def test_they_are_the_same_in_the_present_form() -> None:
    old = parse(FULL, "f")
    new = parse(old.rewritten, "g")
    assert (new.entries, new.rewritten) == (old.entries, "")


def test_a_key_is_not_shown() -> None:
    found = endpoints(parse(FULL, "f"), {"LLM_KEY": "sk-1"})
    assert found["small"].headers["authorization"] == "Bearer sk-1"
    assert "sk-1" not in repr(found)


@pytest.mark.parametrize(("text", "says"), BAD.values(), ids=BAD)
def test_a_bad_file_is_refused(text: str, says: str) -> None:
    with pytest.raises(BadCatalogue) as caught:
        endpoints(parse(text, "the.yaml"), {"LINES": "a\nb"})
    assert says in str(caught.value)
    assert "secret" not in str(caught.value)
