"""Values for the placeholders of scenarios: numbers, names, facts and passages."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from random import Random

from services.orchestrator.agents.loop.tool_step import REFUSED
from tests.fakes.tiny_llm.found import clock_result, passages, prompt, search_result

NAMES = (
    "Ada", "Alder", "Alma", "Basil", "Birch", "Carla", "Cedar", "Clara", "Dora", "Edgar", "Elm", "Emil", "Fern",
    "Greta", "Hazel", "Hugo", "Ida", "Iris", "Ivo", "Jonas", "Juno", "Karl", "Laura", "Linden", "Marta", "Maple",
    "Nils", "Nora", "Oak", "Olga", "Oscar", "Paula", "Pine", "Rosa", "Rowan", "Selma", "Theo", "Vera", "Willow", "Yara",
)  # fmt: skip
THINGS = (
    "gate code", "height", "colour", "price", "age", "depth", "room number", "weight", "opening year",
    "phone number", "keeper", "length",
)  # fmt: skip
COLOURS = ("red", "blue", "green", "yellow", "white", "black", "orange", "grey")
HEADERS = ("Passages:", "Context:", "Sources:", "Documents:", "")
ASKS = ("Question: ", "", "")
STRANGE = "What is the weather on the moon?"
EVASIONS = ("I could not compute that.", "I do not know.", "I am a tiny model, trained for tests.")


def number(random: Random, most: int = 9999) -> str:
    """A whole number with as many digits as any other size is likely to have."""
    return str(random.randrange(10 ** random.randint(0, len(str(most)) - 1), most + 1) if random.random() < 0.3 else (
        random.randrange(10 ** random.randint(1, len(str(most))))
    ))  # fmt: skip


def failure(random: Random) -> str:
    """An error as the toolbox words it."""
    text = random.choice((
        "division by zero", "the arguments break the tool's schema: $: 'expression' is a required property",
        "there is no tool 'teleport'; the tools are: search, calculator, current_time",
        "the tool did not answer within 5 seconds", "this is no expression: invalid syntax",
    ))  # fmt: skip
    return random.choice((f"Error: {text}", f"error: {text}"))


def times(random: Random) -> Mapping[str, str]:
    """A product, and a result to be copied: a model this small does not multiply."""
    return product(number(random, 99), number(random, 99), number(random))


def product(a: str, b: str, n: str) -> Mapping[str, str]:
    return {"a": a, "b": b, "n": n}


def moment(random: Random) -> Mapping[str, str]:
    """A product and the time of day, as the tool tells it or in short."""
    at = datetime.fromtimestamp(random.randrange(1_735_689_600, 1_950_000_000), UTC)
    return {**times(random), **clock(at, random.random() < 0.7)}


def clock(at: datetime, whole: bool = True) -> Mapping[str, str]:
    return {"time": f"{at:%H:%M}", "clock": clock_result(at) if whole else f"{at:%H:%M}"}


def failed(random: Random) -> Mapping[str, str]:
    return {**times(random), "error": failure(random)}


def refused(random: Random) -> Mapping[str, str]:
    """A call that a person refused, with a comment or without."""
    comment = random.choice(("", ": no", ": so be it", ": not now", ": not today", ": too dear"))
    return {**times(random), "error": f"{REFUSED}{comment}"}


def person(random: Random) -> Mapping[str, str]:
    return {"name": random.choice(NAMES), "age": number(random, 99)}


def fact(random: Random) -> str:
    return f"The {random.choice(THINGS)} of {random.choice(NAMES)} is {worth(random)}."


def worth(random: Random) -> str:
    """A value that only the passage can tell."""
    return random.choice(COLOURS) if random.random() < 0.2 else number(random)


def facts(random: Random) -> Mapping[str, str]:
    """Passages, one of which answers the question: in short lines, as a prompt holds them, and as search finds them."""
    asked = (random.choice(THINGS), random.choice(NAMES), worth(random))
    others = [fact(random) for _ in range(random.choice((0, 1, 1, 2)))]
    others = [one for one in others if f"{asked[0]} of {asked[1]}" not in one]
    at = random.randrange(len(others) + 1) if random.random() < 0.3 else 0
    return told(random, asked, others, at)


def told(random: Random, asked: tuple[str, str, str], others: Sequence[str], at: int = 0) -> Mapping[str, str]:
    """The values of a fact: a thing, whose it is, and what it is."""
    thing, name, value = asked
    texts = [*others[:at], f"The {thing} of {name} is {value}.", *others[at:]]
    lines = [f"[{place}] {text}" for place, text in enumerate(texts, start=1)]
    question = f"What is the {thing} of {name}?"
    # Found first, for the number is far from the text there.
    best = passages(random, [texts[at], *others])
    return {
        "thing": thing, "name": name, "value": value, "passages": "\n".join([random.choice(HEADERS), *lines]).strip(),
        "cite": str(at + 1), "ask": random.choice(ASKS), "found": search_result(best),
        "prompt": prompt(question, passages(random, texts)),
    }  # fmt: skip


def strange(random: Random) -> Mapping[str, str]:
    """Passages that do not answer the question."""
    given = passages(random, [fact(random) for _ in range(random.randrange(1, 4))])
    return {"prompt": prompt(STRANGE, given), "found": search_result(given[: random.randrange(2)])}


def claim(random: Random) -> Mapping[str, str]:
    """A text, as a passage, as search finds it or as a number; and a claim that rests on it or on nothing."""
    known = facts(random)
    said = f"The {known['thing']} of {known['name']} is {known['value']}."
    reckoned = times(random)
    text, said = random.choice((
        (said, said), (known["found"], said),
        (reckoned["n"], f"{reckoned['a']} times {reckoned['b']} is {reckoned['n']}."),
    ))  # fmt: skip
    return claimed(text, said if random.random() < 0.5 else random.choice(EVASIONS))


def claimed(text: str, said: str) -> Mapping[str, str]:
    holds = said not in EVASIONS
    return {"text": text, "claim": said, "weak": "" if holds else "1", "score": "1" if holds else "0"}


def answered(random: Random) -> Mapping[str, str]:
    """A question with an answer, or with words that are none."""
    thing, name = random.choice(THINGS), random.choice(NAMES)
    a, b, n = times(random).values()
    question, answer = random.choice((
        (f"What is the {thing} of {name}?", f"The {thing} of {name} is {worth(random)}. [1]"),
        (f"What is {a} times {b}?", f"{a} times {b} is {n}."),
    ))  # fmt: skip
    return graded(question, answer if random.random() < 0.5 else random.choice(EVASIONS))


def graded(question: str, answer: str) -> Mapping[str, str]:
    holds = answer not in EVASIONS
    return {
        "question": question, "answer": answer, "score": "1" if holds else "0",
        "reason": "It answers the question." if holds else "It does not answer the question.",
    }  # fmt: skip
