"""The file of upstreams."""

from pathlib import Path

import pytest
from gateway.passthrough.config import BadUpstreams, parse, read

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
    "not yaml": ("models: [", "models"),
    "no mapping": ("[]", "the file"),
    "no models": ("{}", "models"),
    "no url": ("models: {a: {}}", "models.a.base_url"),
    "bad url": ("models: {a: {base_url: llm.example}}", "models.a.base_url"),
    "a query": ("models: {a: {base_url: 'https://x/v1?key=secret'}}", "models.a.base_url"),
    "bad name": ("models: {'a b': {base_url: 'http://x'}}", "'a b'"),
    "unknown field": ("models: {a: {base_url: 'http://x', api_key: sk-secret}}", "models.a.api_key"),
    "twice": ("models: {a: {base_url: 'http://x'}, a: {base_url: 'http://y'}}", "line 1: a is given twice"),
    "negative price": ("models: {a: {base_url: 'http://x', input_price: -1}}", "models.a.input_price"),
    "endless": ("models: {a: {base_url: 'http://x', timeout: .inf}}", "models.a.timeout"),
    "unset key": ("models: {a: {base_url: 'http://x', api_key_env: NONE}}", "NONE, which is not set"),
    "key of two lines": ("models: {a: {base_url: 'http://x', api_key_env: LINES}}", "LINES holds no key"),
    "our header": ("models: {a: {base_url: 'http://x', headers: {Authorization: sk-secret}}}", "Authorization"),
    "split header": ('models: {a: {base_url: "http://x", headers: {x: "a\\r\\nb: c"}}}', "cannot be sent"),
}


def test_upstreams_are_read() -> None:
    found = parse(FULL, "f", {"LLM_KEY": "sk-1 \n"}.get)
    small, plain = found["small"], found["plain"]
    assert (small.url, small.model) == ("https://llm.example/v1/chat/completions", "small-2026")
    assert (small.input_nanos, small.output_nanos, small.timeout) == (150_000_000, 600_000_000, 20)
    assert (small.headers["authorization"], small.headers["x-team"]) == ("Bearer sk-1", "search")
    assert (plain.model, plain.input_nanos, "authorization" in plain.headers) == ("plain", 0, False)


def test_a_key_is_not_shown() -> None:
    assert "sk-1" not in repr(parse(FULL, "f", {"LLM_KEY": "sk-1"}.get))


@pytest.mark.parametrize(("text", "says"), BAD.values(), ids=BAD)
def test_a_bad_file_is_refused(text: str, says: str) -> None:
    with pytest.raises(BadUpstreams) as caught:
        parse(text, "the.yaml", {"LINES": "a\nb"}.get)
    assert str(caught.value).startswith("the.yaml: ")
    assert says in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadUpstreams, match=r"none\.yaml cannot be read"):
        read(tmp_path / "none.yaml", lambda _: None)
