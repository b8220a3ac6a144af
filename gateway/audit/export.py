"""The audit as JSON lines: one record a line, and a last line, signed, that says which there are.

A record's line: {"number": 1, "chain": 2, "sequence": 7, "previous": …, "hash": …, "record": {…}, "actor": {…},
"content": {…}}, without `chain` in the first chain. The last: {"end": "{…}", "signature": …}, where `end` is JSON of
the filter, the count, and a hash over all lines.
"""

import hashlib
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict

import orjson

from gateway.audit.chain import FIRST_CHAIN, canonical
from gateway.audit.seal import EXPORT, Seal
from gateway.audit.store import AuditStore, Wanted


class Export:
    def __init__(self, store: AuditStore, seal: Seal) -> None:
        self._store = store
        self._seal = seal

    async def lines(self, wanted: Wanted, *, content: bool = False) -> AsyncIterator[bytes]:
        """The lines, each with its newline. Raises RecordsUnavailable in between, and then has no last line."""
        whole, number, chains = hashlib.sha256(), 0, dict[int, list[int]]()
        async for recorded in self._store.all(wanted, content=content):
            number += 1
            line = {"number": number} | ({} if recorded.chain == FIRST_CHAIN else {"chain": recorded.chain}) | {
                "sequence": recorded.sequence, "previous": recorded.previous, "hash": recorded.hash,
                "record": orjson.Fragment(recorded.record),
            } | ({"actor": recorded.actor} if recorded.actor else {}) | (
                {"content": recorded.content} if recorded.content else {}
            )  # fmt: skip
            told = orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
            whole.update(told)
            chains.setdefault(recorded.chain, [recorded.sequence, 0])[1] = recorded.sequence
            yield told
        end = canonical(
            {"chains": _by_name(chains), "count": number, "digest": whole.hexdigest(),
             "filter": {**asdict(wanted), "after": _by_name(wanted.after)}, "time": time.time()}
        )  # fmt: skip
        signature = self._seal.sign(EXPORT, end)
        yield orjson.dumps({"end": end, "signature": signature}, option=orjson.OPT_APPEND_NEWLINE)


def _by_name(chains: Mapping[int, object]) -> dict[str, object]:
    """With keys as JSON has them."""
    return {str(chain): value for chain, value in chains.items()}
