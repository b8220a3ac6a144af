"""A conversation in its own words."""

from services.llm.chat import Message, Role
from services.llm.tokens import estimate
from services.orchestrator.agents.loop.extracting import extract

TALK = [
    Message(Role.USER, "Our pump is a P-200. It has run since 2019."),
    Message(Role.ASSISTANT, "Thank you! I hope that helps. The P-200 pump needs oil every 300 hours."),
    Message(Role.TOOL, "a result of 10,000 words"),
    Message(Role.USER, "And what of the weather?"),
    Message(Role.ASSISTANT, "It may rain."),
]


def test_facts_stay_in_their_order_and_courtesies_go() -> None:
    kept = extract("", TALK, 60).split("\n")
    assert "user: Our pump is a P-200." in kept
    assert "assistant: The P-200 pump needs oil every 300 hours." in kept
    assert not any("hope" in line or "result of" in line for line in kept)
    assert kept == [line for line in extract("", TALK, 10_000).split("\n") if line in kept]


def test_no_more_is_kept_than_there_is_room_for() -> None:
    for most in (0, 10, 20, 40):
        assert estimate(extract("", TALK, most)) <= most


def test_what_was_kept_before_competes_with_what_is_new() -> None:
    known = extract("", TALK, 200)
    later = extract(known, [Message(Role.USER, "The pump P-200 was sold on 3 May.")], 30)
    assert "user: The pump P-200 was sold on 3 May." in later
    assert "rain" not in later


def test_what_is_said_again_is_kept_once_as_it_was_said_last() -> None:
    twice = [*TALK, Message(Role.USER, "our pump is a P-200!")]
    kept = extract("", twice, 10_000).split("\n")
    assert [line for line in kept if "our pump is" in line.lower()] == ["user: our pump is a P-200!"]


def test_a_wall_of_text_is_not_kept() -> None:
    assert extract("", [Message(Role.USER, "word " * 500)], 1000) == ""
