"""The queue of questions: order, what has to go, and how waiting ends."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from soteirad.llm.queue import AskQueue, Priority

COMMAND, VISIT, INTERVAL = Priority


def drain(queue: AskQueue[str]) -> list[str | None]:
    return [queue.get(0) for _ in range(len(queue))]


def test_the_most_urgent_comes_first_and_of_those_the_one_that_came_first() -> None:
    queue = AskQueue[str](10)
    for item, priority in (("i1", INTERVAL), ("v1", VISIT), ("c1", COMMAND), ("v2", VISIT), ("c2", COMMAND)):
        assert queue.put(item, priority) is None
    assert len(queue) == 5
    assert drain(queue) == ["c1", "c2", "v1", "v2", "i1"]
    assert queue.get(0) is None


def test_the_oldest_of_the_least_urgent_goes_when_there_is_no_room() -> None:
    queue = AskQueue[str](3)
    for item in ("i1", "i2"):
        queue.put(item, INTERVAL)
    queue.put("v1", VISIT)
    assert queue.put("c1", COMMAND) == "i1"
    assert queue.put("i3", INTERVAL) == "i2"
    assert queue.put("v2", VISIT) == "i3"
    assert queue.put("v3", VISIT) == "v1"
    assert queue.dropped == 4
    assert drain(queue) == ["c1", "v2", "v3"]


def test_a_new_one_goes_itself_only_if_all_that_wait_are_more_urgent() -> None:
    queue = AskQueue[str](2)
    queue.put("c1", COMMAND)
    queue.put("v1", VISIT)
    assert queue.put("i1", INTERVAL) == "i1"
    assert queue.put("v2", VISIT) == "v1"
    assert queue.dropped == 2


def test_closing_wakes_all_who_wait_and_returns_what_waited() -> None:
    queue, got = AskQueue[str](5), list[str | None]()
    waiting = [threading.Thread(target=lambda: got.append(queue.get(None))) for _ in range(3)]
    for thread in waiting:
        thread.start()
    assert not queue.closed
    assert queue.close() == []
    for thread in waiting:
        thread.join(10)
    assert got == [None, None, None]
    assert queue.closed


def test_what_waited_is_returned_in_its_order_and_a_closed_queue_takes_nothing() -> None:
    queue = AskQueue[str](5)
    queue.put("i", INTERVAL)
    queue.put("c", COMMAND)
    assert queue.close() == ["c", "i"]
    assert queue.put("late", COMMAND) == "late"
    assert (len(queue), queue.dropped, queue.close(), queue.get(None)) == (0, 0, [], None)


def test_an_item_wakes_one_who_waits() -> None:
    queue, got = AskQueue[str](5), list[str | None]()
    thread = threading.Thread(target=lambda: got.append(queue.get(None)))
    thread.start()
    queue.put("a", VISIT)
    thread.join(10)
    assert got == ["a"]


def test_each_item_is_got_once_by_many_threads() -> None:
    queue, got, lock = AskQueue[int](10_000), list[int](), threading.Lock()

    def take() -> None:
        while (item := queue.get(None)) is not None:
            with lock:
                got.append(item)
                if len(got) == 3000:
                    queue.close()

    takers = [threading.Thread(target=take) for _ in range(4)]
    givers = [
        threading.Thread(target=lambda first=first: [queue.put(first + i, Priority(i % 3)) for i in range(1000)])
        for first in (1, 1001, 2001)
    ]
    for thread in takers + givers:
        thread.start()
    for thread in takers + givers:
        thread.join(30)
    assert sorted(got) == [*range(1, 3001)]


@given(st.integers(1, 4), st.lists(st.sampled_from(Priority) | st.none(), max_size=40))
def test_a_queue_is_a_sorted_list_of_which_the_worst_goes(limit: int, steps: list[Priority | None]) -> None:
    queue, model = AskQueue[int](limit), list[tuple[Priority, int]]()
    for number, priority in enumerate(steps):
        if priority is None:
            expected = model.pop(model.index(min(model)))[1] if model else None
            assert queue.get(0) == expected
            continue
        model.append((priority, number))
        gone = None
        if len(model) > limit:
            least = max(priority for priority, _ in model)
            gone = min(entry for entry in model if entry[0] == least)
            model.remove(gone)
        assert queue.put(number, priority) == (gone[1] if gone else None)
        assert len(queue) == len(model) <= limit
