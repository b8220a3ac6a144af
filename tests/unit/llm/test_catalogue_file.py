"""The catalogue's file: what it means, and where it is wrong."""

from pathlib import Path

import pytest

from services.llm.catalogue import file as catalogue_file
from services.llm.catalogue.entry import ALL, Capability, EngineKind
from services.llm.catalogue.file import BadCatalogue
from services.llm.catalogue.route import TargetSpec
from services.llm.chat import Priority, Sampling
from services.llm.faults import Fault, Remedy
from services.llm.price import Price

FULL = """\
currency: EUR
default: small
models:
  - name: small
    generator: openai
    description: Small and quick.
    base_url: https://llm.example/v1
    model: small-2026
    api_key_env: LLM_KEY
    price: {input: 0.15, output: 0.6}
    context_length: 128000
    longest_answer: 16384
    limit_field: max_completion_tokens
    passes: [n, service_tier]
    capabilities: [tools, logprobs]
    sampling: {temperature: 0.2, max_tokens: 1024, stop: [END]}
    priority: batch
    timeout: 120
    concurrency: 8
    queue: 4
    queue_seconds: 2.5
    connections: 16
    connect_seconds: 1
    first_byte_seconds: 2
    idle_seconds: 3
  - {name: "org/own:1", generator: triton, lora: legal}
  - {name: quotes, generator: extractive}
"""


def test_a_full_file() -> None:
    read = catalogue_file.parse(FULL, "models.yaml")
    small, own, quotes = read.entries
    assert (read.default, read.currency) == ("small", "EUR")
    assert (small.engine, small.model, small.base_url) == (EngineKind.OPENAI, "small-2026", "https://llm.example/v1")
    assert (small.description, small.api_key_env, small.context_length) == ("Small and quick.", "LLM_KEY", 128_000)
    assert small.price == Price(150_000_000, 600_000_000)
    assert small.capabilities == {Capability.TOOLS, Capability.LOGPROBS}
    assert small.sampling == Sampling(temperature=0.2, max_tokens=1024, stop=("END",))
    assert (small.priority, small.timeout, small.concurrency, small.queue) == (Priority.BATCH, 120, 8, 4)
    assert (small.queue_seconds, small.connections) == (2.5, 16)
    assert (small.connect_seconds, small.first_byte_seconds, small.idle_seconds) == (1, 2, 3)
    assert (small.longest_answer, small.limit_field) == (16_384, "max_completion_tokens")
    assert (sorted(small.passes), len(own.passes)) == (["n", "service_tier"], 0)
    assert (own.name, own.engine, own.lora, own.capabilities, own.price) == (
        "org/own:1", EngineKind.TRITON, "legal", ALL, Price(),
    )  # fmt: skip
    assert (quotes.engine, quotes.capabilities) == (EngineKind.EXTRACTIVE, frozenset())


HEAD = "models:\n  - name: a\n    generator: openai\n    base_url: http://h/v1\n"
BAD = [
    ("models: [", 1, "expected"),
    ("models:\n\t- x", 2, "cannot start any token"),
    ("", 1, "the file"),
    ("[]", 1, "the file"),
    ("default: x", 1, "models"),
    ("models: 3", 1, "models"),
    ("models:\n  - {name: b, generator: triton, bare: true}\n", 2, "goes with an upstream"),
    ("models: []\ndefault: x", 2, "there is no model 'x'"),
    ("models: []\ncurrency: euro", 2, "currency"),
    ("models: []\ncolour: red", 2, "colour"),
    ("models: []\nmodels: []", 2, "there twice"),
    (HEAD + "    colour: red\n", 5, "models[0].colour"),
    (HEAD + "    contxt_length: 5\n", 5, "did you mean context_length?"),
    (HEAD + "    timeout: soon\n", 5, "models[0].timeout"),
    (HEAD + "    timeout: .inf\n", 5, "models[0].timeout"),
    (HEAD + "    concurrency: 0\n", 5, "models[0].concurrency"),
    (HEAD + "    price: {input: -1}\n", 5, "models[0].price.input"),
    (HEAD + "    price:\n      input: 1\n      output: much\n", 7, "models[0].price.output"),
    (HEAD + "    sampling: {temperature: 3}\n", 5, "models[0].sampling.temperature"),
    (HEAD + "    capabilities: [flying]\n", 5, "models[0].capabilities"),
    (HEAD + "    passes: [two words]\n", 5, "models[0].passes"),
    (HEAD + "    passes: n\n", 5, "models[0].passes"),
    (HEAD + "    limit_field: words\n", 5, "models[0].limit_field"),
    (HEAD + "    longest_answer: -1\n", 5, "models[0].longest_answer"),
    ("models:\n  - {name: b, generator: triton, passes: [n]}\n", 2, "goes with an upstream"),
    (HEAD + "    timeout: 1\n    timeout: 2\n", 6, "there twice"),
    (HEAD + "    api_key: hunter2\n", 5, "models[0].api_key"),
    (HEAD + "    api_key_env: a b\n", 5, "models[0].api_key_env"),
    (HEAD + "    api_key_env: A\n    api_key_file: /a\n", 2, "not both"),
    (HEAD + "    headers: {Authorization: hunter2}\n", 5, "models[0].headers: the header Authorization"),
    (HEAD.replace("h/v1", "a:hunter2@h:x/v1"), 4, "models[0].base_url: not the URL"),
    (HEAD + "    lora: x\n", 2, "goes with `generator: triton`"),
    (HEAD + "  - name: a\n    generator: triton\n", 5, "two models 'a'"),
    (HEAD + "  - name: default\n    generator: triton\n", 5, 'models[1].name: "default"'),
    (HEAD + "  - name: b\n    generator: magic\n", 6, "models[1].generator"),
    (HEAD + "  - name: b\n    generator: openai\n", 5, "needs a base_url"),
    (HEAD + "  - name: b c\n    generator: triton\n", 5, "models[1].name"),
    ("models:\n  - {name: b, generator: openai, base_url: 'http://h:port/v1'}\n", 2, "models[0].base_url"),
    ("models:\n  - {name: b, generator: openai, base_url: 'ftp://x'}\n", 2, "models[0].base_url"),
    ("models:\n  - {name: b, generator: triton, base_url: 'http://x'}\n", 2, "goes with an upstream"),
    ("models:\n  - {name: b, generator: bedrock, base_url: 'https://x.example'}\n", 2, "names no region of AWS"),
    ("models:\n  - {name: b, generator: triton, continues: true}\n", 2, "goes with an upstream"),
    (HEAD + "routes:\n  - {name: r, resume: true, targets: [{model: a}]}\n", 6, "none of its targets `continues`"),
    (HEAD + "    region: eu-central-1\n", 2, "goes with `generator: bedrock`"),
    ("models:\n  - {name: b, generator: ollama, base_url: 'http://h:11434/v1'}\n", 2, "with no /v1"),
]


BEDROCK = "models:\n  - {{name: b, generator: bedrock, base_url: 'https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com'{}}}\n"


@pytest.mark.parametrize(("text", "line", "words"), BAD)
def test_a_bad_file_is_named_by_line_and_field(text: str, line: int, words: str) -> None:
    with pytest.raises(BadCatalogue) as caught:
        catalogue_file.parse(text, "models.yaml")
    assert str(caught.value).startswith(f"models.yaml, line {line}: ")
    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_bedrock_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BadCatalogue, match="pip install"):
        catalogue_file.parse(BEDROCK.format(""), "models.yaml")


@pytest.mark.parametrize(
    ("given", "region"), [("", "us-gov-west-1"), (", region: eu-central-1", "eu-central-1")], ids=["the URL's", "given"]
)
def test_a_region_of_aws(given: str, region: str) -> None:
    (entry,) = catalogue_file.parse(BEDROCK.format(given), "models.yaml").entries
    assert entry.region == region


def test_every_error_is_told_at_once() -> None:
    with pytest.raises(BadCatalogue) as caught:
        catalogue_file.parse(HEAD + "    timeout: 0\n    queue: -1\n", "models.yaml")
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize("content", [None, b"\xff"])
def test_a_file_that_cannot_be_read(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "models.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadCatalogue, match="cannot be read"):
        catalogue_file.read(path)


ROUTED = (
    HEAD + "  - {name: b, generator: openai, base_url: 'http://h/v1'}\n"
    "routes:\n  - name: steady\n    bare: true\n    faults: {content_policy: other}\n"
    "    targets:\n      - {model: a, weight: 3}\n      - {model: b, order: 1}\n"
)


def test_a_route_leads_to_models() -> None:
    (route,) = catalogue_file.parse(ROUTED, "models.yaml").routes
    assert route.targets == (TargetSpec("a", 3), TargetSpec("b", 1, 1))
    assert (route.bare, route.faults) == (True, {Fault.CONTENT_POLICY: Remedy.OTHER})


@pytest.mark.parametrize(
    ("change", "line", "words"),
    [
        (("model: b,", "model: c,"), 12, "there is no model 'c' that the gateway can ask"),
        (("model: b,", "model: steady,"), 7, "leads to itself"),
        (("model: b,", "model: a,"), 7, "a target twice"),
        (("{name: b, generator", "{name: steady, generator"), 7, "a route and another model or route 'steady'"),
        (("content_policy", "bad_luck"), 9, "bad_luck"),
        (("content_policy", "ours"), 9, "no remedy"),
        (("generator: openai, base_url: 'http://h/v1'", "generator: extractive"), 12, "only quotes"),
        (("generator: openai, base_url: 'http://h/v1'", "generator: triton"), 12, "no upstream"),
        (("generator: openai, base_url: 'http://h/v1'", "generator: route"), 5, "stands under `routes:`"),
        (("routes:\n", "routes:\n  - {name: round, targets: [{model: steady}]}\n"), 7, "no route leads in a circle"),
    ],
)
def test_a_bad_route_is_named_by_line(change: tuple[str, str], line: int, words: str) -> None:
    with pytest.raises(BadCatalogue) as caught:
        catalogue_file.parse(ROUTED.replace(*change), "models.yaml")
    assert words in str(caught.value)
    assert f"line {line}:" in str(caught.value)
