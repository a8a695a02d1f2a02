"""Items made ahead by a thread: their order, what goes wrong in it, and how it ends."""

import subprocess
import sys
import threading

import pytest

from model.ahead import Ahead


class Numbers:
    """Counts up to an end; raises at a number."""

    def __init__(self, end: int = 10**9, bad: int = -1, error: BaseException | None = None) -> None:
        self.end, self.bad, self.error = end, bad, error

    def make(self, first: int) -> int | None:
        if first == self.bad and self.error:
            raise self.error
        return first if first < self.end else None


@pytest.mark.parametrize("depth", [1, 2, 9])
def test_items_come_in_order_and_then_none_for_ever(depth: int) -> None:
    numbers = Numbers(end=40)
    ahead = Ahead(numbers.make, 4, 3, depth)
    assert [ahead.next() for _ in range(14)] == [*range(4, 40, 3), None, None]
    ahead.stop()


# The last is as the panics of libraries in Rust: an exception, but not an `Exception`.
@pytest.mark.parametrize(
    "error", [ValueError("disk"), KeyboardInterrupt("key"), type("Panic", (BaseException,), {})("p")]
)
def test_what_goes_wrong_is_raised_to_who_asks_each_time(error: BaseException) -> None:
    numbers = Numbers(bad=2, error=error)
    ahead = Ahead(numbers.make, 0, 1, 3)
    assert [ahead.next(), ahead.next()] == [0, 1]
    for _ in range(3):
        with pytest.raises(type(error)) as caught:
            ahead.next()
        assert caught.value is error
    ahead.stop()
    ahead.stop()


def test_stopping_ends_the_thread_whatever_it_does() -> None:
    numbers = Numbers()
    for taken in (0, 1, 5):
        ahead = Ahead(numbers.make, 0, 1, 2)
        for _ in range(taken):
            ahead.next()
        ahead.stop()
        assert not ahead._thread.is_alive()
    assert not [thread for thread in threading.enumerate() if thread.name == "ahead"]


@pytest.mark.parametrize("how", ["full", "working", "failed", "error in the caller"])
def test_a_program_ends_although_nobody_stopped_the_thread(how: str) -> None:
    program = f"""
import sys, threading
from model.ahead import Ahead
working = threading.Event()
class Maker:
    def make(self, first):
        working.set()
        if {how!r} == "failed":
            raise ValueError("lost")
        return sum(range(1000 if {how!r} == "full" else 3_000_000))
maker = Maker()
ahead = Ahead(maker.make, 0, 1, 2)
working.wait()
if {how!r} == "error in the caller":
    raise SystemExit(3)
print("end")
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stderr) == (3 if how == "error in the caller" else 0, "")
