"""Beam's job server, the Java program that translates a pipeline for Flink or Spark: a given file, or from Maven with its hash checked."""

import hashlib
import os
import shutil
import urllib.request
import zipfile
from pathlib import Path
from urllib.error import HTTPError, URLError

import apache_beam

from jobs.cluster.maven import MavenSettings
from pipeline.errors import CorpusmillError, SettingError

FLINK_ARTIFACT = "beam-runners-flink-{}-job-server"
SPARK_ARTIFACT = "beam-runners-spark-3-job-server"
_GROUP = "org/apache/beam"
_SECONDS = 30.0
_MEMORY_MIB = 512


def job_server_jar(
    artifact: str, given: str | None, flag: str, maven: MavenSettings, assembled: Path | None = None
) -> str:
    """The path of the job server `artifact`: the one given, one fetched before, the `assembled` one, or one from Maven.

    That from Maven is of our version of Beam. A stated hash leaves the assembled one aside.

    Raises:
        SettingError: the file that was given does not exist.
        CorpusmillError: the repository does not have it or cannot be reached, or a hash does not match.
    """
    if given:
        check_given_jar(given, flag)
        _check_given(Path(given), maven)
        return given
    version = apache_beam.__version__
    name = f"{artifact}-{version}.jar"
    place = maven.folder / name
    if place.is_file():
        _check_given(place, maven)
        return str(place)
    if assembled and assembled.is_file() and not maven.job_server_sha256:
        return str(assembled)
    url = "/".join((maven.repository.rstrip("/"), _GROUP, artifact, version, name))
    way_out = f"give the jar with {flag}=PATH"
    if assembled:
        way_out += ", or put one together with corpusmill cluster job-server"
    _download(url, place, way_out, maven)
    return str(place)


def job_server_command(java: str, jar: str, flink: str, port: int, artifacts: Path) -> list[str]:
    """The command of a job server that sends its jobs to the Flink at this address.

    It listens on `port`: of loopback, if it is the one put together here (`loopback.py`), or of every interface, as Beam made it.
    """
    options = {
        "flink-master": flink,
        "artifacts-dir": str(artifacts),
        "job-host": "127.0.0.1",
        "job-port": str(port),
        "artifact-port": "0",
        "expansion-port": "-1",  # none: our pipelines are all Python
    }
    flags = [word for name, value in options.items() for word in (f"--{name}", value)]
    return [java, f"-Xmx{_MEMORY_MIB}m", "-jar", jar, *flags]


def check_given_jar(given: str, flag: str) -> None:
    """Raises:
    SettingError: the jar does not exist or is none that can be started. Java would say so in a log that nobody sees.
    """
    if not os.path.isfile(given):
        raise SettingError(f"{flag}={given}: no such file")
    _check_is_program(Path(given), flag)


def _check_given(place: Path, maven: MavenSettings) -> None:
    if maven.job_server_sha256 and _digest(place, "sha256") != maven.job_server_sha256:
        raise CorpusmillError(f"{place} does not have the hash that run.maven.job_server_sha256 states")


def _check_is_program(place: Path, flag: str) -> None:
    try:
        with zipfile.ZipFile(place) as jar:
            is_program = b"Main-Class:" in jar.read("META-INF/MANIFEST.MF")
    except (zipfile.BadZipFile, KeyError):
        raise SettingError(f"{flag}={place} is no jar, or a damaged one") from None
    if not is_program:
        raise SettingError(
            f"{flag}={place} is a library; the job server's jar has a program (its name ends in -job-server)"
        )


def _download(url: str, place: Path, way_out: str, maven: MavenSettings) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f"{place.name}.part-{os.getpid()}")
    try:
        stated = maven.job_server_sha256 or _read(url + ".sha1").decode("ascii", "replace").split()[0]
        with _open(url) as answer, open(part, "wb") as file:
            shutil.copyfileobj(answer, file, 1 << 20)
        kind = "sha256" if maven.job_server_sha256 else "sha1"
        if _digest(part, kind) != stated:
            raise CorpusmillError(f"{url} does not have the {kind} {stated}; it was not kept")
        part.replace(place)
    except HTTPError as error:
        raise CorpusmillError(f"{url} is not to be had ({error.code} {error.reason}); {way_out}") from None
    except (URLError, OSError, IndexError) as error:
        reason = getattr(error, "reason", error)
        raise CorpusmillError(f"{url} is not to be had ({reason}); {way_out}") from None
    finally:
        part.unlink(missing_ok=True)


def _open(url: str) -> "urllib.request._UrlopenRet":
    return urllib.request.urlopen(url, timeout=_SECONDS)


def _read(url: str) -> bytes:
    with _open(url) as answer:
        content: bytes = answer.read()
        return content


def _digest(place: Path, kind: str) -> str:
    with open(place, "rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()
