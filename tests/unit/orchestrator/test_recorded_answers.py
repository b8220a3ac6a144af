"""Answers of `rag` about a documentation: a change of what is quoted is to be read before it is recorded.

recorded/demo.json has the questions, what was found with all vectors, and each answer. The vectors go through what
retrieval makes of them, and what the orchestrator reads of that.
"""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf.json_format import MessageToDict
from headworks.orchestrator.v1 import run_pb2
from headworks.retrieval.v1 import passage_pb2
from headworks.retrieval.v1 import retrieval_service_pb2 as pb

from services.llm.catalogue.entry import EngineKind
from services.llm.chat import Message, Role
from services.orchestrator import convert
from services.orchestrator.adapters.retrieval_client import found
from services.orchestrator.agents.loop.loop import SpecAgent
from services.orchestrator.agents.loop.work import Kit
from services.orchestrator.agents.specs.shipped import shipped
from services.orchestrator.agents.specs.validation import parse
from services.orchestrator.domain.event import CitationAdded, Event, StepFinished, TextDelta, UsageReported
from services.orchestrator.domain.passage import Found
from services.orchestrator.generate.extractive import ExtractiveGenerator
from services.orchestrator.runs.agent import RunInput
from services.orchestrator.settings import OrchestratorSettings
from services.retrieval.model import Sentences, Vector
from services.retrieval.search import sentences
from services.runtime.language.markdown import plain
from tests.fakes.agents import FakeRetriever
from tests.fakes.models import catalogue, played

RECORDED = json.loads((Path(__file__).parent / "recorded/demo.json").read_text("utf-8"))
CASES = [(each["question"], each["search"], answer) for each in RECORDED for answer in each["answers"]]


def searched(recorded: str) -> Found:
    """What the orchestrator reads, had the sentences been asked for and not their vectors; without the headings, which
    were not looked at then."""
    response = pb.SearchResponse.FromString(base64.b64decode(recorded))
    query = np.array(response.query_vector, np.float32) if response.query_vector else None
    for hit in response.hits:
        hit.sentence_scores.CopyFrom(_scores(hit.sentences, query))
        hit.ClearField("sentences")
        hit.passage.ClearField("headings")
    response.ClearField("query_vector")
    return found(pb.SearchResponse.FromString(response.SerializeToString()))


def _scores(own: passage_pb2.SentenceEmbeddings, query: Vector | None) -> passage_pb2.SentenceScores:
    scored = sentences.score(Sentences([(span.start, span.end) for span in own.spans], own.vectors), query)
    starts, ends = zip(*scored.spans, strict=True) if scored.spans else ((), ())
    return passage_pb2.SentenceScores(starts=starts, ends=ends, scores=scored.scores)


@pytest.mark.parametrize(
    ("question", "search", "answer"), CASES, ids=[f"{c[0]}-{c[2]['max_sentences']}" for c in CASES]
)
async def test_the_same_is_quoted(question: str, search: str, answer: dict[str, Any]) -> None:
    models = catalogue(("extractive", ExtractiveGenerator(OrchestratorSettings().answer_threshold)),
                       engine=EngineKind.EXTRACTIVE)  # fmt: skip
    agent = SpecAgent(
        parse(shipped()["rag"]), 1, models.find("extractive"), Kit(models, FakeRetriever(searched(search)))
    )
    bodies, outcome = await played(agent, RunInput((Message(Role.USER, question),), "docs", 3, answer["max_sentences"]))
    cited = [convert.event("", Event(1, body, 0)).citation for body in bodies if isinstance(body, CitationAdded)]
    quoted = [MessageToDict(one, preserving_proto_field_name=True) for one in cited]
    assert quoted == answer["citations"]
    text = "".join(body.text for body in bodies if isinstance(body, TextDelta))
    assert text == answer["text"]
    for each in quoted:
        start, end = each["answer_span"].get("start", 0), each["answer_span"]["end"]
        assert text[start:end] == plain(each["citation"]["quote"])
    assert int(outcome.reason) == run_pb2.FinishReason.Value(answer["finish"])
    (usage,) = [body for body in bodies if isinstance(body, UsageReported)]
    assert usage.prompt_tokens == answer["prompt_tokens"]
    assert usage.completion_tokens == answer["completion_tokens"]
    confidence = [body for body in bodies if isinstance(body, StepFinished)][-1].confidence
    assert confidence == pytest.approx(answer["confidence"], abs=1e-4)
