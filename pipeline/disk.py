"""What the local disk says of a path, and does with it."""

import errno
import os
import shutil
import stat
from collections.abc import Iterator

from pipeline.places import is_local, join, on_disk

_NO_SUCH_FILE = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG))


def status_of(path: str) -> os.stat_result | None:
    """What the disk says of a path, links followed; None where nothing has this name."""
    try:
        return os.stat(path)
    except ValueError:  # no name may hold a NUL
        return None
    except OSError as error:
        if error.errno in _NO_SUCH_FILE:
            return None
        raise


def is_special(path: str) -> bool:
    """Whether something has this name that is neither a file nor a folder: a pipe, a device."""
    status = status_of(path)
    return status is not None and not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode)


def is_link(path: str) -> bool:
    """Whether `path` is a symbolic link on a disk."""
    return is_local(path) and os.path.islink(on_disk(path))


def followed(path: str) -> str:
    """What a link of the user's leads to, so that writing does not put a file in place of the link; else `path`."""
    if not is_link(path) or is_special(on_disk(path)):
        return path
    return os.path.realpath(on_disk(path))


def files_below(path: str) -> Iterator[str]:
    """Every file below the folder `path`, as paths of the same form, without asking the disk for more than names: people poll folders of many files.

    Of a file, the file itself.
    """
    root = on_disk(path)
    if os.path.isfile(root):
        yield path
        return
    for folder, _, names in os.walk(root, onerror=_raise):
        below = os.path.relpath(folder, root).replace(os.sep, "/")
        yield from (join(path, name) if below == "." else join(path, below, name) for name in names)


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # another process may remove a folder meanwhile
        raise error


def remove(path: str) -> None:
    """Removes a folder with what is in it, or a file, or a link alone."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)
