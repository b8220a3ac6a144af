"""The automata of the lists in use, each built once however many policies name it."""

import threading
from collections import OrderedDict
from pathlib import Path

from gateway.guard.specs import TermsSpec
from gateway.guard.terms.automaton import Automaton
from gateway.guard.terms.lists import read_list

_MOST = 64
_Key = tuple[str, tuple[str, ...], int]


class Library:
    """`directory`: where the lists are; None where there are none. The one used longest ago goes when there are too
    many; policies that have it keep it. A changed file is read again when a policy is next armed."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._built: OrderedDict[_Key, Automaton] = OrderedDict()
        self._lock = threading.Lock()

    def automata(self, spec: TermsSpec) -> list[Automaton]:
        """One for each list, and one for the spec's own terms. Raises BadTerms, TooManyTerms. Not for the loop."""
        found = [self._list(name, spec.topics) for name in spec.lists]
        if spec.terms:
            found.append(Automaton((term, "terms") for term in spec.terms))
        return found

    def _list(self, name: str, topics: tuple[str, ...]) -> Automaton:
        with self._lock:
            key = (name, topics, self._changed(name))
            if key not in self._built:
                terms = read_list(self._directory, name)
                self._built[key] = Automaton(pair for pair in terms if not topics or pair[1] in topics)
                while len(self._built) > _MOST:
                    self._built.popitem(last=False)
            self._built.move_to_end(key)
            return self._built[key]

    def _changed(self, name: str) -> int:
        try:
            return (self._directory / f"{name}.txt").stat().st_mtime_ns if self._directory else 0
        except OSError:
            return 0
