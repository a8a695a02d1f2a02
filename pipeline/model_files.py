"""Model files that a user names: from a disk, a bucket or the web, verified by hash; downloads lie in the user's cache."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec

from pipeline.errors import InputError
from pipeline.places import is_local, join, on_disk, user_cache
from pipeline.storage import checksum, open_read

_SCHEMES = ("http://", "https://")


def cache_folder() -> Path:
    """Where downloaded models lie: `corpusmill/models` in the user's cache folder."""
    return Path(user_cache("models"))


def is_download(path: str) -> bool:
    """Whether `path` is a web address, whose file goes to the cache first."""
    return path.startswith(_SCHEMES)


def verified_model(path: str, sha256: str) -> str:
    """A path to read the model from: `path` itself, or for a web address the verified copy in the cache.

    Several processes may download at once: each writes its own file, and the last rename wins with the same bytes.

    Raises:
        InputError: the address cannot be read, or gives another file than the one that `sha256` names.
    """
    if not is_download(path):
        return path
    sha256 = sha256.lower()
    cached = cache_folder() / sha256
    if not cached.exists() or checksum(str(cached))[0] != sha256:
        cached.parent.mkdir(parents=True, exist_ok=True)
        own = cached.with_name(f"{sha256}.{os.getpid()}.part")
        try:
            _download(path, own)
            found, _ = checksum(str(own))
            if found != sha256:
                raise InputError(f"{path} gave a file with the SHA-256 {found}, not the model {sha256}")
            own.replace(cached)
        finally:
            own.unlink(missing_ok=True)
    return str(cached)


def load_fasttext(path: str, sha256: str = "", *, setting: str = "sha256") -> Any:
    """The fastText model at `path`, which may be a download, see `verified_model`.

    Raises:
        InputError: it is missing, no fastText model, or not the one that `sha256` (of the setting `setting`) names.
    """
    with local_file(path, sha256, setting=setting) as local:
        return _load(local)


@contextmanager
def local_file(path: str, sha256: str = "", *, setting: str = "sha256") -> Iterator[str]:
    """A file on the disk with the model at `path`, for libraries that read from a real file only; a copy goes after the block.

    Raises:
        InputError: it is missing, or not the one that `sha256` (of the setting `setting`) names.
    """
    path = verified_model(path, sha256)
    if sha256 and (found := checksum(path)[0]) != sha256.lower():
        raise InputError(f"{path} is not the model that {setting} names: its SHA-256 is {found}")
    if is_local(path):
        open_read(path).close()  # says what is wrong with the path
        yield on_disk(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        local = os.path.join(folder, "model")
        _copy(path, local)
        yield local


@contextmanager
def local_files(folder: str, names: Sequence[str]) -> Iterator[str]:
    """A folder on the disk with the files `names` of `folder`, and none beside them that a library might read, too; it goes after the block.

    Raises:
        InputError: one of them is missing.
    """
    with tempfile.TemporaryDirectory() as place:
        for name in names:
            path, local = join(folder, name), os.path.join(place, name)
            if is_local(path):
                open_read(path).close()  # says what is wrong with the path
                os.symlink(os.path.abspath(on_disk(path)), local)
            else:
                _copy(path, local)
        yield place


def _copy(path: str, local: str) -> None:
    with open_read(path) as source, open(local, "wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)


def _load(path: str) -> Any:
    import fasttext  # a second to import, and only workers with such a model need it

    try:
        return fasttext.load_model(path)
    except ValueError as error:
        raise InputError(f"{path} is not a fastText model: {error}") from None


def _download(address: str, place: Path) -> None:
    try:
        with fsspec.open(address, "rb") as source, open(place, "wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
    except (OSError, ValueError) as error:
        raise InputError(f"{address} cannot be downloaded: {error}") from None
