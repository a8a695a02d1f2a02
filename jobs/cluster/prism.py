"""Prism, Beam's engine for one machine: built from its published source by Go, whose checksum database verifies every module.

`corpusmill cluster prism` builds it once, of our version of Beam, into a folder of this user; `--runner=PrismRunner`
finds it there. Beam's own download of a binary takes whatever a web page holds that day.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import apache_beam

from pipeline.errors import CorpusmillError
from pipeline.places import user_cache

MODULE = "github.com/apache/beam/sdks/v2/go/cmd/prism"
_SECONDS_TO_BUILD = 1800.0


def prism_path() -> Path:
    """Where the binary of our version of Beam lies once it is built."""
    return Path(user_cache(f"prism-{apache_beam.__version__}"))


def build(*, seconds: float = _SECONDS_TO_BUILD) -> Path:
    """The path of the binary, built now if it is not there yet (about a minute of two cores, and a download of 100 MB).

    Raises:
        CorpusmillError: there is no Go, its modules cannot be reached or are not verified, or it takes longer than `seconds`.
    """
    place = prism_path()
    if place.is_file():
        return place
    go = shutil.which("go")
    if go is None:
        raise CorpusmillError("Prism is built by Go (1.26 or later), and there is no go on the PATH")
    if _asked(go, "GOSUMDB") == "off":
        raise CorpusmillError("Go's checksum database is switched off (GOSUMDB), and Prism is not built unverified")
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix="prism-build-") as folder:
        _install(go, f"{MODULE}@v{apache_beam.__version__}", folder, seconds)
        os.replace(Path(folder) / "prism", place)
    return place


def _asked(go: str, name: str) -> str:
    return subprocess.run([go, "env", name], capture_output=True, text=True, check=False).stdout.strip()


def _install(go: str, package: str, folder: str, seconds: float) -> None:
    environment = {**os.environ, "GOBIN": folder, "GOFLAGS": "-mod=mod", "GONOSUMDB": "", "GOPRIVATE": ""}
    try:
        done = subprocess.run(
            [go, "install", package], env=environment, cwd=folder, capture_output=True, text=True, check=False, timeout=seconds
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise CorpusmillError(f"go install {package} took longer than {seconds:.0f} s") from None
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip() and "downloading" not in line]
        raise CorpusmillError(f"go install {package} failed: {(said or ['it said nothing'])[-1].strip()[:300]}")
