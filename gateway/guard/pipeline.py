"""A policy at work: on what a caller says, on what an agent reads, and on what the model answers."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.guard import metrics
from gateway.guard.bound import BoundDetector
from gateway.guard.classifier import Classifier, injections
from gateway.guard.compile import CompiledPolicy, OutputFacts
from gateway.guard.finding import Action, Finding, Stage
from gateway.guard.specs import InjectionSpec
from gateway.guard.stream import OutputStream
from gateway.guard.vault import Vault

THREAD_FROM = 16 * 1024
# Takes work that nobody waits for.
Later = Callable[[Coroutine[Any, Any, object]], None]


@dataclass(frozen=True, slots=True)
class Screened:
    """`texts`: as they may be used, in order; what is blocked may not. `blocked`: the first finding that blocks.
    `vault`: what the placeholders in the texts stand for; for Pipeline.output."""

    texts: Sequence[str]
    findings: Sequence[Finding] = ()
    blocked: Finding | None = None
    vault: Vault = field(default_factory=Vault)

    @property
    def blocked_items(self) -> frozenset[int]:
        """Which of the texts are blocked. A finding about all of them blocks all."""
        blocking = [finding for finding in self.findings if finding.blocks]
        if any(finding.end == 0 for finding in blocking):
            return frozenset(range(len(self.texts)))
        return frozenset(finding.item for finding in blocking)


class GuardPipeline:
    """Immutable, so that a call keeps the policy that it began with. `classifier`: None where there is none. `later`
    takes work that no call waits for: guards that only look at whether a text is an attack; without it they are waited
    for."""

    def __init__(
        self,
        guards: CompiledPolicy,
        classifier: Classifier | None,
        tell: Callable[[Finding], None] = metrics.count,
        later: Later | None = None,
    ) -> None:
        self._guards = guards
        self._classifier = classifier
        self._tell = tell
        self._later = later

    @property
    def screens_output(self) -> bool:
        """Whether anything but a vault may change an answer or be found in it."""
        return self._guards.has(Stage.OUTPUT)

    @property
    def screens_context(self) -> bool:
        """Whether anything looks at what agents read."""
        return self._guards.has(Stage.CONTEXT)

    @property
    def closes_context(self) -> bool:
        """Whether agents may read nothing while it cannot be judged."""
        return any(spec.acts and spec.when_gone == "closed" for spec in self._guards.injection(Stage.CONTEXT))

    @property
    def guards_instructions(self) -> bool:
        """Whether answers are searched for OutputFacts.system_prompt."""
        return self._guards.guards_instructions

    async def screen_input(self, texts: Sequence[str], *, instructs: bool = True) -> Screened:
        """What a caller says, all of it, in one go: the same address gets the same placeholder in each text. Texts that
        do not instruct a model, such as those to embed, are not asked whether they are attacks."""
        if not self._guards.has(Stage.INPUT):
            return Screened(texts)
        vault = Vault(texts)
        return await self._screen(texts, Stage.INPUT, self._guards.on_input(vault), vault, instructs)

    async def screen_context(self, texts: Sequence[str]) -> Screened:
        """Passages and tools' results. What is redacted gets names, such as <EMAIL>, that nothing restores."""
        if not self._guards.has(Stage.CONTEXT):
            return Screened(texts)
        return await self._screen(texts, Stage.CONTEXT, self._guards.on_context(), Vault())

    def output(self, vault: Vault | None = None, facts: OutputFacts | None = None) -> OutputStream:
        """Screens one answer. `vault`: that of the call's input."""
        return OutputStream(self._guards.on_output(facts or OutputFacts(), vault), self._tell)

    async def _screen(
        self, texts: Sequence[str], stage: Stage, armed: Sequence[BoundDetector], vault: Vault, instructs: bool = True
    ) -> Screened:
        found = await self._injections(texts, stage) if instructs else []
        if sum(map(len, texts)) > THREAD_FROM:
            screened = await asyncio.to_thread(self._screen_each, texts, armed)
        else:
            screened = self._screen_each(texts, armed)
        said = [text for text, _ in screened]
        for finding in found:
            if finding.acts and finding.action is Action.REDACT:
                said[finding.item] = f"<{finding.category}>"
        findings = [*found, *(finding for _, findings in screened for finding in findings)]
        return Screened(said, findings, next((each for each in findings if each.blocks), None), vault)

    async def _injections(self, texts: Sequence[str], stage: Stage) -> Sequence[Finding]:
        """What the call waits for; the rest is seen to later."""
        specs = self._guards.injection(stage)
        if self._later is not None and (looking := [spec for spec in specs if not spec.acts]):
            specs = [spec for spec in specs if spec.acts]
            self._later(self._judge(looking, texts))
        return await self._judge(specs, texts)

    async def _judge(self, specs: Sequence[InjectionSpec], texts: Sequence[str]) -> Sequence[Finding]:
        found = await injections(self._classifier, specs, texts)
        for finding in found:
            self._tell(finding)
        return found

    def _screen_each(self, texts: Sequence[str], armed: Sequence[BoundDetector]) -> list[tuple[str, list[Finding]]]:
        return [_screen_one(text, item, armed, self._tell) for item, text in enumerate(texts)]


def _screen_one(
    text: str, item: int, armed: Sequence[BoundDetector], tell: Callable[[Finding], None]
) -> tuple[str, list[Finding]]:
    if not armed or not text:
        return text, []
    released = OutputStream(armed, tell).whole(text)
    return released.text, [replace(finding, item=item) for finding in released.findings]
