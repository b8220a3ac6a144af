"""A collection's lease, as notes among its points, so that replicas which share a server see it.

Each who wants it writes a note, then reads all notes: of two at once at least one sees the other, and gives way. Two
may both give way, and try again. A holder that died is forgotten when its note runs out, by the clocks of the
replicas, which must agree to within a few seconds.
"""

import time

from services.retrieval.errors import IngestUnderWay
from services.retrieval.model import CollectionKey
from services.retrieval.store import codec
from services.retrieval.store.engine import Point, Remove, Upsert, VectorEngine, Where


class CollectionLeases:
    """The leases of an engine's collections."""

    def __init__(self, engine: VectorEngine) -> None:
        self._engine = engine

    async def take(self, key: CollectionKey, holder: str, seconds: float) -> None:
        """Raises IngestUnderWay where somebody else has it."""
        await self._write(key, holder, seconds)
        own, now = codec.lease_id(holder), time.time()
        notes = await self._engine.scroll(key, Where([("kind", [codec.LEASE])]), only=["until"])
        if any(note != own and payload["until"] > now for note, payload in notes):
            await self.release(key, holder)
            raise IngestUnderWay(key.collection)
        expired = [note for note, _ in notes if note != own]
        if expired:
            await self._engine.apply(key, [Remove(ids=expired)])

    async def renew(self, key: CollectionKey, holder: str, seconds: float) -> None:
        """Raises IngestUnderWay where it ran out: somebody else may have had it since."""
        notes = await self._engine.retrieve(key, [codec.lease_id(holder)])
        if not notes or notes[0][1]["until"] <= time.time():
            raise IngestUnderWay(key.collection)
        await self._write(key, holder, seconds)

    async def release(self, key: CollectionKey, holder: str) -> None:
        """Give it back, if it is held."""
        await self._engine.apply(key, [Remove(ids=[codec.lease_id(holder)])])

    async def _write(self, key: CollectionKey, holder: str, seconds: float) -> None:
        payload = {"kind": codec.LEASE, "until": time.time() + seconds}
        await self._engine.apply(key, [Upsert([Point(codec.lease_id(holder), payload)])])
