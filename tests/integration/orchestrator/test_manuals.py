"""Documents that differ in their product alone: the right one is found and quoted, and none with confidence where the
question leaves open which."""

from pathlib import Path

import pytest
from headworks.retrieval.v1 import retrieval_service_pb2 as pb

from services.llm.chat import Message, Role
from services.llm.generation import Ended, Generation, Piece
from services.orchestrator.adapters.retrieval_client import found
from services.orchestrator.generate.extractive import ExtractiveGenerator
from tests.fakes.manuals import Manual, manuals
from tests.fakes.retrieval import Served, served

THRESHOLD = 0.4


async def asked(service: Served, question: str) -> tuple[list[Piece], float]:
    """What is quoted, and the confidence."""
    response = await service.search(question, limit=3, include_sentences=True)
    generation = Generation((Message(Role.USER, question),), max_sentences=1, found=found(response))
    events = [event async for event in ExtractiveGenerator(0.0).generate(generation)]
    pieces = [event for event in events if isinstance(event, Piece)]
    (end,) = [event for event in events if isinstance(event, Ended)]
    return pieces, end.confidence or 0.0


def ingested(all_: list[Manual]) -> dict[str, str | bytes]:
    return {manual.id: manual.text for manual in all_}


@pytest.mark.parametrize("count", [4, 64])
async def test_each_product_is_found_and_its_own_figure_quoted(tmp_path: Path, count: int) -> None:
    all_ = manuals(count)
    async with served(tmp_path) as service:
        await service.ingest(ingested(all_))
        for manual in all_:
            question = f"How many litres does the tank of the {manual.product} hold?"
            hits = (await service.search(question, limit=1)).hits
            assert [hit.passage.document_id for hit in hits] == [manual.id]
            pieces, confidence = await asked(service, question)
            assert [piece.text for piece in pieces] == [f"The tank holds {manual.litres} litres of water."]
            assert confidence > THRESHOLD


async def test_a_question_that_names_no_product_is_answered_with_less_confidence(tmp_path: Path) -> None:
    async with served(tmp_path) as service:
        await service.ingest(ingested(manuals(4)))
        _, open_ = await asked(service, "How many litres of water does the tank hold?")
        _, named = await asked(service, "How many litres of water does the tank of the HydroPro X207 hold?")
    async with served(tmp_path / "one") as service:
        await service.ingest(ingested(manuals(1)))
        _, alone = await asked(service, "How many litres of water does the tank hold?")
    assert open_ < alone / 1.5
    assert named > open_


async def test_what_stands_in_many_documents_is_ranked_once(tmp_path: Path) -> None:
    notice = "All rights are reserved by the maker of the pump, who may change what is written here without notice."
    texts: dict[str, str | bytes] = {
        f"{number}.md": f"# Manual {number}\n\nPump {number}.\n\n## Legal\n\n{notice}" for number in range(8)
    }
    async with served(tmp_path) as service:
        await service.ingest(texts)
        response: pb.SearchResponse = await service.search("who reserves the rights of the pump?", limit=5)
    said = [hit.passage.text for hit in response.hits]
    assert sum(notice in text for text in said) == 1
    assert len(said) == 5
