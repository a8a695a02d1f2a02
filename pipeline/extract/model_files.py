"""Model files from the network: downloaded once, verified by hash, then read from the user's cache."""

import hashlib
import os
from pathlib import Path

import fsspec

from pipeline.errors import InputError
from pipeline.storage import user_cache

_SCHEMES = ("http://", "https://")


def cache_folder() -> Path:
    """Where downloaded models lie: `corpusmill/models` in the user's cache folder."""
    return Path(user_cache("models"))


def verified_model(path: str, sha256: str) -> str:
    """A path to read the model from: `path` itself, or for a web address the verified copy in the cache.

    Several processes may download at once: each writes its own file, and the last rename wins with the same bytes.

    Raises:
        InputError: the address cannot be read, or gives another file than the one that `sha256` names.
    """
    if not path.startswith(_SCHEMES):
        return path
    sha256 = sha256.lower()
    cached = cache_folder() / sha256
    if not cached.exists() or hashlib.sha256(cached.read_bytes()).hexdigest() != sha256:
        content = _download(path)
        found = hashlib.sha256(content).hexdigest()
        if found != sha256:
            raise InputError(f"{path} gave a file with the SHA-256 {found}, not the model {sha256}")
        cached.parent.mkdir(parents=True, exist_ok=True)
        own = cached.with_name(f"{sha256}.{os.getpid()}.part")
        own.write_bytes(content)
        own.replace(cached)
    return str(cached)


def _download(address: str) -> bytes:
    try:
        with fsspec.open(address, "rb") as file:
            return bytes(file.read())
    except (OSError, ValueError) as error:
        raise InputError(f"{address} cannot be downloaded: {error}") from None
