"""Files behind web servers, of which some give nothing but the whole: these are read into a temporary copy, within bounds."""

import tempfile
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING, Any, cast

from pipeline.errors import InputError

if TYPE_CHECKING:
    import fsspec

_CHUNK_BYTES = 1 << 20
MOST_COPIED_BYTES = 4 << 30  # of a file that can only be read as a whole
TRIES = 3  # to read one to its end
_REMEDY = "its server does not answer requests for parts of it; download it, and name the copy instead"


def is_of_the_web(path: str) -> bool:
    """Whether a web server has the file."""
    return path.startswith(("http://", "https://"))


def web() -> "fsspec.AbstractFileSystem":
    """The file system of the web."""
    from pipeline.web_client import PatientWeb  # here: it takes a while to import

    return PatientWeb()


def gives_parts(file: Any) -> bool:
    """Whether the server answers a request for the last byte of an open file; the file is at its start afterwards."""
    if file.size is None:
        return False
    try:
        file.seek(file.size - 1)
        file.read(1)
        file.seek(0)
    except ValueError:  # so fsspec says that the answer is more than was asked for
        return False
    return True


def copied(fs: "fsspec.AbstractFileSystem", inner: str, path: str) -> IO[bytes]:
    """The whole of a file of the web, as a temporary one; what breaks off is begun anew. A quarter of an hour is the limit.

    Raises:
        InputError: it is too large, or does not come to its end.
    """
    with ExitStack() as stack:
        copy = stack.enter_context(tempfile.TemporaryFile(prefix="corpusmill-"))
        for tries_left in reversed(range(TRIES)):
            try:
                _copy(fs, inner, path, cast("IO[bytes]", copy))
                break
            except InputError:
                raise
            except Exception as error:  # of the HTTP client, which only its own module may know
                if not tries_left:
                    raise InputError(
                        f"{path} could not be read to its end ({type(error).__name__} {error}), and {_REMEDY}"
                    ) from error
        stack.pop_all()
    return cast("IO[bytes]", copy)


def _copy(fs: "fsspec.AbstractFileSystem", inner: str, path: str, copy: IO[bytes]) -> None:
    copy.seek(0)
    copy.truncate()
    with fs.open(inner, "rb", block_size=0) as file:
        while piece := file.read(_CHUNK_BYTES):
            copy.write(piece)
            if copy.tell() > MOST_COPIED_BYTES:
                raise InputError(f"{path} is larger than {MOST_COPIED_BYTES >> 20:,} MiB, and {_REMEDY}")
    copy.seek(0)
