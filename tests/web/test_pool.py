"""The pool: few threads, and nobody waits for those that hang."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from soteirad.web.pool import Pool
from tests.waiting import wait_until


def names(prefix: str) -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(prefix)]


def test_work_is_done_in_as_many_threads_as_there_may_be() -> None:
    together = threading.Barrier(3)

    async def three() -> list[int]:
        pool = Pool("three", 3)
        try:
            return list(await asyncio.gather(*(pool.run(lambda: together.wait(10)) for _ in range(3))))
        finally:
            pool.stop()

    assert sorted(asyncio.run(three())) == [0, 1, 2], "all three were under way at once"
    wait_until(lambda: not names("three"))


def test_more_work_than_threads_waits_and_is_done() -> None:
    seen: set[str] = set()

    async def many() -> list[int]:
        pool = Pool("two", 2)

        def work(number: int) -> int:
            seen.add(threading.current_thread().name)
            return number

        try:
            return list(await asyncio.gather(*(pool.run(lambda n=number: work(n)) for number in range(50))))
        finally:
            pool.stop()

    assert asyncio.run(many()) == [*range(50)]
    assert seen <= {"two-1", "two-2"}


def test_what_goes_wrong_is_told_to_who_waits_and_the_thread_goes_on() -> None:
    async def fail() -> int:
        pool = Pool("one", 1)
        try:
            with pytest.raises(ZeroDivisionError):
                await pool.run(lambda: 1 // 0)
            return await pool.run(lambda: 7)
        finally:
            pool.stop()

    assert asyncio.run(fail()) == 7


def test_who_goes_away_is_not_told_and_the_work_goes_on() -> None:
    done = threading.Event()
    go = threading.Event()

    async def leave() -> None:
        pool = Pool("left", 1)
        waiting = asyncio.create_task(pool.run(lambda: go.wait(10) and done.set()))
        await asyncio.sleep(0)
        waiting.cancel()
        go.set()
        assert await pool.run(lambda: 7) == 7
        pool.stop()

    asyncio.run(leave())
    assert done.is_set()


def test_after_the_end_there_is_no_more_work() -> None:
    async def late() -> None:
        pool = Pool("late", 1)
        pool.stop()
        with pytest.raises(RuntimeError, match="has stopped"):
            await pool.run(lambda: None)

    asyncio.run(late())


def test_a_thread_that_hangs_does_not_keep_the_process_from_ending() -> None:
    program = """
import asyncio, threading
from soteirad.web.pool import Pool
async def main():
    task = asyncio.create_task(Pool("hangs", 1).run(threading.Event().wait))
    await asyncio.sleep(0)
    task.cancel()
asyncio.run(main())
print("ended")
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert found.stdout == "ended\n"
