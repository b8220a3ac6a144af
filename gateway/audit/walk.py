"""Walking along a chain: what was changed, removed, inserted or put elsewhere, and where. Pure."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import orjson

from gateway.audit.chain import FIRST_CHAIN, GENESIS, Link, digest

# What is wrong beyond this is counted and not reported.
MOST_FINDINGS = 100


class Fault(Enum):
    """What can be wrong."""

    CHANGED = "changed"
    REMOVED = "removed"
    INSERTED = "inserted"
    REORDERED = "reordered"
    FORGED = "forged"


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """Something wrong at the record `sequence` of a chain (0: with the whole of it)."""

    fault: Fault
    sequence: int
    message: str
    chain: int = FIRST_CHAIN


@dataclass(slots=True)
class ChainReport:
    """What was read of one chain: how many records, the first and the last of them."""

    records: int = 0
    first: int = 0
    last: int = 0

    def count(self, sequence: int) -> None:
        self.records += 1
        self.first = self.first or sequence
        self.last = max(self.last, sequence)


@dataclass(slots=True)
class AuditReport:
    """What a check found. `signed`: whether a signature vouches for what was read; None where none could be checked.
    `erased`: how many records name an actor, or had content, that was erased since; that is no fault. `chains`: those
    of which records were read; `anchors`: how many were compared."""

    chains: dict[int, ChainReport] = field(default_factory=dict)
    faults: int = 0
    findings: list[AuditFinding] = field(default_factory=list)
    signed: bool | None = None
    erased_actors: int = 0
    erased_contents: int = 0
    anchors: int = 0

    @property
    def sound(self) -> bool:
        return self.faults == 0

    @property
    def records(self) -> int:
        return sum(one.records for one in self.chains.values())

    @property
    def first(self) -> int:
        """The lowest number of a record that was read."""
        return min((one.first for one in self.chains.values()), default=0)

    @property
    def last(self) -> int:
        """The highest."""
        return max((one.last for one in self.chains.values()), default=0)

    def add(self, fault: Fault, sequence: int, message: str, chain: int = FIRST_CHAIN) -> None:
        self.faults += 1
        if len(self.findings) < MOST_FINDINGS:
            text = message if chain == FIRST_CHAIN else f"chain {chain}: {message}"
            self.findings.append(AuditFinding(fault, sequence, text, chain))


class Walker:
    """Sees the records of a chain in order, from the one after `sequence`, whose hash is `hash_`. With `gaps` some may
    be left out, as in an export of one tenant's; the first of them are noted in `skipped`, from and to."""

    def __init__(
        self, report: AuditReport, chain: int, sequence: int = 0, hash_: str = GENESIS, *, gaps: bool = False
    ) -> None:
        self._report = report
        self.chain = chain
        self.sequence = sequence
        self.hash = hash_
        self._gaps = gaps
        self._trusted = True
        self.skipped: list[tuple[int, int]] = []

    def see(self, link: Link, columns: "dict[str, Any] | None" = None) -> None:
        """The next record. `columns`: the columns beside it, which must agree with it."""
        before = self._report.faults
        follows = self._place(link)
        body = _parsed(link.record)
        if body is not None and (body.get("sequence"), body.get("chain", FIRST_CHAIN)) != (link.sequence, self.chain):
            stands = f"in the place of record {link.sequence} stands {_named(body)}"
            self.add(Fault.REORDERED, link.sequence, stands)
        elif body is None or digest(link.previous, link.record) != link.hash:
            self.add(Fault.CHANGED, link.sequence, f"record {link.sequence} was changed")
        elif follows and link.previous != self.hash and self._trusted:
            at = link.sequence - 1
            why = f"record {at} is not the one that record {link.sequence} follows: it was replaced or inserted"
            self.add(Fault.CHANGED, at, why)
        elif columns is not None and any(body.get(name, "") != value for name, value in columns.items()):
            self.add(Fault.CHANGED, link.sequence, f"a column of record {link.sequence} was changed")
        self._trusted = self._report.faults == before
        self.sequence, self.hash = max(link.sequence, self.sequence), link.hash
        self._report.chains.setdefault(self.chain, ChainReport()).count(link.sequence)

    def add(self, fault: Fault, sequence: int, message: str) -> None:
        self._report.add(fault, sequence, message, self.chain)

    def _place(self, link: Link) -> bool:
        """Whether the record follows the last one at once."""
        between = link.sequence - self.sequence - 1
        if between < 0:
            why = f"record {link.sequence} stands after record {self.sequence}"
            self.add(Fault.REORDERED, link.sequence, why)
        elif between > 0:
            self._gap(self.sequence + 1, link.sequence - 1)
        return between == 0

    def _gap(self, first: int, last: int) -> None:
        if not self._gaps:
            self.add(Fault.REMOVED, first, missing(first, last))
        elif len(self.skipped) < MOST_FINDINGS:
            self.skipped.append((first, last))

    def end(self, sequence: int) -> None:
        """The head says that the chain ends with this record."""
        if self.sequence < sequence:
            why = f"{missing(self.sequence + 1, sequence)} at the end"
            self.add(Fault.REMOVED, self.sequence + 1, why)


def missing(first: int, last: int) -> str:
    return f"record {first} was removed" if first == last else f"records {first} to {last} were removed"


def _named(body: dict[str, Any]) -> str:
    chain = body.get("chain", FIRST_CHAIN)
    return f"record {body.get('sequence')}" + ("" if chain == FIRST_CHAIN else f" of chain {chain}")


def _parsed(record: str) -> dict[str, Any] | None:
    try:
        body = orjson.loads(record)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None
