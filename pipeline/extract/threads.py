"""One thread for linear algebra: products as small as ours only keep a second core busy waiting.

The setting is that of the whole process, so it holds for a block and then goes back: whoever trains a model in
this process keeps all threads.
"""

from types import TracebackType

from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]


class OneThread:
    """A context, entered as often as needed, in which the BLAS that numpy uses has one thread. Costs microseconds."""

    def __init__(self) -> None:
        libraries = ThreadpoolController().select(user_api="blas").lib_controllers
        self._libraries = [library for library in libraries if (library.num_threads or 1) > 1]
        self._before: list[int] = []

    def __enter__(self) -> None:
        self._before = [library.num_threads for library in self._libraries]
        for library in self._libraries:
            library.set_num_threads(1)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for library, before in zip(self._libraries, self._before, strict=True):
            library.set_num_threads(before)
