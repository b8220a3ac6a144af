"""What records call those who act: one reference for each of whom this process has heard lately."""

import time
from collections import OrderedDict
from dataclasses import dataclass

from gateway.audit.chain import actor_ref, new_salt
from gateway.audit.entry import Actor

REMEMBERED = 20_000


@dataclass(slots=True)
class Reference:
    """`stored` is set once the actor's row is known to be in the database."""

    ref: str
    actor: Actor
    salt: str
    stored: bool = False

    def row(self) -> dict[str, object]:
        return {
            "ref": self.ref, "tenant": self.actor.tenant, "subject": self.actor.subject, "key_id": self.actor.key,
            "address": self.actor.address, "salt": self.salt, "create_time": time.time(),
        }  # fmt: skip


class Actors:
    """The latest `limit` actors. After an erasure all are forgotten, so that nobody goes on under an erased name."""

    def __init__(self, limit: int = REMEMBERED) -> None:
        self._limit = limit
        self._known: OrderedDict[Actor, Reference] = OrderedDict()

    def refer(self, actor: Actor) -> Reference:
        found = self._known.get(actor)
        if found is not None:
            self._known.move_to_end(actor)
            return found
        plain = _plain(actor)
        salt = new_salt()
        made = self._known[actor] = Reference(actor_ref(plain, salt), plain, salt)
        if len(self._known) > self._limit:
            self._known.popitem(last=False)
        return made

    async def forget(self) -> None:
        """Follow a change of the kind "audit_actors"."""
        self._known.clear()


def _plain(actor: Actor) -> Actor:
    """What every database can hold."""
    tenant, subject, key, address = (
        value.encode("utf-8", "replace").decode().replace("\0", "")
        for value in (actor.tenant[:128], actor.subject[:256], actor.key[:128], actor.address[:64])
    )
    return Actor(tenant, subject, key, address)
