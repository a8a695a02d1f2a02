"""Beam's job server for Flink, put together here: where a Maven repository has Beam's library and not the ready-made jar.

`corpusmill cluster job-server` fetches the library and what it needs, each file by its SHA-256 in
`job_server_parts.txt`, and makes one jar of them in a folder of this user; `--runner=FlinkRunner` finds it there.
The job server speaks the protocol that Beam keeps the same from release to release, so it may be older than the Beam here.
Unlike the ready-made one it listens on loopback alone (`loopback.py`).
"""

import hashlib
import http.client
import os
import shutil
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from urllib.error import URLError

from jobs.cluster.loopback import kept_to_loopback
from jobs.cluster.maven import MavenSettings
from pipeline.errors import CorpusmillError
from pipeline.places import user_cache

FLINK_VERSION = "1.19"
BEAM_VERSION = "2.62.0"
_PROGRAM = "org.apache.beam.runners.flink.FlinkJobServerDriver"
_MANIFEST = f"Manifest-Version: 1.0\r\nMain-Class: {_PROGRAM}\r\nMulti-Release: true\r\n\r\n"
_SERVICES = "META-INF/services/"
_LEFT_OUT = (".SF", ".DSA", ".RSA", "module-info.class", "META-INF/INDEX.LIST", "META-INF/MANIFEST.MF")
_SECONDS = 60.0
_AT_ONCE = 8
Progress = Callable[[str], None]


def assembled_path(flink_version: str) -> Path | None:
    """Where the job server for this version of Flink lies once it is put together; None if we know no parts for it."""
    return _place() if flink_version == FLINK_VERSION else None


def _place() -> Path:
    digest = hashlib.sha256(_listed().encode()).hexdigest()[:8]
    return Path(user_cache(f"beam-{BEAM_VERSION}-flink-{FLINK_VERSION}-job-server-loopback-{digest}.jar"))


def assemble(maven: MavenSettings, say: Progress = lambda line: None) -> Path:
    """The path of the jar, made now if it is not there yet (a download of 158 MB).

    Raises:
        CorpusmillError: a part is not to be had, or is not the one that is listed.
    """
    place = _place()
    if place.is_file():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix="job-server-") as folder:
        wanted = list(parts())
        say(f"fetching {len(wanted)} jars from {maven.repository}")
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            fetch = [
                threads.submit(_fetched, maven.repository, path, digest, Path(folder) / f"{number}.jar")
                for number, (path, digest) in enumerate(wanted)
            ]
            try:
                jars = [each.result() for each in fetch]
            except BaseException:
                threads.shutdown(wait=False, cancel_futures=True)
                raise
        say("putting them together")
        whole = Path(folder) / "whole.jar"
        merge(jars, whole)
        os.replace(whole, place)
    return place


def parts() -> Iterator[tuple[str, str]]:
    """Path in a Maven repository and SHA-256 of every part."""
    for line in _listed().splitlines():
        if line and not line.startswith("#"):
            digest, path = line.split()
            yield path, digest


def _listed() -> str:
    return (resources.files("jobs.cluster") / "job_server_parts.txt").read_text("utf-8")


def _fetched(repository: str, path: str, digest: str, place: Path) -> Path:
    url = f"{repository.rstrip('/')}/{path}"
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS) as answer, open(place, "wb") as file:
            shutil.copyfileobj(answer, file, 1 << 20)
    except (URLError, OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise CorpusmillError(f"{url}, a part of Beam's job server, is not to be had ({reason})") from None
    with open(place, "rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != digest:
            raise CorpusmillError(f"{url} does not have the SHA-256 {digest}; nothing was put together")
    return place


def merge(jars: list[Path], target: Path) -> None:
    """One jar of many: of a name that several have the first counts, and lists of services are joined. The same bytes each time."""
    services: dict[str, list[str]] = {}
    seen: set[str] = set()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as whole:
        _add(whole, "META-INF/MANIFEST.MF", _MANIFEST.encode())
        for jar in jars:
            with zipfile.ZipFile(jar) as part:
                for name in part.namelist():
                    if name.endswith(("/", *_LEFT_OUT)):
                        continue
                    if name.startswith(_SERVICES):
                        services.setdefault(name, []).extend(part.read(name).decode("utf-8").splitlines())
                    elif name not in seen:
                        seen.add(name)
                        _add(whole, name, kept_to_loopback(name, part.read(name)))
        for name, lines in sorted(services.items()):
            _add(whole, name, "".join(f"{line}\n" for line in dict.fromkeys(lines)).encode())


def _add(whole: zipfile.ZipFile, name: str, content: bytes) -> None:
    whole.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
