"""Runs, streams and settings as the command shows them."""

import hashlib
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration
from headworks.orchestrator.v1 import run_event_pb2, run_pb2
from headworks.retrieval.v1 import retrieval_service_pb2 as pb
from headworks.type.v1 import citation_pb2, timing_pb2, usage_pb2

from cli.documents.scan import find_files
from cli.documents.upload import Requests
from cli.mesh.config import reference
from cli.mesh.settings import CLASSES, MASK, masked, settings_of
from cli.output import DEGRADED, NOT_RERANKED
from cli.runs.answers import gather, parse_server_timing, with_gateway
from cli.runs.chat import ChatAnswer, events
from cli.runs.watch import line

RunEvent = run_event_pb2.RunEvent


def a_run() -> list[RunEvent]:
    citation = citation_pb2.Citation(document_id="d", title="T", quote="q")
    timing = timing_pb2.HopTiming(hop="orchestrator", duration=Duration(nanos=2_500_000))
    usage = usage_pb2.Usage(prompt_tokens=3, completion_tokens=2)
    return [
        RunEvent(run_id="run_1", sequence=1, started=run_event_pb2.RunStarted(model="rag")),
        RunEvent(run_id="run_1", sequence=2, text=run_event_pb2.TextDelta(text="One. ")),
        RunEvent(run_id="run_1", sequence=3, text=run_event_pb2.TextDelta(text="Two.")),
        RunEvent(run_id="run_1", sequence=4, citation=run_event_pb2.CitationAdded(citation=citation)),
        RunEvent(run_id="run_1", sequence=5, usage=run_event_pb2.UsageReported(usage=usage)),
        RunEvent(
            run_id="run_1",
            sequence=6,
            finished=run_event_pb2.RunFinished(reason=run_pb2.FINISH_REASON_NO_ANSWER, timings=[timing]),
        ),
    ]


def test_a_run_is_gathered_from_its_events() -> None:
    said: list[str] = []
    answer = gather(a_run(), said.append)
    told = answer.as_json()
    assert said == ["One. ", "Two."]
    assert (told["answer"], told["run_id"], told["finish_reason"]) == ("One. Two.", "run_1", "no_answer")
    assert told["usage"] == {"prompt_tokens": 3, "completion_tokens": 2}
    assert told["citations"][0]["document_id"] == "d"
    assert told["timings_ms"]["orchestrator"] == 2.5
    assert list(told["timings_ms"]) == ["client", "orchestrator", "first_text"]


def test_a_degraded_search_is_shown_with_the_answer() -> None:
    assert gather(a_run(), lambda _: None).as_json()["degraded"] is False
    passages = RunEvent(run_id="run_1", passages=run_event_pb2.PassagesRetrieved(degraded=True))
    assert gather([passages, *a_run()], lambda _: None).as_json()["degraded"] is True
    assert line(passages) == ("passages", f"none ({DEGRADED})")


def test_a_search_without_the_reranker_is_shown_with_the_answer() -> None:
    passages = RunEvent(run_id="run_1", passages=run_event_pb2.PassagesRetrieved(not_reranked=True, degraded=True))
    assert gather(a_run(), lambda _: None).as_json()["not_reranked"] is False
    assert gather([passages, *a_run()], lambda _: None).as_json()["not_reranked"] is True
    assert line(passages) == ("passages", f"none ({DEGRADED}; {NOT_RERANKED})")


@pytest.mark.parametrize(
    ("header", "found"),
    [("gateway;dur=1.5", {"gateway": 1.5}), ("a, b; dur=2 ;desc=x, c;dur=no", {"b": 2.0}), ("", {}), (";;,=", {})],
)
def test_server_timing(header: str, found: dict[str, float]) -> None:
    assert parse_server_timing(header) == found


def test_the_edge_is_what_the_client_saw_beyond_the_gateway() -> None:
    timings = with_gateway({"client": 10.0, "orchestrator": 5.0}, "gateway;dur=7")
    assert timings == {"client": 10.0, "edge": 3.0, "gateway": 7.0, "orchestrator": 5.0}
    assert with_gateway({"client": 10.0}, "") == {"client": 10.0}


def test_server_sent_events() -> None:
    lines = [
        b": note\n",
        b"\n",
        b'data: {"a": 1}\n',
        b"\r\n",
        b'data:{"a": "\xc3\xa9"}\r\n',
        b"data: [DONE]\n",
        b"data: {}\n",
    ]
    assert list(events(lines)) == [{"a": 1}, {"a": "é"}]


def test_a_streamed_completion_is_put_together() -> None:
    asked = ChatAnswer()
    cited = {"url_citation": {"document_id": "d"}}
    asked.take({"choices": [{"delta": {"content": "One"}}]})
    asked.take({"choices": [{"delta": {"annotations": [cited]}}]})
    asked.take({"choices": [{"delta": {}}], "headworks": {"run_id": "run_1", "timings_ms": {"gateway": 1.0}}})
    assert asked.as_json() == {
        "run_id": "run_1", "answer": "One", "citations": [{"document_id": "d"}], "timings_ms": {"gateway": 1.0},
    }  # fmt: skip


def test_what_is_sent_for_new_unchanged_and_vanished_files(tmp_path: Path) -> None:
    for name, text in {"new.txt": "new", "same.txt": "same", "gone.txt": "gone"}.items():
        (tmp_path / name).write_text(text)
    found = find_files(["."], tmp_path)
    (tmp_path / "gone.txt").unlink()
    stored = {"same.txt": hashlib.sha256(b"same").hexdigest(), "new.txt": "0" * 64}
    requests = Requests(pb.IngestOpen(collection="c", delete_missing=True), found.files, stored)
    sent = list(requests)
    kinds = [(request.WhichOneof("message"), request.document.id) for request in sent]
    assert kinds == [
        ("open", ""),
        ("document", "gone.txt"), ("end", ""),
        ("document", "new.txt"), ("chunk", ""), ("end", ""),
        ("document", "same.txt"), ("end", ""),
    ]  # fmt: skip
    assert sent[4].chunk == b"new"
    assert sent[3].document.content_hash == hashlib.sha256(b"new").hexdigest()
    assert requests.unreadable == {"gone.txt": "No such file or directory"}


def test_chunks_are_of_a_mebibyte_at_most(tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_bytes(b"x" * (5 << 19))
    sent = list(Requests(pb.IngestOpen(collection="c"), find_files(["long.txt"], tmp_path).files, {}))
    assert [len(request.chunk) for request in sent if request.WhichOneof("message") == "chunk"] == [
        1 << 20,
        1 << 20,
        1 << 19,
    ]


def test_every_document_has_the_access_groups_that_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    files = find_files(["."], tmp_path).files
    for groups in ([], ["hr", "board"]):
        sent = list(Requests(pb.IngestOpen(collection="c"), files, {}, groups=groups))
        assert [list(request.document.access_groups) for request in sent if request.HasField("document")] == [groups]


@pytest.mark.parametrize("service", CLASSES)
def test_every_service_has_documented_settings(service: str) -> None:
    found = settings_of(service)
    assert found
    assert all(one.description for one in found)
    assert all(one.variable.startswith(f"HEADWORKS_{service.upper()}_") for one in found)


def test_the_source_of_a_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "mesh.toml"
    file.write_text("[gateway]\nport = 7000\nmetrics_port = 7001\n")
    monkeypatch.setenv("HEADWORKS_CONFIG", str(file))
    monkeypatch.setenv("HEADWORKS_GATEWAY_METRICS_PORT", "7002")
    found = {one.name: (one.value, one.source) for one in settings_of("gateway", {"replica": "gateway-7"})}
    assert found["port"] == ("7000", str(file))
    assert found["metrics_port"] == ("7002", "HEADWORKS_GATEWAY_METRICS_PORT")
    assert found["replica"] == ("gateway-7", "headworks up")
    assert found["host"] == ("127.0.0.1", "default")


@pytest.mark.parametrize(
    ("name", "value", "printed"),
    [
        ("qdrant_api_key", "secret", MASK),
        ("qdrant_api_key", "", ""),
        ("records_url", "postgresql://me:secret@db/x", f"postgresql://me:{MASK}@db/x"),
        ("records_url", "sqlite:////data/runs.db", "sqlite:////data/runs.db"),
        ("identity_private_key", Path("/k.pem"), "/k.pem"),
        ("port", 7, "7"),
    ],
)
def test_secrets_are_masked(name: str, value: object, printed: str) -> None:
    assert masked(name, value) == printed


def test_the_reference_has_every_setting() -> None:
    page = reference([(service, settings_of(service)) for service in CLASSES])
    assert "| `HEADWORKS_RETRIEVAL_STORE` | `store` | `edge` |" in page
    assert page.count("\n| `HEADWORKS_") == sum(len(settings_of(service)) for service in CLASSES)


def test_the_file_speaks_to_the_models_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "mesh.toml"
    file.write_text("[models]\nthreads = 3\nembed_instances = 2\n")
    monkeypatch.setenv("HEADWORKS_CONFIG", str(file))
    monkeypatch.setenv("HEADWORKS_MODELS_THREADS", "4")
    found = {one.name: (one.value, one.source) for one in settings_of("models")}
    assert found["threads"] == ("4", "HEADWORKS_MODELS_THREADS")
    assert found["embed_instances"] == ("2", str(file))
