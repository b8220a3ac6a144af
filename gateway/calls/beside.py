"""What stands beside a call of a tool, as guards read it: the texts in its JSON. Pure."""

from typing import Any

import orjson

from services.llm.openai.leaves import Leaf, Walk


class BesideTexts:
    """`leaves`: the texts beside a call, in order; of several that are replaced the last comes first. `unread`: the
    path of what is no text but says something; empty where there is none. What is no JSON is one text."""

    def __init__(self, beside: str, *, spoken: bool = False) -> None:
        """`spoken`: a sound says something too."""
        self._json = True
        self._holder: dict[str, Any] = {"beside": self._parsed(beside)}
        walk = Walk(spoken)
        walk.at(self._holder, "beside", self._holder["beside"], "beside")
        self.leaves: list[Leaf] = walk.leaves
        self.unread = walk.unread

    @property
    def text(self) -> str:
        """What stands beside the call, with its texts as they are now."""
        value = self._holder["beside"]
        return orjson.dumps(value).decode() if self._json else value

    def _parsed(self, beside: str) -> Any:
        try:
            return orjson.loads(beside)
        except orjson.JSONDecodeError:
            self._json = False
            return beside
