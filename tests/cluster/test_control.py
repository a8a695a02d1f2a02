"""A real Flink cluster on this machine: started, seen, wounded, stopped, and nothing left of it."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.cluster import control, flink
from jobs.cluster.processes import Process, birth_of, end, free_ports, started
from jobs.cluster.rest import FlinkRest
from jobs.cluster.settings import ClusterSettings, worker_environment
from pipeline.errors import CorpusmillError, DataError, SettingError

slow = pytest.mark.slow


@pytest.fixture
def settings(tmp_path: Path) -> ClusterSettings:
    return ClusterSettings(folder=str(tmp_path / "cluster"), port=free_ports(1)[0], start_seconds=240)


@pytest.fixture
def cluster(settings: ClusterSettings) -> Iterator[control.Cluster]:
    try:
        flink.java_command()
        flink.distribution_folder()
    except CorpusmillError as error:
        pytest.skip(str(error))
    try:
        yield control.start(settings)
    finally:
        control.stop(settings.folder)


@slow
@pytest.mark.timeout(600)
def test_a_cluster_lives_and_leaves_nothing_behind(cluster: control.Cluster, settings: ClusterSettings) -> None:
    rest = FlinkRest(cluster.address)
    assert rest.version().startswith(cluster.flink_version)
    assert sorted(each["id"] for each in rest.task_managers()) == ["task-manager-0", "task-manager-1"]
    assert rest.overview()["slots-total"] == 4
    options = rest.settings()
    assert options["restart-strategy.type"] == "fixed-delay"
    assert options["rest.bind-address"] == "127.0.0.1"
    listening = [each for each in _listening() if each[1] in _ports_of(cluster)]
    assert {host for host, _ in listening} == {"127.0.0.1"}, listening
    with pytest.raises(CorpusmillError, match=r"running already .*5 of 5"):
        control.start(settings)
    os.kill(cluster.named("task-manager")[1].pid, signal.SIGKILL)
    os.kill(cluster.named("worker-pool")[0].pid, signal.SIGKILL)
    while len(cluster.dead()) < 2:  # a signal takes a moment to arrive
        os.sched_yield()
    _, lines = control.status(settings.folder)
    assert sum(line.endswith("gone") for line in lines) == 2
    control.stop(settings.folder)
    assert not [process for process in cluster.processes if process.is_alive()]
    assert not {port for _, port in _listening()} & _ports_of(cluster)
    assert sorted(os.listdir(settings.folder)) == ["conf", "logs"]
    with pytest.raises(CorpusmillError, match="no cluster is running"):
        control.status(settings.folder)


def _ports_of(cluster: control.Cluster) -> set[int]:
    config = (Path(cluster.folder) / "conf/config.yaml").read_text("utf-8")
    stated = {
        int(word.strip("'")) for line in config.splitlines() for word in line.split()[1:] if word.strip("'").isdigit()
    }
    return {each for each in stated if each > 1024} | {cluster.port, cluster.pool_port}


def _listening() -> set[tuple[str, int]]:
    """Addresses with a listener on this machine, from the tables of the kernel."""
    found = set()
    for name in ("tcp", "tcp6"):
        place = Path("/proc/net") / name
        for line in place.read_text().splitlines()[1:] if place.exists() else []:
            fields = line.split()
            if fields[3] == "0A":
                address, _, port = fields[1].partition(":")
                loopback = address == "0100007F" or address.endswith("FFFF00000100007F")
                found.add(("127.0.0.1" if loopback else address, int(port, 16)))
    return found


# --- without starting one -----------------------------------------------------------------------------------


def test_a_port_that_is_taken_is_named(settings: ClusterSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flink, "java_command", lambda: "java")
    monkeypatch.setattr(flink, "distribution_folder", lambda: Path("flink"))
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(CorpusmillError, match=f"port {port} is taken"):
            control.start(replace(settings, port=port))
    assert not Path(settings.folder).exists()


def test_ports_are_none_that_a_connection_may_be_given() -> None:
    place = Path("/proc/sys/net/ipv4/ip_local_port_range")
    begin, end = map(int, place.read_text().split()) if place.exists() else (49152, 65535)
    ports = free_ports(50)
    assert len(set(ports)) == 50
    assert not [port for port in ports if begin <= port <= end]


@pytest.mark.parametrize("answer", [b"\x00\x00\x18\x04\x00\x00\x00\x00\x00", b"", b"HTTP/1.1 200 OK\r\n\r\n<html>"])
def test_what_is_no_flink_is_said_to_be_none(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, ThreadPoolExecutor(1) as pool:
        pool.submit(_answer_once, other, answer)
        address = f"http://127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(CorpusmillError, match=f"no Flink answers at {address}"):
            FlinkRest(address).version()


def _answer_once(server: socket.socket, answer: bytes) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(answer)


def test_no_java_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(CorpusmillError, match="no java on the PATH"):
        flink.java_command()
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(CorpusmillError, match="JAVA_HOME is"):
        flink.java_command()


@pytest.mark.parametrize(
    ("version", "is_fit"), [("1.8.0_292", False), ("11.0.2", True), ("17.0.15", True), ("25", False)]
)
def test_java_must_be_neither_too_old_nor_too_new(
    version: str, is_fit: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    java = tmp_path / "bin/java"
    java.parent.mkdir()
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    if is_fit:
        assert flink.java_command() == str(java)
    else:
        with pytest.raises(CorpusmillError, match="Flink needs Java 11 to 21"):
            flink.java_command()


def test_no_flink_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flink, "PACKAGE", "apache-flink-of-nobody")
    with pytest.raises(CorpusmillError, match=r"pip install 'corpusmill\[flink\]'"):
        flink.distribution_folder()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"port": 0}, "--port"), ({"task_managers": 0}, "--task-managers"), ({"slots": 999}, "--slots"), ({"task_manager_mib": 100}, "--task-manager-mib"), ({"job_server": "no.jar"}, "--job-server=no.jar")],
)  # fmt: skip
def test_settings_name_the_option(wrong: dict[str, int], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        ClusterSettings(**wrong)  # type: ignore[arg-type]


def test_a_job_server_that_is_not_there_is_said_before_anything_starts(
    settings: ClusterSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    monkeypatch.setattr(flink, "java_command", lambda: "java")
    monkeypatch.setattr(flink, "distribution_folder", lambda: Path("flink"))
    monkeypatch.setattr(flink, "flink_version", lambda folder: "1.19")
    assert settings.job_server_jar("1.19") == "", "it is there only if it is asked for"
    with pytest.raises(SettingError, match="--job-server: there is none here yet; corpusmill cluster job-server"):
        control.start(replace(settings, job_server=""))
    assert not Path(settings.folder).exists()


def test_stale_numbers_are_forgotten_and_never_signalled(settings: ClusterSettings) -> None:
    """A cluster that a restart of the machine ended: its number now belongs to somebody else, who stays."""
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    try:
        gone = Process(name="job-manager", pid=stranger.pid, born="1")
        Path(settings.folder).mkdir()
        cluster = control.Cluster(folder=settings.folder, flink_version="1.20", port=1, pool_port=2, parallelism=2, processes=(gone,))  # fmt: skip
        control._write(cluster)
        assert control.read(settings.folder) == cluster
        with pytest.raises(CorpusmillError, match="no longer running"):
            control.status(settings.folder)
        assert control.stop(settings.folder)
        assert stranger.poll() is None
        assert control.read(settings.folder) is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_damaged_list_of_processes_is_an_error(settings: ClusterSettings) -> None:
    Path(settings.folder).mkdir()
    (Path(settings.folder) / "cluster.json").write_text('{"processes": [{"pid": 3}]}')
    with pytest.raises(DataError, match=r"cluster\.json is damaged"):
        control.status(settings.folder)


def test_ending_ends_what_was_started_by_it(tmp_path: Path) -> None:
    """Also one that does not listen, and its child."""
    code = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid, flush=True); time.sleep(60)"
    )
    process = started("stubborn", [sys.executable, "-c", code], tmp_path / "log", worker_environment())
    while not (tmp_path / "log").read_text().strip():
        os.sched_yield()
    child = int((tmp_path / "log").read_text())
    end([process], seconds=0.5)
    assert not process.is_alive()
    assert birth_of(child) == ""


def test_the_command_line_says_it_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from jobs import cli

    folder = str(tmp_path / "cluster")
    assert cli.main(["cluster", "stop", "--folder", folder]) == 0
    assert "no cluster was running" in capsys.readouterr().out
    assert cli.main(["cluster", "status", "--folder", folder]) == 1
    assert f"no cluster is running in {folder}" in capsys.readouterr().err
    assert cli.main(["cluster", "start", "--folder", folder, "--port", "70000"]) == 2
    assert "--port is 70000" in capsys.readouterr().err
