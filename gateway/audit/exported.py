"""The check of an exported file: what was done to its lines since the gateway signed the last."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from gateway.audit.anchors import Checkpoint, anchored
from gateway.audit.chain import FIRST_CHAIN, Link, actor_ref, canonical, content_hash
from gateway.audit.entry import Actor
from gateway.audit.seal import EXPORT, SealCheck
from gateway.audit.walk import AuditReport, Fault, Walker, missing


def verify_lines(lines: Iterable[bytes], check: SealCheck | None, anchors: Sequence[Checkpoint] = ()) -> AuditReport:
    """Check an export's lines, beside checkpoints that were kept elsewhere. Without `check` the chain is followed and
    the signature is not: `signed` stays None."""
    reading = _Reading(check, anchors)
    for line in lines:
        reading.line(line)
    return reading.over()


class _Reading:
    def __init__(self, check: SealCheck | None, anchors: Sequence[Checkpoint]) -> None:
        self._check = check
        self._report = AuditReport()
        self._anchors = anchors
        self._kept = anchored(anchors, check, self._report)
        self._whole = hashlib.sha256()
        self._walkers: dict[int, Walker] = {}
        self._number = 0
        self._end: dict[str, Any] | None = None

    def line(self, line: bytes) -> None:
        if self._end is not None:
            self._report.add(Fault.INSERTED, 0, "there is a line after the last one")
            return
        try:
            fields = orjson.loads(line)
            if "end" in fields:
                self._read_end(fields)
                return
            link = _link(fields)
            number = int(fields["number"])
        except (ValueError, KeyError, TypeError):
            self._number += 1
            self._report.add(Fault.CHANGED, 0, f"line {self._number} is not one of an export")
            self._whole.update(line)
            return
        self._whole.update(line)
        self._place(number, link)
        self._refers(fields, link)

    def _place(self, number: int, link: Link) -> None:
        """Lines count from 1 without a gap, whatever was filtered out."""
        if number > self._number + 1:
            lines = number - self._number - 1
            why = f"{lines} lines were removed before record {link.sequence}"
            self._report.add(Fault.REMOVED, link.sequence, why, link.chain)
        elif number <= self._number:
            why = f"record {link.sequence} is not in its place"
            self._report.add(Fault.REORDERED, link.sequence, why, link.chain)
        self._number = max(number, self._number)
        walker = self._walkers.get(link.chain)
        if walker is None:  # one tenant's has gaps
            walker = Walker(self._report, link.chain, link.sequence - 1, link.previous, gaps=True)
            self._walkers[link.chain] = walker
        walker.see(link)
        if self._kept.of(link.chain, link.sequence) not in (None, link.hash):
            why = f"record {link.sequence}, or one before it, is not the one of an anchor"
            walker.add(Fault.CHANGED, link.sequence, why)

    def _refers(self, fields: dict[str, Any], link: Link) -> None:
        actor, content, record = fields.get("actor"), fields.get("content"), fields["record"]
        if actor is None:
            self._report.erased_actors += 1
        elif _ref(actor) != record.get("actor"):
            why = f"the actor of record {link.sequence} was changed"
            self._report.add(Fault.CHANGED, link.sequence, why, link.chain)
        if content is not None and _content(content) != record.get("content"):
            why = f"the content of record {link.sequence} was changed"
            self._report.add(Fault.CHANGED, link.sequence, why, link.chain)

    def _read_end(self, fields: dict[str, Any]) -> None:
        self._end = dict(orjson.loads(fields["end"]))
        if self._check is not None:
            self._report.signed = self._check.good(EXPORT, fields["end"], str(fields.get("signature", "")))
            if not self._report.signed:
                self._report.add(Fault.FORGED, 0, "the last line is not signed with this gateway's key")

    def over(self) -> AuditReport:
        report, end = self._report, self._end
        if end is None:
            report.add(Fault.REMOVED, 0, "the last line is missing: the export was cut short")
            return report
        if not any(end["filter"].values()):
            for walker in self._walkers.values():
                for first, last in walker.skipped:
                    walker.add(Fault.REMOVED, first, missing(first, last))
            self._whole_chains(end["time"])
        if self._number < end["count"]:
            report.add(Fault.REMOVED, 0, f"{end['count'] - self._number} lines were removed at the end")
        elif report.sound and self._whole.hexdigest() != end["digest"]:
            report.add(Fault.CHANGED, 0, "lines were changed together with their hashes")
        return report

    def _whole_chains(self, until: float) -> None:
        """An export of everything has what the anchors of before its time name."""
        lasts: dict[int, int] = {}
        for anchor in self._anchors:
            for chain, head in anchor.ends.items() if anchor.time <= until else ():
                lasts[chain] = max(head.sequence, lasts.get(chain, 0))
        for chain, last in sorted(lasts.items()):
            walker = self._walkers.get(chain) or Walker(self._report, chain)
            walker.end(last)


def _link(fields: dict[str, Any]) -> Link:
    chain = int(fields.get("chain", FIRST_CHAIN))
    return Link(
        int(fields["sequence"]), canonical(fields["record"]), str(fields["previous"]), str(fields["hash"]), chain
    )


def _ref(actor: Any) -> str | None:
    try:
        return actor_ref(Actor(actor["tenant"], actor["subject"], actor["key"], actor["address"]), actor["salt"])
    except (KeyError, TypeError):
        return None


def _content(content: Any) -> str | None:
    try:
        return content_hash(content["salt"], content["data"])
    except (KeyError, TypeError):
        return None
