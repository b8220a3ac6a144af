"""What a choice of a target costs, in process."""

import time
from dataclasses import replace

from bench.kit.report import Extra
from services.llm.catalogue.entry import CatalogueEntry, EngineKind
from services.llm.catalogue.route import Balance
from services.llm.chat import Message, Role
from services.llm.needs import Needs
from services.llm.routing.choice import Choice, Weighed
from services.llm.routing.prefixes import reading_order
from services.llm.routing.target import Target

SIZES = (1_000, 8_000, 32_000, 128_000)
TARGETS = (2, 8)
ENTRY = CatalogueEntry("cost", EngineKind.TRITON)
TIMES, BATCHES = 200, 7


def table() -> Extra:
    """Of prompts that were sent before, by their length and the number of targets."""
    columns = ("characters of the prompt", *(f"{balance}, {n} targets" for n in TARGETS for balance in Balance))
    rows = [(f"{size:,}", [_micros(size, n, balance) for n in TARGETS for balance in Balance]) for size in SIZES]
    return Extra("µs of a choice", columns, rows)


def _micros(size: int, targets: int, balance: Balance) -> float:
    weighed = [Weighed(Target(replace(ENTRY, name=f"cost@{n}"))) for n in range(targets)]
    choice = Choice(weighed, balance=balance, route="cost")
    messages = [Message(Role.SYSTEM, "s" * (size // 2)), *(Message(Role.USER, "u" * (size // 20)) for _ in range(10))]
    needs = Needs(prompt=lambda: reading_order(messages, (), True))
    best = float("inf")
    for _ in range(BATCHES):
        started = time.perf_counter()
        for _ in range(TIMES):
            choice.of(needs)
        best = min(best, time.perf_counter() - started)
    return best / TIMES * 1e6
