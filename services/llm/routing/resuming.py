"""An answer that breaks off in the midst, for another target to go on with. Pure."""

from dataclasses import replace

from services.llm.chat import Form, Message, Role
from services.llm.generation import Calls, Ended, Generation, Piece, Said, TokenCounts
from services.llm.tokens import estimate

AGAIN = 24
"""So many characters of the beginning, said once more, are no chance."""


class Continuation:
    """What has been said so far, of all targets that have had a part in it."""

    def __init__(self, generation: Generation) -> None:
        self._asked = generation
        self._whole = generation.response_format.form is not Form.TEXT  # a grammar begins at its beginning
        self._parts: list[str] = []
        self._before = ""
        self._held: str | None = None

    @property
    def possible(self) -> bool:
        """Whether another target may go on: there is a text, no tool has been called, and something may be written."""
        most = self._asked.sampling.max_tokens
        text = "".join(self._parts)
        return not self._whole and bool(text.strip()) and (most is None or most > estimate(text))

    def generation(self) -> Generation:
        """What the next target is asked for: the rest. The text's end is told without spaces, which some refuse."""
        text = self._before = "".join(self._parts)
        self._held = ""
        sampling = self._asked.sampling
        if sampling.max_tokens is not None:
            sampling = replace(sampling, max_tokens=sampling.max_tokens - estimate(text))
        begun = Message(Role.ASSISTANT, text.rstrip())
        return replace(
            self._asked, messages=(*self._asked.messages, begun), continues=True, reasoning=False, sampling=sampling
        )

    def taken(self, said: Said) -> list[Said]:
        """What the caller is to get of the next thing that is said; all that is written is counted."""
        if isinstance(said, Piece):
            text = said.text if self._held is None else self._joined(said.text)
            self._parts.append(text)
            return [said if text == said.text else replace(said, text=text)] if text else []
        if isinstance(said, Calls):
            self._whole = True
        if not isinstance(said, Ended) or not self._before:
            return [said]
        rest = self._held or ""
        pieces: list[Said] = [Piece(rest)] if rest and len(rest) < AGAIN else []
        return [*pieces, replace(said, tokens=self._counted(said.tokens))]

    def _joined(self, text: str) -> str:
        """What of a text goes on from what was said: some models say the beginning again first."""
        held = (self._held or "") + text
        if self._before[-1].isspace():
            held = held.lstrip() if not self._held else held
        if held.startswith(self._before):
            self._held = None
            return held[len(self._before) :]
        if self._before.startswith(held):
            self._held = held
            return ""
        self._held = None
        return held

    def _counted(self, tokens: TokenCounts) -> TokenCounts:
        """Of the whole answer, which has been asked for once: what came before was not counted by its target."""
        before = estimate(self._before)
        return replace(tokens, read=max(0, tokens.read - before), written=tokens.written + before)
