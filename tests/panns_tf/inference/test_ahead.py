"""Results computed ahead of their use."""

import threading
import time

import pytest

from panns_tf.inference.ahead import map_ahead


def mapped(function, sources, size=lambda _: 0, workers=3, ahead=8, most_bytes=100):
    options = {"workers": workers, "ahead": ahead, "most_bytes": most_bytes}
    return map_ahead(function, sources, size, **options)


def test_in_order_whichever_is_done_first():
    def slow(number, _reserve):
        time.sleep(0.01 * (number % 3))
        return number

    assert list(mapped(slow, range(50))) == list(range(50))
    assert list(mapped(slow, [])) == []


def test_threads_work_at_once():
    together = threading.Barrier(3, timeout=10)
    assert list(mapped(lambda number, _: (together.wait(), number)[1], range(3))) == [0, 1, 2]


@pytest.mark.parametrize("ahead", [1, 4])
def test_no_more_are_taken_than_allowed(ahead):
    taken = []

    def sources():
        for number in range(20):
            taken.append(number)
            yield number

    for given, _ in enumerate(mapped(lambda number, _: number, sources(), ahead=ahead), 1):
        time.sleep(0.005)
        assert len(taken) <= given + ahead
    assert len(taken) == 20


def test_results_wait_within_their_bound_and_the_next_always_goes_on():
    sizes, waiting, most, lock = [30, 200, 40, 40, 90, 500, 10] * 5, set(), [], threading.Lock()

    def decode(number, reserve):
        reserve(sizes[number])
        with lock:
            waiting.add(number)
            most.append(sum(sizes[each] for each in waiting if each != min(waiting)))
        return number

    given = []
    for number in mapped(decode, range(len(sizes)), size=sizes.__getitem__):
        given.append(number)
        time.sleep(0.002)
        with lock:
            waiting.discard(number)
    assert given == list(range(len(sizes)))
    # Beside the one in turn, and the one that the user has.
    assert max(most) <= 100 + 500
    assert len(most) == len(sizes)


def test_without_room_a_later_one_waits():
    begun, first = [], threading.Event()

    def decode(number, reserve):
        if number == 2:
            first.wait(10)
        reserve(60)
        begun.append(number)
        if number == 1:
            first.set()
        return number

    results = mapped(decode, range(3), size=lambda _: 60)
    assert next(results) == 0
    first.wait(10)
    time.sleep(0.1)
    assert sorted(begun) == [0, 1]  # 2 would make it 120 of 100
    assert list(results) == [1, 2]


def test_an_error_of_the_sources_comes_in_its_place():
    def sources():
        yield from range(5)
        raise ValueError("no more")

    results = mapped(lambda number, _: number, sources())
    assert [next(results) for _ in range(5)] == list(range(5))
    with pytest.raises(ValueError, match="no more"):
        next(results)


def test_closing_early_ends_the_threads():
    before, done = threading.active_count(), []

    def decode(number, reserve):
        reserve(60)
        done.append(number)
        return number

    results = mapped(decode, iter(int, 1), size=lambda _: 60)  # endless
    assert next(results) == 0
    assert threading.active_count() > before
    results.close()
    assert threading.active_count() == before
    assert len(done) < 10
