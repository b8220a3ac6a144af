"""What is quoted, and how: rows, items and code by themselves."""

from services.llm.chat import Message, Role
from services.llm.generation import Generation, Piece
from services.orchestrator.domain.event import Span
from services.orchestrator.domain.passage import Found, Passage
from services.orchestrator.generate.extractive import ExtractiveGenerator

CODE = "Install it with:\n\n```sh\npip install pump\npump --start\n```"


def passage(text: str, *sentences: str, **fields: object) -> Passage:
    spans = [Span(text.index(sentence), text.index(sentence) + len(sentence)) for sentence in sentences]
    return Passage(
        "p", "d", "Pumps", "u", text, 100, 0.9, 0.5, 5.0, tuple(spans), (0.5,) * len(spans), **fields,  # type: ignore[arg-type]
    )  # fmt: skip


async def quoted(question: str, found: Passage, most: int = 1) -> list[Piece]:
    generation = Generation((Message(Role.USER, question),), found=Found((found,)), max_sentences=most)
    return [event async for event in ExtractiveGenerator(0.0).generate(generation) if isinstance(event, Piece)]


async def test_a_sentence_is_quoted_after_its_lead() -> None:
    found = passage("- red\n- blue", "red", "blue", leads=("Colours: Warm", "Colours: Cold"), page=7)
    (piece,) = await quoted("Which warm colours are there?", found)
    assert piece.text == "Colours: Warm: red"
    assert (piece.citation.quote, piece.citation.span, piece.citation.page) == ("red", Span(102, 105), 7)


async def test_code_keeps_its_lines_and_what_follows_begins_on_one_of_its_own() -> None:
    found = passage(f"{CODE}\n\nThen install the pump.", CODE, "Then install the pump.")
    first, second = await quoted("How do I install the pump?", found, 2)
    code = "Install it with:\n```sh\npip install pump\npump --start\n```"
    assert {first.text.strip(), second.text.strip()} == {code, "Then install the pump."}
    assert (first.text + second.text).count("```\nThen") == (first.text == code)


async def test_a_list_is_read_with_pauses() -> None:
    listed = "You can pay by:\n\n- card\n- invoice"
    (piece,) = await quoted("How can I pay?", passage(listed, listed))
    assert piece.text == "You can pay by: card; invoice"


async def test_a_command_that_asks_the_question_does_not_answer_it() -> None:
    command = 'Ask it:\n\n```\npump ask "How long does the pump run?"\npump status\n```'
    found = passage(f"{command}\n\nThe pump runs for six hours.", command, "The pump runs for six hours.")
    (piece,) = await quoted("How long does the pump run?", found)
    assert piece.text == "The pump runs for six hours."


async def test_a_command_is_found_by_its_own_words() -> None:
    command = "```\npump status\n```"
    found = passage(f"{command}\n\nThe pump runs.", command, "The pump runs.")
    (piece,) = await quoted("pump status", found)
    assert piece.text == command
