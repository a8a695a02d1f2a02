"""Makes the next few items in a thread while the current one is worked on."""

import atexit
import queue
import threading
import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """What `make` gives for `first`, `first + step`, …, up to `depth` of them made ahead, until it gives None.

    `make` is a method. Its object is not kept alive: when it is forgotten, the thread ends.
    """

    def __init__(self, make: Callable[[int], T | None], first: int, step: int, depth: int) -> None:
        self._make = weakref.WeakMethod(make)
        self._next, self._step = first, step
        self._ready: queue.Queue[T | BaseException | None] = queue.Queue(maxsize=depth)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ahead", daemon=True)
        self._thread.start()
        atexit.register(self.stop)  # a thread inside torch must not outlive the interpreter

    def next(self) -> T | None:
        """The next item, or None at the end; what went wrong in the thread is raised here."""
        item = self._ready.get()
        if item is None or isinstance(item, BaseException):
            self._ready.put(item)  # for whoever asks again
        if isinstance(item, BaseException):
            raise item
        return item

    def stop(self) -> None:
        """Ends the thread; what it made ahead is dropped."""
        atexit.unregister(self.stop)
        self._stopped.set()
        if threading.current_thread() is self._thread:  # the collector may run in any thread, so in this one too
            return
        while self._thread.is_alive():
            try:
                self._ready.get_nowait()
            except queue.Empty:
                self._thread.join(timeout=0.005)

    def _run(self) -> None:
        item: T | BaseException | None
        while not self._stopped.is_set():
            try:
                make = self._make()
                item = make(self._next) if make else None
                del make
            except BaseException as error:  # any, or who asks would wait for ever: it is raised again there
                item = error
            self._next += self._step
            self._ready.put(item)
            if item is None or isinstance(item, BaseException):
                return
