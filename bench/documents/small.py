"""Three small sets: manuals that differ in a number, codes among many passages, prices and limits in tables."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from headworks.retrieval.v1 import retrieval_service_pb2 as pb

from bench.documents import codes, manuals
from bench.documents.asking import Asked, again, ask_all, fill
from bench.documents.questions import Question, read
from bench.documents.wording import holds
from bench.kit.command import Say
from bench.load import rpc
from bench.load.turns import in_turn

MANUALS, CODES, TABLES = "manuals", "codes", "tables"
FOLDER = Path(__file__).with_name("tables")
TABLES_RIGHT = 19


async def right_manuals(client: rpc.MeshClient, collection: str, concurrency: int, say: Say) -> list[Asked]:
    """The questions whose first quote has the product's number, while no quote has another product's."""
    await fill(client, collection, manuals.documents(), say)
    asked = await ask_all(client, collection, manuals.questions(), concurrency)
    return [one for one in asked if one.verdict.first_quote and not _misleads(one)]


def _misleads(asked: Asked) -> bool:
    return any(holds(quote, manuals.others(asked.verdict.question)) for quote in asked.run.quotes)


async def right_tables(client: rpc.MeshClient, collection: str, concurrency: int, say: Say) -> list[Asked]:
    """The questions whose answer is in a quote."""
    files = sorted(file for file in FOLDER.iterdir() if file.suffix != ".yaml")
    documents = [rpc.Document(file.name, file.read_bytes(), media_type="") for file in files]
    filled = await fill(client, collection, documents, say)
    for document, message in filled.failures.items():
        say(f"{document} was not ingested: {message}")
    asked = await ask_all(client, collection, read(FOLDER / "questions.yaml", "en"), concurrency)
    return [one for one in asked if one.verdict.any_quote]


async def right_codes(
    client: rpc.MeshClient, collection: str, passages: Sequence[str], concurrency: int, say: Say
) -> list[Question]:
    """The questions whose code's passage is the first that is found among `passages`."""
    await fill(client, collection, codes.documents(passages), say, batch=codes.BATCH)

    async def first(question: Question) -> bool:
        found = await again(partial(client.search, collection, question.text, pb.SEARCH_MODE_HYBRID, 1))
        return [passage.document_id for passage in found] == list(question.documents)

    questions = codes.questions()
    right = await in_turn(questions, first, concurrency)
    return [question for question, hit in zip(questions, right, strict=True) if hit]
