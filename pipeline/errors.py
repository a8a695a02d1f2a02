"""Errors that a user can act on: each is one sentence that names the thing, the value and the remedy.

Anything else that escapes is a defect of ours and keeps its traceback.
"""

import errno

_NO_MORE_THREADS = "can't start new thread"
_OF_LIMITS = {
    errno.EMFILE: "; the limit on open files is too low (ulimit -n)",
    errno.EFBIG: "; there is a limit on the size of files (ulimit -f, or one of the disk)",
}


class CorpusmillError(Exception):
    """A failure that is explained in one sentence; the command line prints it and exits with 1."""


class SettingError(CorpusmillError, ValueError):
    """A setting is unknown, of the wrong type, out of range, or contradicts another; exit code 2."""


class InputError(CorpusmillError):
    """An input is missing, unreadable, truncated or not what its name says."""


class DataError(CorpusmillError):
    """A dataset of a run is damaged, incomplete, or was made from something else."""


def shortage_of(error: BaseException) -> str | None:
    """What the system did not give to this process, as a sentence with the remedy; None where `error` is about something else."""
    if isinstance(error, MemoryError):
        detail = f" ({' '.join(str(error).split())})" if str(error) else ""
        return f"there is not memory enough{detail}; fewer --workers need less, and the same command goes on from here"
    forked = isinstance(error, BlockingIOError) and error.errno == errno.EAGAIN and not error.filename
    if forked or (isinstance(error, RuntimeError) and str(error).startswith(_NO_MORE_THREADS)):
        return (
            "the system lets this user start no more processes or threads, or has no memory for them (ulimit -u, ulimit -v, "
            "the limits of a container); raise that, or set fewer --workers, and the same command goes on from here"
        )
    return None


def limit_behind(error: OSError) -> str:
    """Which limit of the system an error speaks of, to be put behind it; empty where it is none."""
    return _OF_LIMITS.get(error.errno or 0, "")
