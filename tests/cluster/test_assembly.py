"""Beam's job server put together from its parts, from a Maven repository on loopback."""

import hashlib
import io
import zipfile
from pathlib import Path

import pytest

from jobs import cli
from jobs.cluster import assembly
from jobs.cluster.job_server import FLINK_ARTIFACT, job_server_jar
from jobs.cluster.maven import MavenSettings
from pipeline.errors import CorpusmillError
from tests.cluster.answers import Answers

RUNNER = {
    "META-INF/MANIFEST.MF": "Main-Class: Other\n",
    "META-INF/SIGNED.SF": "signature",
    "module-info.class": "module",
    "Runner.class": "first",
    "META-INF/services/Registrar": "Flink\nCommon\n",
}
CORE = {"Runner.class": "second", "Core.class": "core", "META-INF/services/Registrar": "Common\nCore"}


def jar_of(contents: dict[str, str]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as jar:
        jar.mkdir("META-INF")
        for name, content in contents.items():
            jar.writestr(name, content)
    return made.getvalue()


@pytest.fixture
def parts(server: Answers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, bytes]:
    """Two parts that the repository has, listed with their hashes; the cache of this user is empty."""
    found = {"org/runner/1/runner-1.jar": jar_of(RUNNER), "org/core/1/core-1.jar": jar_of(CORE)}
    listed = "".join(f"{hashlib.sha256(content).hexdigest()}  {path}\n" for path, content in found.items())
    monkeypatch.setattr(assembly, "_listed", lambda: f"# what it is made of\n{listed}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    server.contents |= {f"/maven/{path}": content for path, content in found.items()}
    return found


def test_one_program_is_made_of_the_parts_once(
    server: Answers, maven: MavenSettings, parts: dict[str, bytes], tmp_path: Path
) -> None:  # fmt: skip
    place = assembly.assemble(maven)
    with zipfile.ZipFile(place) as jar:
        contents = {name: jar.read(name).decode() for name in jar.namelist()}
    assert f"Main-Class: {assembly._PROGRAM}" in contents.pop("META-INF/MANIFEST.MF")
    assert contents == {"Runner.class": "first", "Core.class": "core", "META-INF/services/Registrar": "Flink\nCommon\nCore\n"}  # fmt: skip
    assert [path.name for path in place.parent.iterdir()] == [place.name], "nothing else is left"
    first = place.read_bytes()
    place.unlink()
    assert assembly.assemble(maven).read_bytes() == first
    server.contents.clear()
    assert assembly.assemble(maven) == place, "it is there, and nothing is asked"


@pytest.mark.parametrize(
    ("served", "said"),
    [(None, r"core-1.jar, a part of Beam's job server, is not to be had"), (b"other", "does not have the SHA-256")],
)
def test_a_missing_or_changed_part_is_named_and_nothing_is_made(
    server: Answers, maven: MavenSettings, parts: dict[str, bytes], served: bytes | None, said: str
) -> None:  # fmt: skip
    del server.contents["/maven/org/core/1/core-1.jar"]
    if served:
        server.contents["/maven/org/core/1/core-1.jar"] = served
    with pytest.raises(CorpusmillError, match=said):
        assembly.assemble(maven)
    place = assembly.assembled_path(assembly.FLINK_VERSION)
    assert place is not None
    assert list(place.parent.iterdir()) == []


def test_jobs_on_flink_find_it(maven: MavenSettings, parts: dict[str, bytes]) -> None:
    version = assembly.FLINK_VERSION
    assert assembly.assembled_path("1.17") is None
    wanted = (FLINK_ARTIFACT.format(version), None, "--flink_job_server_jar", maven, assembly.assembled_path(version))
    with pytest.raises(
        CorpusmillError, match=r"\(404 Not Found\); give the jar .*, or .* corpusmill cluster job-server"
    ):
        job_server_jar(*wanted)
    made = assembly.assemble(maven)
    assert job_server_jar(*wanted) == str(made)


def test_the_list_names_beam_s_runner_for_flink_and_a_hash_for_every_part() -> None:
    found = dict(assembly.parts())
    version = assembly.BEAM_VERSION
    runner = f"beam-runners-flink-{assembly.FLINK_VERSION}"
    assert f"org/apache/beam/{runner}/{version}/{runner}-{version}.jar" in found
    assert len(found) > 100
    assert all(path.endswith(".jar") and len(digest) == 64 and int(digest, 16) for path, digest in found.items())


def test_the_command_says_where_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(assembly, "assemble", lambda _, say: tmp_path / "made.jar")
    assert cli.main(["cluster", "job-server"]) == 0
    assert str(tmp_path / "made.jar") in capsys.readouterr().out
