"""Where in a changed text the places of the original are."""

from bisect import bisect_left


class Edits:
    """Stretches of a text and the lengths of what stands in their place, from left to right."""

    def __init__(self) -> None:
        self._ends: list[int] = []
        self._starts: list[int] = []
        self._moved = [0]

    def add(self, start: int, end: int, length: int) -> None:
        """What was `start` to `end` is `length` long now. Not before the end of the one added last."""
        self._starts.append(start)
        self._ends.append(end)
        self._moved.append(self._moved[-1] + length - (end - start))

    def shift(self, index: int) -> int:
        """The same place in the changed text. Within a stretch: the end of what stands in its place."""
        done = bisect_left(self._starts, index)  # those that begin before it
        if done and index < self._ends[done - 1]:
            index = self._ends[done - 1]
        return index + self._moved[done]
