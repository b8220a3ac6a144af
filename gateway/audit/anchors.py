"""Signed ends of the chains: what the gateway signs at a checkpoint, and keeps, and what others keep of it elsewhere as
anchors. Pure.

A file of anchors is JSON lines: {"number": 12, "time": …, "heads": "{…}", "signature": "…"}.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import orjson

from gateway.audit.chain import FIRST_CHAIN
from gateway.audit.seal import CHECKPOINT, ONE_CHAIN, UNSPECIFIED, SealCheck, checkpoint_text, one_chain_text
from gateway.audit.walk import AuditReport, Fault


@dataclass(frozen=True, slots=True)
class ChainHead:
    """The last record of a chain; 0 where it has none yet."""

    sequence: int
    hash: str


Heads = Mapping[int, ChainHead]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The chains ended so. `heads` is the canonical JSON that is signed. `time`: seconds since the epoch."""

    number: int
    heads: str
    time: float
    signature: str

    @property
    def ends(self) -> Heads:
        """By chain; none where what is stored is no such JSON, which nobody signed."""
        try:
            return {int(chain): ChainHead(int(end[0]), str(end[1])) for chain, end in orjson.loads(self.heads).items()}
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            return {}

    def good(self, check: SealCheck) -> bool:
        text = checkpoint_text(self.number, self.time, self.heads)
        return check.good(CHECKPOINT, text, self.signature) or self._one_chain(check, ONE_CHAIN, UNSPECIFIED)

    def unspecified(self, check: SealCheck) -> bool:
        """Whether it is from before signatures stated their purpose."""
        return self._one_chain(check, UNSPECIFIED)

    def _one_chain(self, check: SealCheck, *purposes: str) -> bool:
        """Whether it is from when there was one chain."""
        ends = self.ends
        if list(ends) != [FIRST_CHAIN]:
            return False
        text = one_chain_text(ends[FIRST_CHAIN].sequence, ends[FIRST_CHAIN].hash, self.time)
        return any(check.good(purpose, text, self.signature) for purpose in purposes)


@dataclass(slots=True)
class SignedHashes:
    """What checkpoints say: for each chain the hashes of records, by number. `number`: that of the last of them."""

    hashes: dict[int, dict[int, str]] = field(default_factory=dict)
    number: int = 0

    def add(self, checkpoint: Checkpoint, report: AuditReport) -> None:
        for chain, end in checkpoint.ends.items():
            known = self.hashes.setdefault(chain, {})
            if end.sequence and known.setdefault(end.sequence, end.hash) != end.hash:
                why = f"record {end.sequence} was signed, and signed again with another hash"
                report.add(Fault.CHANGED, end.sequence, why, chain)

    def of(self, chain: int, sequence: int) -> str | None:
        """The hash that was signed of a record; None where none was."""
        return self.hashes.get(chain, {}).get(sequence)

    def before(self, chain: int, sequence: int) -> int:
        """The last record of the chain before this one that was signed; 0 where there is none."""
        return max((one for one in self.hashes.get(chain, ()) if one < sequence), default=0)

    def last(self, chain: int) -> int:
        return max(self.hashes.get(chain, ()), default=0)


def anchored(anchors: Iterable[Checkpoint], check: SealCheck | None, report: AuditReport) -> SignedHashes:
    """What anchors say; one that the gateway has not signed is a fault. Without `check` no signature is looked at."""
    said = SignedHashes()
    for anchor in anchors:
        if not anchor.ends or (check is not None and not anchor.good(check)):
            report.add(Fault.FORGED, 0, f"the anchor number {anchor.number} is not signed by this gateway's key")
            continue
        said.add(anchor, report)
        said.number = max(said.number, anchor.number)
        report.anchors += 1
    return said


def anchor_line(anchor: Checkpoint) -> bytes:
    """A line of a file of anchors."""
    return orjson.dumps(asdict(anchor), option=orjson.OPT_APPEND_NEWLINE)


def read_anchors(lines: Iterable[bytes]) -> Sequence[Checkpoint]:
    """The anchors of a file. ValueError, with the number of the line, for a line that is none."""
    found: list[Checkpoint] = []
    for number, line in enumerate(lines, 1):
        try:
            fields = orjson.loads(line)
            made = Checkpoint(
                int(fields["number"]), str(fields["heads"]), float(fields["time"]), str(fields["signature"])
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"line {number} is no anchor") from error
        found.append(made)
    return found
