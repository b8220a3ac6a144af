"""The pipeline at each stage: what is changed, what is blocked, what is told, and what is restored."""

import asyncio
from collections.abc import Sequence

import pytest

from gateway.guard.classifier import Classifier
from gateway.guard.compile import OutputFacts, compile_policy
from gateway.guard.finding import Action, Finding, Mode
from gateway.guard.pipeline import THREAD_FROM, GuardPipeline
from gateway.guard.policy import parse, read
from gateway.guard.terms.library import Library
from services.runtime.errors import Unavailable


class Scores:
    """A classifier that finds what says "attack"."""

    def __init__(self, gone: bool = False) -> None:
        self.gone = gone
        self.asked: list[list[str]] = []

    async def scores(self, texts: Sequence[str]) -> list[float]:
        self.asked.append(list(texts))
        if self.gone:
            raise Unavailable("gone")
        return [0.9 if "attack" in text else 0.1 for text in texts]


def pipeline(*guards: str, classifier: Classifier | None = None, told: list[Finding] | None = None) -> GuardPipeline:
    policy = parse("guards: [" + ", ".join(f"{{guard: {guard}}}" for guard in guards) + "]")
    tell = (lambda finding: None) if told is None else told.append
    return GuardPipeline(compile_policy(policy, Library(None)), classifier, tell)


PII = "pii, stage: both, action: redact, restore: true"


async def test_what_is_redacted_on_the_way_in_is_restored_on_the_way_out() -> None:
    both = pipeline(PII)
    screened = await both.screen_input(["I am jo@example.com", "jo@example.com and al@example.com", "nothing"])
    assert screened.texts == ["I am <EMAIL_1>", "<EMAIL_1> and <EMAIL_2>", "nothing"]
    assert [(each.item, each.category, each.start, each.end) for each in screened.findings] == [
        (0, "EMAIL", 5, 19), (1, "EMAIL", 0, 14), (1, "EMAIL", 19, 33),
    ]  # fmt: skip
    stream = both.output(screened.vault)
    said = "".join(stream.feed(piece).text for piece in "Dear <EMAIL_1>, <EMAIL_2> and <EMAIL_3>")
    assert said + stream.finish().text == "Dear jo@example.com, al@example.com and <EMAIL_3>"


async def test_nothing_is_restored_where_the_policy_does_not_say_so() -> None:
    without = pipeline("pii, stage: both, action: redact")
    screened = await without.screen_input(["jo@example.com"])
    assert without.output(screened.vault).whole("<EMAIL_1>").text == "<EMAIL_1>"


async def test_a_placeholder_that_the_caller_wrote_is_never_taken_for_anothers() -> None:
    screened = await pipeline(PII).screen_input(["jo@example.com", "what is <EMAIL_1>?"])
    assert screened.texts == ["<EMAIL_2>", "what is <EMAIL_1>?"]


async def test_what_the_model_says_of_its_own_is_redacted_without_a_number() -> None:
    assert pipeline(PII).output().whole("ask al@example.com").text == "ask <EMAIL>"


async def test_what_an_agent_reads_gets_names_that_nothing_restores() -> None:
    reading = pipeline("pii, stage: context, action: redact", "secrets, stage: context, action: block")
    screened = await reading.screen_context(["jo@example.com", "AKIAIOSFODNN7EXAMPLE", "fine"])
    assert screened.texts[0] == "<EMAIL>"
    assert screened.texts[2] == "fine"
    assert screened.blocked_items == {1}
    assert not len(screened.vault)


@pytest.mark.parametrize(
    ("guard", "text", "said", "blocked"),
    [
        ("terms, stage: output, action: redact, terms: [badword]", "a badword.", "a *******.", None),
        ("terms, stage: output, action: block, terms: [badword]", "a badword.", "a ", "terms"),
        ("terms, stage: output, action: flag, terms: [badword]", "a badword.", "a badword.", None),
        ("terms, stage: output, action: block, mode: shadow, terms: [badword]", "a badword.", "a badword.", None),
        ("secrets, stage: output, action: redact", "key AKIAIOSFODNN7EXAMPLE", "key <AWS_KEY>", None),
        ("links, action: redact, allowed: [example.com]", "at https://evil.com/x, or", "at <HOST>, or", None),
        ("links, action: block", "see evil.com", "see ", "links"),
        ("length, characters: 5", "1234567", "12345", "length"),
        ("length, characters: 5, action: flag", "1234567", "1234567", None),
        ("system_prompt, action: block, words: 3", "I say: keep this quiet, ok", "I say: ", "system_prompt"),
    ],
)
def test_what_each_guard_does_to_an_answer(guard: str, text: str, said: str, blocked: str | None) -> None:
    told: list[Finding] = []
    stream = pipeline(guard, told=told).output(facts=OutputFacts("Please keep this quiet at all times."))
    released = [stream.feed(character) for character in text]
    released.append(stream.finish())
    assert "".join(each.text for each in released) == said
    stops = [each.blocked for each in released if each.blocked]
    assert [stop.guard for stop in stops] == ([blocked] if blocked else [])
    assert told == [finding for each in released for finding in each.findings]
    assert len(told) == 1
    assert text not in repr(told)


def test_after_a_block_nothing_comes_out() -> None:
    stream = pipeline("terms, stage: output, action: block, terms: [badword]").output()
    assert stream.feed("so badword then ").blocked
    assert stream.feed("more").text == stream.finish().text == ""


def test_guards_that_only_look_hold_nothing_back() -> None:
    stream = pipeline(
        "pii, stage: output", "terms, stage: output, mode: shadow, action: block, terms: [badword]"
    ).output()
    assert [stream.feed(piece).text for piece in ("a bad", "word jo@", "x.org")] == ["a bad", "word jo@", "x.org"]
    assert {finding.guard for finding in stream.finish().findings} == {"pii", "terms"}


def test_hosts_that_the_call_knows_are_allowed() -> None:
    links = pipeline("links, action: redact, allowed: [example.com]")
    facts = OutputFacts(allowed_hosts=["docs.acme.org"])
    text = "docs.acme.org/a example.com acme.org"
    assert links.output(facts=facts).whole(text).text == "docs.acme.org/a example.com <HOST>"


async def test_an_attack_is_blocked_and_all_texts_are_asked_about_at_once() -> None:
    scores = Scores()
    guarded = pipeline("injection, stage: [input, context], action: block, threshold: 0.5", classifier=scores)
    screened = await guarded.screen_input(["hello", "an attack"])
    assert scores.asked == [["hello", "an attack"]]
    assert screened.blocked is not None
    assert (screened.blocked.item, screened.blocked.score, screened.blocked.category) == (1, 0.9, "PROMPT_INJECTION")
    assert (await guarded.screen_context(["an attack", "hello"])).blocked_items == {0}


async def test_an_attack_in_a_passage_may_be_cut_out() -> None:
    guarded = pipeline("injection, stage: context, action: redact", classifier=Scores())
    assert (await guarded.screen_context(["an attack", "hello"])).texts == ["<PROMPT_INJECTION>", "hello"]


@pytest.mark.parametrize(("when_gone", "blocked"), [("open", False), ("closed", True)])
async def test_without_an_answer_of_the_classifier_the_policy_says_what_happens(when_gone: str, blocked: bool) -> None:
    guarded = pipeline(f"injection, stage: input, action: block, when_gone: {when_gone}", classifier=Scores(gone=True))
    screened = await guarded.screen_input(["a", "b"])
    assert [(each.category, each.blocks) for each in screened.findings] == [("UNSCREENED", blocked)]
    assert screened.blocked_items == (frozenset({0, 1}) if blocked else frozenset())


async def test_the_shipped_policy_lets_everything_through_and_tells() -> None:
    shipped = GuardPipeline(compile_policy(read(None), Library(None)), Scores())
    text = f"an attack with jo@example.com and hw_{'a' * 43}"
    screened = await shipped.screen_input([text])
    assert (list(screened.texts), screened.findings) == ([text], ())
    answered = shipped.output().whole(text)
    assert (answered.text, answered.blocked) == (text, None)
    assert {(each.guard, each.action, each.mode) for each in answered.findings} == {
        ("secrets", Action.FLAG, Mode.SHADOW)
    }


async def test_long_texts_leave_the_loop_free() -> None:
    screening = asyncio.create_task(pipeline(PII).screen_input(["jo@example.com " * THREAD_FROM]))
    turns = 0
    while not screening.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 10
    assert (await screening).texts[0].startswith("<EMAIL_1> ")


async def test_a_policy_without_guards_gives_back_what_it_got() -> None:
    texts = ["jo@example.com"]
    nothing = pipeline()
    assert (await nothing.screen_input(texts)).texts is texts
    assert nothing.output().feed("jo@example.com").text == "jo@example.com"
    assert not nothing.screens_output
