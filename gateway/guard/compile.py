"""A policy's guards as detectors, ready for each stage."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial

from gateway.guard.bound import BoundDetector, Redact, mask, name_it
from gateway.guard.custom import Custom
from gateway.guard.detector import Detector
from gateway.guard.finding import Action, Mode, Stage
from gateway.guard.leak import Leak
from gateway.guard.length import Length
from gateway.guard.links import Links
from gateway.guard.personal.detector import PersonalData
from gateway.guard.policy import Policy
from gateway.guard.secrets import Secrets
from gateway.guard.specs import (
    GuardSpec,
    InjectionSpec,
    LengthSpec,
    LinksSpec,
    PersonalSpec,
    SecretsSpec,
    SystemPromptSpec,
    TermsSpec,
)
from gateway.guard.terms.detector import Terms
from gateway.guard.terms.library import Library
from gateway.guard.vault import Placeholders, Vault


@dataclass(frozen=True, slots=True)
class OutputFacts:
    """What only the call knows. `system_prompt`: what an answer must not give away. `allowed_hosts`: beside
    the policy's, such as those of the passages."""

    system_prompt: str = ""
    allowed_hosts: Collection[str] = ()


class CompiledPolicy:
    """Made by `compile_policy`. Detectors that do not depend on the call are made once."""

    def __init__(self, policy: Policy, detectors: Sequence[tuple[GuardSpec, Detector]]) -> None:
        self._specs = policy.guards
        self._detectors = detectors
        self._ready = {stage: self._fixed(stage) for stage in Stage}
        self._on_input = [(spec, detector, _armed(spec, detector, name_it)) for spec, detector in self._of(Stage.INPUT)]
        self._injection = {stage: self._judged(stage) for stage in Stage}
        self._of_answers = [make for spec in self._specs if (make := _of_answers(spec)) is not None]
        self._stages = frozenset(stage for spec in self._specs for stage in spec.stage)
        self._acting = frozenset(stage for spec in self._specs if spec.acts for stage in spec.stage)
        self._restores = any(isinstance(spec, PersonalSpec) and spec.restore for spec in self._specs)

    @property
    def guards_instructions(self) -> bool:
        return any(isinstance(spec, SystemPromptSpec) for spec in self._specs)

    def has(self, stage: Stage) -> bool:
        """Whether any guard is there at that stage."""
        return stage in self._stages

    def acts(self, stage: Stage) -> bool:
        """Whether any guard there changes or stops what it finds."""
        return stage in self._acting

    def injection(self, stage: Stage) -> list[InjectionSpec]:
        return self._injection[stage]

    def on_input(self, vault: Vault) -> list[BoundDetector]:
        """Personal data gets the vault's placeholders."""
        return [
            _armed(spec, detector, vault.placeholder) if isinstance(spec, PersonalSpec) else armed
            for spec, detector, armed in self._on_input
        ]

    def on_context(self) -> Sequence[BoundDetector]:
        return self._ready[Stage.CONTEXT]

    def on_output(self, facts: OutputFacts, vault: Vault | None) -> Sequence[BoundDetector]:
        of_call = [one for make in self._of_answers if (one := make(facts)) is not None]
        armed = [*self._ready[Stage.OUTPUT], *of_call]
        if self._restores and vault:
            armed.append(BoundDetector(Placeholders(vault), "pii", Action.REDACT, Mode.ENFORCE, tells=False))
        return armed

    def _of(self, stage: Stage) -> list[tuple[GuardSpec, Detector]]:
        return [(spec, detector) for spec, detector in self._detectors if stage in spec.stage]

    def _fixed(self, stage: Stage) -> list[BoundDetector]:
        return [
            _armed(spec, detector, name_it)
            for spec, detector in self._of(stage)
            if not (stage is Stage.OUTPUT and isinstance(spec, LinksSpec))
        ]

    def _judged(self, stage: Stage) -> list[InjectionSpec]:
        return [spec for spec in self._specs if isinstance(spec, InjectionSpec) and stage in spec.stage]


def compile_policy(policy: Policy, library: Library) -> CompiledPolicy:
    """Raises BadTerms, TooManyTerms. Reads files and builds automata: not for the loop."""
    pairs = [(spec, detector) for spec in policy.guards for detector in _detectors(spec, library)]
    return CompiledPolicy(policy, pairs)


def _detectors(spec: GuardSpec, library: Library) -> list[Detector]:
    match spec:
        case PersonalSpec():
            custom: list[Detector] = [Custom(spec.patterns)] if spec.patterns else []
            return [PersonalData(spec.categories, spec.regions), *custom]
        case SecretsSpec():
            return [Secrets(spec.categories)]
        case TermsSpec():
            return [Terms(automaton, spec.disguised) for automaton in library.automata(spec)]
        case LinksSpec():
            return [Links(spec.allowed)]
        case LengthSpec():
            return [Length(spec.characters)]
        case _:
            return []


def _of_answers(spec: GuardSpec) -> Callable[[OutputFacts], BoundDetector | None] | None:
    """What makes the detector of a guard that depends on the call; None for another guard."""
    match spec:
        case SystemPromptSpec():
            return partial(_leak, spec)
        case LinksSpec() if Stage.OUTPUT in spec.stage:
            return partial(_links, spec, _armed(spec, Links(spec.allowed)))
        case _:
            return None


def _leak(spec: SystemPromptSpec, facts: OutputFacts) -> BoundDetector | None:
    return _armed(spec, Leak(facts.system_prompt, spec.words)) if facts.system_prompt else None


def _links(spec: LinksSpec, plain: BoundDetector, facts: OutputFacts) -> BoundDetector:
    hosts = facts.allowed_hosts
    return _armed(spec, Links([*spec.allowed, *hosts])) if hosts else plain


def _armed(spec: GuardSpec, detector: Detector, personal: Redact = name_it) -> BoundDetector:
    redact = personal if isinstance(spec, PersonalSpec) else mask if isinstance(spec, TermsSpec) else name_it
    return BoundDetector(detector, spec.guard, spec.action, spec.mode, redact)
