"""What screens the answers of one call."""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.calls.screening import EventScreen
from gateway.guard.arming import OutputFacts
from gateway.guard.finding import Finding
from gateway.guard.pipeline import Pipeline
from gateway.guard.stream import OutputStream, Released
from gateway.guard.vault import Vault


@dataclass(frozen=True, slots=True)
class Screens:
    """Made where guards look at answers, or personal data has to be put back into them."""

    pipeline: Pipeline
    vault: Vault
    facts: OutputFacts

    def stream(self) -> OutputStream:
        """For one text as it comes."""
        return self.pipeline.output(self.vault, self.facts)

    def events(self) -> EventScreen:
        """For a run's events."""
        return EventScreen(self.stream(), self.released)

    def whole(self, text: str) -> str:
        """A text that is no part of the answer, as it may be shown; nothing of one that is blocked."""
        released = self.released(text)
        return "" if released.blocked is not None else released.text

    def released(self, text: str) -> Released:
        """What a screen makes of a text that is no part of the answer."""
        return self.stream().whole(text)


def screens(pipeline: Pipeline, vault: Vault, instructions: str) -> Screens | None:
    """None where nothing is to be done. `instructions`: what an answer must not give away."""
    if not pipeline.screens_output and not vault:
        return None
    return Screens(pipeline, vault, OutputFacts(system_prompt=instructions))


class Watched:
    """A stream whose findings somebody hears of."""

    def __init__(self, stream: OutputStream, hear: Callable[[Finding], None]) -> None:
        self._stream = stream
        self._hear = hear

    @property
    def released_until(self) -> int:
        return self._stream.released_until

    def feed(self, text: str) -> Released:
        return self._told(self._stream.feed(text))

    def finish(self) -> Released:
        return self._told(self._stream.finish())

    def whole(self, text: str) -> Released:
        return self._told(self._stream.whole(text))

    def _told(self, released: Released) -> Released:
        for finding in released.findings:
            self._hear(finding)
        return released
