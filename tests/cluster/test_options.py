"""What people write behind `--`: wrong options end with one sentence and exit code 2 before anything runs."""

import hashlib
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.cluster import control
from jobs.cluster.job_server import FLINK_ARTIFACT, job_server_jar
from jobs.cluster.maven import MavenSettings
from jobs.cluster.options import completed, runner_of
from jobs.cluster.processes import free_ports
from jobs.engine import Engine
from pipeline.errors import CorpusmillError, SettingError
from tests.cluster.answers import NAME, Answers


@pytest.fixture
def jar(tmp_path: Path) -> str:
    return written(tmp_path / "job-server.jar", "Main-Class: Main\n")


def written(place: Path, manifest: str) -> str:
    with zipfile.ZipFile(place, "w") as jar:
        jar.writestr("META-INF/MANIFEST.MF", manifest)
    return str(place)


# --- the local runner and the names of others ---------------------------------------------------------------


@pytest.mark.parametrize("arguments", [[], ["--runner=DirectRunner"], ["--runner", "FnApiRunner"]])
def test_local_runners_are_one_engine(arguments: list[str]) -> None:
    engine = Engine(beam_args=tuple(arguments))
    assert not engine.is_elsewhere
    assert str(engine.options().get_all_options()["runner"]).endswith("FnApiRunner")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--runer=FlinkRunner"], "unknown Beam option '--runer=FlinkRunner'"),
        (["--runner=FlinkRunner", "--flink_mastr=localhost:1"], "unknown Beam option"),
        (["--flink_mas=localhost:1"], "unknown Beam option"),  # no abbreviations: they change with Beam
        (["--parallelism=many"], "--parallelism: invalid int"),
        (["--flink_version=3.7"], "--flink_version: invalid choice"),
        (["positional"], "unknown Beam option 'positional'"),
        (["--runner=FlinRunner"], "no such runner"),
        (["--runner=DaskRunner"], "loses records silently"),
    ],
)
def test_wrong_options_are_refused_when_the_engine_is_chosen(arguments: list[str], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        Engine(beam_args=tuple(arguments))


def test_workers_are_of_this_machine() -> None:
    with pytest.raises(SettingError, match="--parallelism"):
        Engine(workers=2, beam_args=("--runner=FlinkRunner",))


# --- Flink --------------------------------------------------------------------------------------------------


def test_a_cluster_of_ones_own_is_completed(
    server: Answers, maven: MavenSettings, jar: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of `corpusmill cluster start`: its worker pools, version and parallelism are known."""
    own = control.Cluster(folder="", flink_version="1.20", port=server.server_port, pool_port=50123, parallelism=2)
    monkeypatch.setattr(control, "read", lambda folder="": own)
    given = ("--runner=FlinkRunner", f"--flink_master=localhost:{server.server_port}", f"--flink_job_server_jar={jar}")
    found = completed(given, maven)[len(given) :]
    assert set(found) == {
        "--environment_type=EXTERNAL", "--environment_config=127.0.0.1:50123", "--flink_version=1.20", "--parallelism=2",
    }  # fmt: skip
    chosen = (*given, "--parallelism=7", "--flink_version=1.20", "--environment_type=LOOPBACK")
    assert completed(chosen, maven) == chosen, "what a person says stands"
    assert completed(completed(given, maven), maven) == completed(given, maven)


def test_a_task_manager_of_several_tasks_has_as_many_workers(
    server: Answers, maven: MavenSettings, jar: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of a Slurm job: one worker process for all tasks of a node would be one processor at work."""
    own = control.Cluster(folder="", flink_version="1.20", port=server.server_port, pool_port=50123, parallelism=64, workers_per_manager=32)  # fmt: skip
    monkeypatch.setattr(control, "read", lambda folder="": own)
    given = ("--runner=FlinkRunner", f"--flink_master=localhost:{server.server_port}", f"--flink_job_server_jar={jar}")
    assert {"--parallelism=64", "--sdk_worker_parallelism=32"} <= set(completed(given, maven))
    assert completed(completed(given, maven), maven) == completed(given, maven)
    chosen = (*given, "--sdk_worker_parallelism=3")
    assert "--sdk_worker_parallelism=32" not in completed(chosen, maven)


def test_the_job_server_that_a_cluster_keeps_is_used_unless_another_is_meant(
    server: Answers, maven: MavenSettings, jar: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        own = control.Cluster(
            folder="", flink_version="1.20", port=server.server_port, pool_port=50123, parallelism=2, job_port=port
        )
        monkeypatch.setattr(control, "read", lambda folder="": own)
        given = ("--runner=FlinkRunner", f"--flink_master=localhost:{server.server_port}")
        found = completed(given, maven)
        assert f"--job_endpoint=127.0.0.1:{port}" in found
        assert completed(found, maven) == found
        server.has_jar(b"the job server")
        digest = hashlib.sha256(b"the job server").hexdigest()
        stated = MavenSettings(repository=maven.repository, cache=maven.cache, job_server_sha256=digest)
        for others in (completed((*given, f"--flink_job_server_jar={jar}"), maven), completed(given, stated)):
            assert not any(argument.startswith("--job_endpoint") for argument in others)
    with pytest.raises(CorpusmillError, match=f"no job server answers at 127.0.0.1:{port}"):
        completed(found, maven)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([], "needs to know how its workers start"),
        (["--environment_type=EXTERNAL"], r"--environment_config=HOST:PORT"),
        (["--environment_type=DOCKER"], "--environment_config=IMAGE"),
        (["--environment_type=CONTAINER", "--environment_config=x"], "allowed are DOCKER"),
        (["--environment_type=LOOPBACK", "--flink_version=2.0"], r"is Flink 1\.20"),
        (["--environment_type=LOOPBACK", "--flink_job_server_jar=no.jar"], r"no\.jar: no such file"),
    ],
)
def test_what_a_cluster_needs_is_named(server: Answers, maven: MavenSettings, more: list[str], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        completed(["--runner=FlinkRunner", f"--flink_master={server.address}", *more], maven)


def test_a_cluster_that_does_not_answer_is_named(maven: MavenSettings) -> None:
    port = free_ports(1)[0]
    with pytest.raises(CorpusmillError, match=f"no Flink answers at http://localhost:{port}: .*refused"):
        completed(["--runner=FlinkRunner", f"--flink_master=localhost:{port}", "--environment_type=LOOPBACK"], maven)


# --- the job server -----------------------------------------------------------------------------------------


def fetch(maven: MavenSettings) -> str:
    return job_server_jar(FLINK_ARTIFACT.format("1.20"), None, "--flink_job_server_jar", maven)


def test_the_job_server_comes_from_maven_once(server: Answers, maven: MavenSettings) -> None:
    server.has_jar(b"the job server")
    assert Path(fetch(maven)).read_bytes() == b"the job server"
    server.contents.clear()
    assert Path(fetch(maven)).name == NAME


def test_maven_may_not_have_it(maven: MavenSettings) -> None:
    with pytest.raises(CorpusmillError, match=rf"{NAME} is not to be had \(404 Not Found\); give the jar with --flink"):
        fetch(maven)


@pytest.mark.parametrize("pinned", [False, True])
def test_another_hash_is_refused_and_not_kept(server: Answers, maven: MavenSettings, pinned: bool) -> None:
    server.has_jar(b"the job server", sha1="0" * 40)
    chosen = MavenSettings(repository=maven.repository, cache=maven.cache, job_server_sha256="0" * 64 if pinned else "")
    with pytest.raises(CorpusmillError, match="does not have the sha256" if pinned else "does not have the sha1"):
        fetch(chosen)
    assert list(maven.folder.iterdir()) == []


def test_a_given_job_server_must_have_the_pinned_hash(jar: str) -> None:
    right = hashlib.sha256(Path(jar).read_bytes()).hexdigest()
    assert job_server_jar("x", jar, "--flag", MavenSettings(job_server_sha256=right)) == jar
    with pytest.raises(CorpusmillError, match="job_server_sha256"):
        job_server_jar("x", jar, "--flag", MavenSettings(job_server_sha256="0" * 64))


def test_a_given_job_server_must_be_a_program(tmp_path: Path) -> None:
    (tmp_path / "page.jar").write_bytes(b"<html>404 Not Found</html>")
    for place, said in (
        (str(tmp_path / "page.jar"), "no jar, or a damaged one"),
        (written(tmp_path / "library.jar", "Created-By: us\n"), "is a library"),
    ):
        with pytest.raises(SettingError, match=said):
            job_server_jar("x", place, "--flink_job_server_jar", MavenSettings())


def test_a_pinned_hash_is_a_hash() -> None:
    with pytest.raises(SettingError, match="64 hexadecimal digits"):
        MavenSettings(job_server_sha256="abc")


# --- Spark, Prism, a job server of one's own ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "kind", "said"),
    [
        (["--runner=SparkRunner"], SettingError, "--spark_master_url"),
        (["--runner=SparkRunner", "--spark_master_url=spark://x:7077"], SettingError, "how its workers start"),
        (["--runner=SparkRunner", "--spark_master_url=local", "--spark_submit_uber_jar"], SettingError, "--spark_rest_url"),
        (["--runner=SparkRunner", "--spark_master_url=local"], CorpusmillError, "spark-3-job-server.*404"),
        (["--runner=SparkRunner", "--spark_version=2"], SettingError, "invalid choice"),
        (["--runner=PrismRunner"], SettingError, "--prism_location=PATH, .* corpusmill cluster prism builds one"),
        (["--runner=PrismRunner", "--prism_location=nowhere"], SettingError, "nowhere is no file"),
        (["--runner=PrismRunner", "--environment_type=EXTERNAL"], SettingError, "--environment_config=HOST:PORT"),
        (["--runner=PortableRunner"], SettingError, "--job_endpoint=HOST:PORT"),
        (["--runner=PortableRunner", "--job_endpoint=nowhere", "--environment_type=LOOPBACK"], SettingError, "HOST:PORT"),
        (["--runner=PortableRunner", "--job_endpoint=embed", "--environment_type=LOOPBACK"], SettingError, "leave out"),
        (["--runner=PortableRunner", "--job_endpoint=127.0.0.1:9", "--environment_type=LOOPBACK"], CorpusmillError, "no job server answers"),
    ],
)  # fmt: skip
def test_other_engines_name_what_they_need(
    maven: MavenSettings,
    arguments: list[str],
    kind: type[CorpusmillError],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(kind, match=said):
        completed(arguments, maven)


def test_a_job_server_of_ones_own_may_take_longer_than_five_minutes(server: Answers, maven: MavenSettings) -> None:
    """Beam ends a job there after 300 seconds otherwise."""
    given = ("--runner=PortableRunner", f"--job_endpoint={server.address}", "--environment_type=LOOPBACK")
    (added,) = completed(given, maven)[len(given) :]
    assert int(added.removeprefix("--job_server_timeout=")) > 86400


def test_the_runner_is_read_in_either_form() -> None:
    named: Callable[[list[str]], str] = runner_of
    assert named(["--runner", "FlinkRunner"]) == named(["--runner=FlinkRunner"]) == "FlinkRunner"
