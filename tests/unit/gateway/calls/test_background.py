"""Work that goes on after its call."""

import asyncio

from gateway.calls.background import BackgroundTasks


async def test_there_is_a_bound_to_what_can_wait_and_none_to_what_must_be_done() -> None:
    tasks, done = BackgroundTasks(most=1), list[str]()
    go_on = asyncio.Event()

    async def work(name: str) -> None:
        await go_on.wait()
        done.append(name)

    tasks.add(work("first"))
    assert tasks.full
    tasks.add(work("too many"))
    tasks.add(work("settlement"), must=True)
    go_on.set()
    await tasks.aclose()
    assert done == ["first", "settlement"]
    assert not tasks.full
