"""Values for the placeholders of scenarios: numbers, names, facts and passages."""

import json
from collections.abc import Mapping
from random import Random

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


def number(random: Random, most: int = 9999) -> str:
    """A whole number with as many digits as any other size is likely to have."""
    return str(random.randrange(10 ** random.randint(0, len(str(most)) - 1), most + 1) if random.random() < 0.3 else (
        random.randrange(10 ** random.randint(1, len(str(most))))
    ))  # fmt: skip


def outcome(random: Random, value: str) -> str:
    """`value` as a tool may return it."""
    return random.choice((value, value, f'{{"result": {value}}}', f'{{"value": {value}}}', f'{{"result": "{value}"}}'))


def failure(random: Random) -> str:
    """An error as a tool may return it."""
    text = random.choice((
        "division by zero", "invalid arguments", "unknown tool", "not a number", "timed out",
        "'expression' is a required property",
        "the tool failed", "no such tool is offered", "the arguments do not match the schema",
    ))  # fmt: skip
    return random.choice((f"error: {text}", f"Error: {text}.", json.dumps({"error": text}), f"The tool failed: {text}"))


def times(random: Random) -> Mapping[str, str]:
    """A product, and a result to be copied: a model this small does not multiply."""
    value = number(random)
    return {"a": number(random, 99), "b": number(random, 99), "n": value, "result": outcome(random, value)}


def clock(random: Random) -> str:
    return f"{random.randrange(24):02}:{random.randrange(60):02}"


def moment(random: Random) -> Mapping[str, str]:
    """A product and the time of day, which may come with a date or with seconds."""
    time = clock(random)
    date = f"20{random.randrange(20, 40)}-{random.randrange(1, 13):02}-{random.randrange(1, 29):02}"
    seconds = f"{random.randrange(60):02}"
    shown = random.choice(
        (time, f"{date}T{time}:{seconds}Z", f"{date}T{time}:{seconds}+00:00", f"{date} {time}", f"{time} UTC")
    )
    return {**times(random), "time": time, "clock": random.choice((shown, json.dumps({"time": shown})))}


def failed(random: Random) -> Mapping[str, str]:
    return {**times(random), "error": failure(random)}


def person(random: Random) -> Mapping[str, str]:
    return {"name": random.choice(NAMES), "age": number(random, 99)}


def fact(random: Random) -> str:
    return f"The {random.choice(THINGS)} of {random.choice(NAMES)} is {worth(random)}."


def worth(random: Random) -> str:
    """A value that only the passage can tell."""
    return random.choice(COLOURS) if random.random() < 0.2 else number(random)


def facts(random: Random) -> Mapping[str, str]:
    """Numbered passages, one of which answers the question."""
    thing, name, value = random.choice(THINGS), random.choice(NAMES), worth(random)
    answer = f"The {thing} of {name} is {value}."
    others = [one for one in (fact(random) for _ in range(random.randrange(4))) if f"{thing} of {name}" not in one]
    at = random.randrange(len(others) + 1) if random.random() < 0.5 else 0
    lines = [f"[{place}] {text}" for place, text in enumerate([*others[:at], answer, *others[at:]], start=1)]
    header = random.choice(HEADERS)
    passages = random.choice(("\n", "\n\n")).join([header, *lines] if header else lines)
    return {
        "thing": thing, "name": name, "value": value, "passages": passages, "cite": str(at + 1),
        "ask": random.choice(ASKS),
    }  # fmt: skip


def claim(random: Random) -> Mapping[str, str]:
    """A text and a claim that it supports or does not."""
    thing, name, value = random.choice(THINGS), random.choice(NAMES), worth(random)
    holds = random.random() < 0.5
    said = value if holds else worth(random)
    return {
        "text": f"The {thing} of {name} is {value}.", "claim": f"The {thing} of {name} is {said}.",
        "verdict": "yes" if said == value else "no",
    }  # fmt: skip


def echo(random: Random) -> Mapping[str, str]:
    """Words to repeat, in an order that cannot be known."""
    pool = [*NAMES, *COLOURS, *(number(random) for _ in range(20))]
    return {"text": " ".join(random.sample(pool, k=random.randint(3, 16)))}
