"""What tenants share, and in what order they get it: who wants much waits behind their own, not others behind them.

An owner is a path, such as (tenant,) or (tenant, stream): tenants take turns, and the streams of each take turns in its
own.
"""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Owner = tuple[Hashable, ...]
T = TypeVar("T")
# Of what is left a tenant may hold three times as much, where something is held free for others: three quarters of all
# while nobody else has any.
SHARE = 3


def within_share(own: float, used: float, total: float) -> bool:
    """Whether a tenant that has `own` of what is `used` may have more, so that something is left for the next one."""
    return used < total and own < SHARE * (total - used)


class Full(Exception):
    """Nothing can be had: the queue is full, or the wait was too long."""


class FairQueue(Generic[T]):
    """Items by owner. Each level of owners takes turns."""

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._owners: OrderedDict[Hashable, FairQueue[T]] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def of(self, name: Hashable) -> int:
        """How many items an owner of the first level has."""
        return len(self._owners[name]) if name in self._owners else 0

    def longest(self) -> Hashable:
        """The owner of the first level with the most items. ValueError where there is none."""
        return max(self._owners, key=lambda name: len(self._owners[name]))

    def push(self, owner: Owner, item: T) -> None:
        self._size += 1
        if owner:
            self._owners.setdefault(owner[0], FairQueue()).push(owner[1:], item)
        else:
            self._items.append(item)

    def turn(self, used: Callable[[Hashable], tuple[int, int]]) -> Hashable:
        """Whose turn it is: the owner of the first level with the least of what `used` gives. ValueError where nobody
        waits."""
        return min(self._owners, key=used)

    def peek(self, name: Hashable) -> T:
        """The next item of an owner of the first level."""
        queue = self._owners[name]
        while queue._owners:
            queue = next(iter(queue._owners.values()))
        return queue._items[0]

    def pop(self, name: Hashable | None = None) -> T:
        """Take the next item: of this owner, or of the one whose turn it is. LookupError where there is none."""
        if not self._owners:
            item = self._items.popleft()
        else:
            name = next(iter(self._owners)) if name is None else name
            item = self._owners[name].pop()
            self._owners.move_to_end(name)
            self._tidy(name)
        self._size -= 1
        return item

    def drop(self, name: Hashable) -> T:
        """Take the newest item of an owner of the first level; of its own owners, of the one with the most."""
        item = self._owners[name]._newest()
        self._tidy(name)
        self._size -= 1
        return item

    def _newest(self) -> T:
        if self._owners:
            return self.drop(self.longest())
        self._size -= 1
        return self._items.pop()

    def remove(self, owner: Owner, item: T) -> None:
        """Take one item out. ValueError where it is not there."""
        if not owner:
            self._items.remove(item)
        elif owner[0] in self._owners:
            self._owners[owner[0]].remove(owner[1:], item)
            self._tidy(owner[0])
        else:
            raise ValueError("there is no such item")
        self._size -= 1

    def _tidy(self, name: Hashable) -> None:
        if not self._owners[name]:
            del self._owners[name]


@dataclass(slots=True, eq=False)
class _Waiter:
    owner: Owner
    amount: int
    future: "asyncio.Future[None]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class FairLimit:
    """Gives out a `total`, such as places or bytes; who finds none waits, `queue` of them at most, any number if None.

    Of those who wait, a lower `rank` goes first, then the tenant that holds least, and of those that hold as much the
    one that has got nothing for longest. Where the queue is full, the newest
    of the tenant with the most makes room for one with less. With `spare`, no tenant takes so much that nothing is
    left for the next one: see `within_share`. Who wants more than there is in all gets it when nobody has any.
    """

    def __init__(self, total: int, queue: int | None = None, *, ranks: int = 1, spare: bool = False) -> None:
        self.total = total
        self._queue = queue
        self._spare = spare
        self._used: Counter[Hashable] = Counter()
        self._waiting: tuple[FairQueue[_Waiter], ...] = tuple(FairQueue() for _ in range(ranks))
        self._last: dict[Hashable, int] = {}
        self._given = 0
        self.used = 0

    @property
    def waiting(self) -> int:
        return sum(map(len, self._waiting))

    @asynccontextmanager
    async def place(
        self, owner: Owner, amount: int = 1, *, rank: int = 0, seconds: float | None = None
    ) -> AsyncIterator[None]:
        """Hold the amount meanwhile. Raises Full."""
        await self.acquire(owner, amount, rank=rank, seconds=seconds)
        try:
            yield
        finally:
            self.release(owner, amount)

    def take(self, owner: Owner, amount: int = 1) -> bool:
        """Have the amount at once; False where that is not possible."""
        if any(self._waiting) or not self._may(owner, amount):
            return False
        self._give(owner, amount)
        return True

    async def acquire(self, owner: Owner, amount: int = 1, *, rank: int = 0, seconds: float | None = None) -> None:
        """Have the amount, waiting for it so many seconds at most. Raises Full."""
        if self._may(owner, amount) and not self._before(rank):
            self._give(owner, amount)
            return
        self._make_room(owner)
        waiter = _Waiter(owner, amount)
        self._waiting[rank].push(owner, waiter)
        try:
            async with asyncio.timeout(seconds):
                await waiter.future
        except BaseException as error:
            if waiter.future.done() and not waiter.future.cancelled() and waiter.future.exception() is None:
                self.release(owner, amount)
            else:
                with suppress(ValueError):
                    self._waiting[rank].remove(owner, waiter)
                self._grant()
                self._forget(owner[0])
            if isinstance(error, TimeoutError):
                raise Full from None
            raise

    def release(self, owner: Owner, amount: int = 1) -> None:
        """Give the amount back."""
        self._used[owner[0]] -= amount
        self.used -= amount
        if self._used[owner[0]] <= 0:
            del self._used[owner[0]]
        self._grant()
        self._forget(owner[0])

    def _give(self, owner: Owner, amount: int) -> None:
        self._given += 1
        self._last[owner[0]] = self._given
        self._used[owner[0]] += amount
        self.used += amount

    def _forget(self, name: Hashable) -> None:
        """Keep nothing of a tenant that neither holds anything nor waits."""
        if name not in self._used and not any(queue.of(name) for queue in self._waiting):
            self._last.pop(name, None)

    def _turn(self, name: Hashable) -> tuple[int, int]:
        return self._used[name], self._last.get(name, 0)

    def _may(self, owner: Owner, amount: int) -> bool:
        if self.used == 0:
            return True
        own = self._used[owner[0]]
        if self._spare and own and not within_share(own, self.used, self.total):
            return False
        return self.used + amount <= self.total

    def _before(self, rank: int) -> bool:
        """Somebody waits who could go on before one of this rank; those wait only for what is left for others."""
        return any(self._next(queue) is not None for queue in self._waiting[: rank + 1])

    def _next(self, queue: FairQueue[_Waiter]) -> Hashable | None:
        """The tenant whose turn it is, if there is anything for anybody; None where nobody may have more."""
        if not queue:
            return None
        name = queue.turn(self._turn)
        # The one that uses least is the last to whom its share says no.
        own = self._used[name]
        return None if self._spare and own and not within_share(own, self.used, self.total) else name

    def _grant(self) -> None:
        """Give out what can be given, in order: what is left is not given to a smaller one behind a larger."""
        for queue in self._waiting:
            while (name := self._next(queue)) is not None:
                waiter = queue.peek(name)
                if waiter.future.done():
                    queue.pop(name)
                    continue
                if not self._may(waiter.owner, waiter.amount):
                    return
                queue.pop(name)
                self._give(waiter.owner, waiter.amount)
                waiter.future.set_result(None)
            if queue:
                return

    def _make_room(self, owner: Owner) -> None:
        """Raises Full where the queue is, and nobody has much more in it than this one."""
        if self._queue is None or self.waiting < self._queue:
            return
        for queue in reversed(self._waiting):
            if queue and queue.of(name := queue.longest()) > sum(one.of(owner[0]) for one in self._waiting) + 1:
                dropped = queue.drop(name)
                if not dropped.future.done():
                    dropped.future.set_exception(Full())
                return
        raise Full
