"""A policy at work: on what a caller says, on what an agent reads, and on what the model answers."""

from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.guard import metrics
from gateway.guard.bound import BoundDetector
from gateway.guard.classifier import Classifier, injections
from gateway.guard.compile import CompiledPolicy, OutputFacts
from gateway.guard.escapes import unescaped
from gateway.guard.finding import Action, Finding, Stage
from gateway.guard.json_strings import strings_of
from gateway.guard.specs import InjectionSpec
from gateway.guard.stream import OutputStream
from gateway.guard.texts import ScreenedText, screening
from gateway.guard.turns import Steps, Turns, at_once
from gateway.guard.vault import Vault

THREAD_FROM = 16 * 1024
# Findings of one kind in one text; more are counted, and named no more.
LISTED = 1000
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
    for. `turns`: those of all policies, by which long texts are screened."""

    def __init__(
        self,
        guards: CompiledPolicy,
        classifier: Classifier | None,
        tell: Callable[[Finding], None] = metrics.count,
        later: Later | None = None,
        turns: Turns | None = None,
    ) -> None:
        self._guards = guards
        self._classifier = classifier
        self._tell = tell
        self._later = later
        self._turns = turns or Turns()

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

    @property
    def acts_on_input(self) -> bool:
        """Whether what a caller says may be changed or stopped."""
        return self._guards.acts(Stage.INPUT)

    @property
    def acts_on_context(self) -> bool:
        """Whether what an agent reads may be changed or stopped."""
        return self._guards.acts(Stage.CONTEXT)

    @property
    def acts_on_output(self) -> bool:
        """Whether an answer may be changed or stopped."""
        return self._guards.acts(Stage.OUTPUT)

    async def screen_input(
        self,
        texts: Sequence[str],
        *,
        instructs: bool = True,
        flows: Sequence[Sequence[int]] = (),
        lists: Sequence[Sequence[int]] = (),
        owner: str = "",
    ) -> Screened:
        """What a caller says, all of it, in one go: the same address gets the same placeholder in each text. Texts that
        do not instruct a model, such as those to embed, are not asked whether they are attacks. `flows` and
        `lists`: see `screen_texts`. `owner`: the tenant, whose turn a long text waits for."""
        if not self._guards.has(Stage.INPUT):
            return Screened(texts)
        vault = Vault(texts)
        armed = self._guards.on_input(vault)
        return await self._screen(
            texts,
            Stage.INPUT,
            vault,
            screening(texts, armed, flows, lists),
            _judged(texts, flows, lists) if instructs and self._guards.injection(Stage.INPUT) else [],
            owner,
        )

    async def screen_context(self, texts: Sequence[str], *, owner: str = "") -> Screened:
        """Passages and tools' results. What is redacted gets names, such as <EMAIL>, that nothing restores."""
        if not self._guards.has(Stage.CONTEXT):
            return Screened(texts)
        armed = self._guards.on_context()
        steps = _each(texts, armed)
        return await self._screen(texts, Stage.CONTEXT, Vault(), steps, _judged(texts), owner)

    def output(self, vault: Vault | None = None, facts: OutputFacts | None = None) -> OutputStream:
        """Screens one answer. `vault`: that of the call's input."""
        return OutputStream(self._guards.on_output(facts or OutputFacts(), vault), self._tell)

    async def _screen(
        self,
        texts: Sequence[str],
        stage: Stage,
        vault: Vault,
        screen: Steps[list[ScreenedText]],
        judged: "Sequence[_Judged]",
        owner: str,
    ) -> Screened:
        attacks = await self._injections(judged, stage)
        steps = self._found(screen)
        long = sum(map(len, texts)) > THREAD_FROM
        said, found = await self._turns.run(owner, steps) if long else at_once(steps)
        for finding in attacks:
            if finding.acts and finding.action is Action.REDACT:
                said[finding.item] = f"<{finding.category}>"
        findings = [*attacks, *found]
        return Screened(said, findings, next((each for each in findings if each.blocks), None), vault)

    def _found(self, screen: Steps[list[ScreenedText]]) -> Steps[tuple[list[str], list[Finding]]]:
        """The texts as they may be used, and the findings, each counted. Of one kind in one text so many are listed."""
        screened = yield from screen
        listed: list[Finding] = []
        for item, each in enumerate(screened):
            if not each.findings:
                continue
            kinds: Counter[tuple[str, str, bool]] = Counter()
            for number, one in enumerate(each.findings, 1):
                self._tell(one)
                kind = one.guard, one.category, one.blocks
                kinds[kind] += 1
                if kinds[kind] <= LISTED:
                    listed.append(replace(one, item=item))
                if number % LISTED == 0:
                    yield
        return [each.text for each in screened], listed

    async def _injections(self, judged: "Sequence[_Judged]", stage: Stage) -> Sequence[Finding]:
        """What the call waits for; the rest is seen to later."""
        if not judged:
            return ()
        specs = self._guards.injection(stage)
        if self._later is not None and (looking := [spec for spec in specs if not spec.acts]):
            specs = [spec for spec in specs if spec.acts]
            self._later(self._judge(looking, judged))
        return await self._judge(specs, judged)

    async def _judge(self, specs: Sequence[InjectionSpec], judged: "Sequence[_Judged]") -> Sequence[Finding]:
        texts = [text for _, text in judged]
        found = [
            replace(finding, item=judged[finding.item][0])
            for finding in await injections(self._classifier, specs, texts)
        ]
        for finding in found:
            self._tell(finding)
        return found


def _each(texts: Sequence[str], armed: Sequence[BoundDetector]) -> Steps[list[ScreenedText]]:
    """Texts that have nothing to do with each other."""
    screened: list[ScreenedText] = []
    for text in texts:
        screened += yield from screening((text,), armed)
    return screened


# A text that may be an attack, and which of the texts it is, or begins in.
_Judged = tuple[int, str]
_SHORTEST_ORDER = 24


def _judged(
    texts: Sequence[str], flows: Sequence[Sequence[int]] = (), lists: Sequence[Sequence[int]] = ()
) -> list[_Judged]:
    """What may be an attack, behind its escapes: what messages say, also all parts of one together; and of the rest
    what is more than a name, all strings of one JSON together, and all texts of one list."""
    said = {item for flow in flows for item in flow}
    alone = [
        (item, unescaped(text))
        for item, text in enumerate(texts)
        if text and (not said or item in said or len(text) > _SHORTEST_ORDER or " " in text or not text.isascii())
    ]
    alone += [(item, " ".join(strings)) for item, text in enumerate(texts) if len(strings := strings_of(text)) > 1]
    joined = [(flow[0], unescaped("".join(texts[item] for item in flow))) for flow in flows if len(flow) > 1]
    return [*alone, *joined, *((each[0], unescaped(" ".join(texts[item] for item in each))) for each in lists)]
