"""The gateway's benchmark: what it sends, what it reads of h2load, what it demands."""

import json
from pathlib import Path

import pytest

from bench.gateway import __main__ as gateway
from bench.gateway import goals as gateway_goals
from bench.gateway import policy as gateway_policy
from bench.gateway import upstream as gateway_upstream
from bench.gateway.goals import ALONE, DIRECT, HEADWORKS, LITELLM, MANY, P50, PORTKEY, RATE, STREAMS
from bench.gateway.memory import Growth
from bench.gateway.probe import HttpTarget
from bench.kit import BenchError
from bench.kit.figures import Summary
from bench.kit.harness import Results
from bench.load import h2load
from gateway.guard import policy
from services.llm.catalogue import file as catalogue
from services.llm.openai.chunks import read
from services.llm.sse import EventReader, data_of

TARGET = HttpTarget("http://127.0.0.1:1/v1/chat/completions", b"{}", {"authorization": "Bearer k"})
SAID = """finished in 1.0s
requests: {total} total, {total} started, {total} done, {total} succeeded, {failed} failed, 0 errored, 0 timeout
status codes: {good} 2xx, 0 3xx, {bad} 4xx, 0 5xx
"""
H2LOAD = """#!{python}
import pathlib, sys
pathlib.Path("{folder}/argv").write_text("\\n".join(sys.argv[1:]))
log = next((one.partition("=")[2] for one in sys.argv if one.startswith("--log-file=")), None)
if log:
    pathlib.Path(log).write_text("1\\t200\\t1000\\n2\\t200\\t3000\\n3\\t200\\t2000\\n")
print('''{said}''')
"""


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a command h2load that says what its file `said` has."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def says(folder: Path, total: int = 3, failed: int = 0, good: int = 3, bad: int = 0) -> None:
    said = SAID.format(total=total, failed=failed, good=good, bad=bad)
    command = folder / "h2load"
    command.write_text(H2LOAD.format(python="/usr/bin/env python3", folder=folder, said=said))
    command.chmod(0o755)


def test_a_load_is_what_h2load_says(load: Path) -> None:
    says(load)
    found = h2load.for_seconds(TARGET, 16, 1.5, 0.5)
    assert (found.answered, found.rate, found.latency.p50) == (3, 2.0, 2.0)
    argv = (load / "argv").read_text().split("\n")
    assert argv[:4] == ["--h1", "--clients=16", "--duration=1.5", "--warm-up-time=0.5"]
    assert "--header=authorization: Bearer k" in argv


@pytest.mark.parametrize("figures", [{"bad": 1}, {"failed": 1}, {"good": 0}])
def test_anything_but_good_answers_ends_the_run(load: Path, figures: dict[str, int]) -> None:
    says(load, **figures)
    with pytest.raises(BenchError, match="2xx"):
        h2load.for_seconds(TARGET, 1, 1, 0)


def test_a_load_of_nothing_ends_the_run(load: Path) -> None:
    says(load)
    command = load / "h2load"
    command.write_text(command.read_text().replace("200\\t", "").replace('"1\\t1000\\n2\\t3000\\n3\\t2000\\n"', '""'))
    with pytest.raises(BenchError, match="give it more"):
        h2load.for_seconds(TARGET, 1, 1, 0)


def test_so_many_are_all_answered(load: Path) -> None:
    says(load)
    h2load.so_many(TARGET, 1, 3)
    with pytest.raises(BenchError, match="4 requests got 3 answers"):
        h2load.so_many(TARGET, 1, 4)


def test_h2load_must_be_there(load: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(load))
    with pytest.raises(BenchError, match="nghttp2-client"):
        h2load.require()


def test_the_upstream_says_the_same_both_ways() -> None:
    whole = gateway_upstream.completion()
    events = EventReader().feed(gateway_upstream.events())
    chunks = [read(event, data_of(event)) for event in events[:-1]]
    said = [part.text for chunk in chunks for part in chunk.parts]
    assert len(said) == gateway_upstream.CHUNKS
    assert "".join(said) == json.loads(whole)["choices"][0]["message"]["content"] == gateway_upstream.TEXT
    assert events[-1] == b"data: [DONE]"


def test_the_gateway_takes_what_it_is_told(tmp_path: Path) -> None:
    upstream = gateway_upstream.Upstream("http://127.0.0.1:1/v1", "http://127.0.0.1:1/stream/v1")
    config = gateway_policy.mesh_config(upstream, tmp_path, 2)
    [file] = config.settings.values()
    assert {entry.name for entry in catalogue.read(Path(file)).entries if entry.bare} == {"canned", "canned-stream"}
    assert len(policy.parse(json.dumps({"guards": gateway_policy.GUARDS})).guards) == len(gateway_policy.GUARDS)


def summary(*values: float) -> Summary:
    return Summary.of(values)


RESULTS: Results = {
    ALONE: {HEADWORKS: {P50: summary(1.5, 3.0)}, DIRECT: {P50: summary(0.5, 0.5)}, PORTKEY: {P50: summary(1.5, 1.5)}},
    MANY: {
        HEADWORKS: {RATE: summary(2000, 1000)},
        LITELLM: {RATE: summary(50, 100)},
        PORTKEY: {RATE: summary(1000, 900)},
    },
    STREAMS: {HEADWORKS: {RATE: summary(400, 400)}, LITELLM: {RATE: summary(40, 40)}},
}


def test_the_goals_are_of_rounds_side_by_side() -> None:
    goals = {goal.name: (goal.measured, goal.met) for goal in gateway_goals.speed(RESULTS)}
    assert goals == {
        "1 connection, p50 ms over Portkey": (0.75, True),
        "16 connections, answers/s, times LiteLLM": (25.0, True),
        "16 connections, answers/s, times Portkey": (pytest.approx((2 + 1000 / 900) / 2), True),
        "16 connections, streams, answers/s, times LiteLLM": (10.0, False),
    }


def test_peers_can_be_left_out() -> None:
    sides = {side: RESULTS[ALONE][side] for side in (HEADWORKS, PORTKEY)}
    alone = {ALONE: sides, MANY: {HEADWORKS: RESULTS[MANY][HEADWORKS]}}
    assert len(gateway_goals.speed(alone)) == 1


@pytest.mark.parametrize(("after", "met"), [(104.0, True), (106.0, False), (80.0, True)])
def test_memory_may_grow_a_little(after: float, met: bool) -> None:
    growth = Growth((20_000, 200_000), (100.0, after))
    assert gateway_goals.memory(growth.share).met is met


def test_each_side_is_asked_the_same() -> None:
    upstream = gateway_upstream.Upstream("http://a/v1", "http://a/stream/v1")
    assert gateway._direct(upstream).whole.body == gateway._place("http://b", {}).whole.body
    assert gateway._place("http://b", {}, streams=False).target(STREAMS) is None
