"""The audit as JSON lines: one record a line, and a last line, signed, that says which there are.

A record's line: {"number": 1, "sequence": 7, "previous": …, "hash": …, "record": {…}, "actor": {…}, "content": {…}}.
The last: {"end": "{…}", "signature": …}, where `end` is JSON of the filter, the count, and a hash over all lines.
"""

import hashlib
import time
from collections.abc import AsyncIterator
from dataclasses import asdict

import orjson

from gateway.audit.chain import canonical
from gateway.audit.seal import EXPORT, Seal
from gateway.audit.store import AuditStore, Wanted


class Export:
    def __init__(self, store: AuditStore, seal: Seal) -> None:
        self._store = store
        self._seal = seal

    async def lines(self, wanted: Wanted, *, content: bool = False) -> AsyncIterator[bytes]:
        """The lines, each with its newline. Raises RecordsUnavailable in between, and then has no last line."""
        whole, number, first, last, last_hash = hashlib.sha256(), 0, 0, 0, ""
        async for recorded in self._store.all(wanted, content=content):
            number += 1
            line = {
                "number": number, "sequence": recorded.sequence, "previous": recorded.previous, "hash": recorded.hash,
                "record": orjson.Fragment(recorded.record),
            } | ({"actor": recorded.actor} if recorded.actor else {}) | (
                {"content": recorded.content} if recorded.content else {}
            )  # fmt: skip
            told = orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
            whole.update(told)
            first, last, last_hash = first or recorded.sequence, recorded.sequence, recorded.hash
            yield told
        end = canonical(
            {"count": number, "digest": whole.hexdigest(), "filter": asdict(wanted), "first": first, "last": last,
             "last_hash": last_hash, "time": time.time()}
        )  # fmt: skip
        signature = self._seal.sign(EXPORT, end)
        yield orjson.dumps({"end": end, "signature": signature}, option=orjson.OPT_APPEND_NEWLINE)
