"""The batch script for Slurm, and what makes the cluster inside its job safe; the cluster itself is in test_allocation.py."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobs import cli
from jobs.cluster import flink, node, slurm
from jobs.cluster.allocation import Allocation, main, options_for_nodes
from jobs.cluster.keys import make_key
from jobs.cluster.settings import LOOPBACK
from jobs.cluster.slurm import SlurmSettings, script
from pipeline.errors import CorpusmillError, SettingError

SECONDS = 20.0


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flink and the job server are here."""
    monkeypatch.setattr(slurm, "job_server_or_refuse", lambda version: "job-server.jar")
    monkeypatch.setattr(flink, "distribution_folder", lambda: Path("flink"))
    monkeypatch.setattr(flink, "flink_version", lambda folder: "1.19")


@contextmanager
def signals_kept() -> Iterator[None]:
    """What the program does with signals ends with the block."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def directives(text: str) -> list[str]:
    return [line.removeprefix("#SBATCH ") for line in text.splitlines() if line.startswith("#SBATCH ")]


def command(text: str) -> str:
    return next(line.removesuffix(" &") for line in text.splitlines() if line.endswith(" &"))


# --- the script ---------------------------------------------------------------------------------------------


def test_one_node_runs_the_command_itself_with_a_worker_for_each_processor() -> None:
    text = script(SlurmSettings(time="1-0"), ["run", "my.toml"], folder="/shared/project")
    assert directives(text) == [
        "--job-name=corpusmill-run",
        "--chdir=/shared/project",
        "--output=corpusmill-%j.log",
        "--open-mode=append",
        "--nodes=1",
        "--ntasks-per-node=1",
        "--exclusive",
        "--mem=0",
        "--time=1-0",
        "--requeue",
        "--signal=B:USR1@120",
    ]
    workers = '"${SLURM_CPUS_PER_TASK:-$SLURM_CPUS_ON_NODE}"'
    assert command(text) == f"{sys.executable} -m jobs run my.toml --workers {workers}"


def test_several_nodes_get_a_cluster_among_them(parts: None) -> None:
    chosen = SlurmSettings(
        nodes=4, time="12:00:00", cpus=32, partition="long", account="me", options=("--qos=high",), scratch="/disk"
    )
    text = script(chosen, ["curate", "my settings.toml", "--set", "run.folder=a b"], folder="/projects/some body")
    wanted = {"--chdir='/projects/some body'", "--nodes=4", "--cpus-per-task=32", "--partition=long", "--account=me", "--qos=high"}  # fmt: skip
    assert wanted <= set(directives(text))
    words = "curate 'my settings.toml' --set 'run.folder=a b'"
    assert command(text) == f"{sys.executable} -m jobs.cluster.allocation --scratch /disk {words}"
    assert text.splitlines()[1].startswith(f"# corpusmill {words} on 4 nodes.")


@pytest.mark.parametrize(
    ("time_limit", "seconds"),
    [("30", 1800), ("30:00", 1800), ("12:00:00", 43200), ("2-0", 172800), ("1-12", 129600), ("1-12:30", 129600)],
)
def test_time_is_read_as_slurm_reads_it(time_limit: str, seconds: int) -> None:
    assert SlurmSettings(time=time_limit).seconds == seconds


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"time": "soon"}, "--time is 'soon'; expected is MINUTES, HOURS:MINUTES:SECONDS or DAYS-HOURS"),
        ({"time": "2"}, "--time is 2; 5 minutes is the least"),
        ({"time": "60", "nodes": 0}, "--nodes is 0; allowed is 1 to 1024"),
        ({"time": "60", "cpus": -1}, "--cpus is -1; allowed is 1 to 256"),
        ({"time": "60", "partition": "long; rm -r ~"}, "--partition is .*, which is no name"),
        ({"time": "60", "options": ("--qos=a\nrm -r ~",)}, "is no option of sbatch"),
        ({"time": "60", "options": ("qos=a",)}, "is no option of sbatch"),
    ],
)
def test_what_is_asked_of_slurm_is_checked(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        SlurmSettings(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("signalled", "restarts", "requeued"),
    [
        (signal.SIGUSR1, 0, True),  # the time is up
        (signal.SIGUSR1, 50, False),  # for the fiftieth time
        (signal.SIGTERM, 0, False),  # somebody wants the job to end
        (None, 0, False),  # the command ends by itself
    ],
)
def test_an_interrupted_job_requeues_itself_when_its_time_is_up_alone(
    signalled: int | None, restarts: int, requeued: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = (
        "trap 'echo ended; exit 130' TERM; touch up; while :; do sleep 0.02; done" if signalled else "touch up; exit 3"
    )
    program(tmp_path / "python", answer)
    program(tmp_path / "scontrol", 'echo "$@" > requeued')
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    (tmp_path / "job.sbatch").write_text(script(SlurmSettings(time="60"), ["run", "my.toml"], folder="/"), "utf-8")
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "SLURM_JOB_ID": "17",
        "SLURM_CPUS_ON_NODE": "2",
        "SLURM_RESTART_COUNT": str(restarts),
    }
    job = subprocess.Popen(
        ["bash", "job.sbatch"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    limit = time.monotonic() + SECONDS
    while not (tmp_path / "up").exists() and time.monotonic() < limit:
        os.sched_yield()
    if signalled:
        job.send_signal(signalled)
    said, _ = job.communicate(timeout=SECONDS)
    assert job.returncode == (130 if signalled else 3), said
    assert (b"ended" in said) == bool(signalled), "it waited for the command to end"
    assert (tmp_path / "requeued").exists() == requeued
    assert not requeued or (tmp_path / "requeued").read_text() == "requeue 17\n"


def program(place: Path, text: str) -> None:
    place.write_text(f"#!/bin/sh\n{text}\n", "utf-8")
    place.chmod(0o755)


# --- the command line ---------------------------------------------------------------------------------------


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    place = tmp_path / "my.toml"
    place.write_text(f'[run]\nfolder = "{tmp_path}/run"\n', "utf-8")
    return place


def test_the_command_shows_or_submits_the_script(
    settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["cluster", "slurm", str(settings), "--time", "1-0", "--set", "train.steps=3", "--sbatch=--qos=high"]
    assert cli.main(given) == 0
    shown = capsys.readouterr().out
    assert f"-m jobs run {settings} --set train.steps=3" in shown
    assert "#SBATCH --qos=high\n" in shown
    assert f"#SBATCH --chdir={os.getcwd()}\n" in shown
    program(tmp_path / "sbatch", f"cat > {tmp_path}/submitted; echo Submitted batch job 17")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert cli.main([*given, "--submit"]) == 0
    assert capsys.readouterr().out == "Submitted batch job 17\n"
    assert (tmp_path / "submitted").read_text() == shown
    program(tmp_path / "sbatch", "echo 'sbatch: error: invalid partition specified: long' >&2; exit 1")
    assert cli.main([*given, "--submit"]) == 1
    assert capsys.readouterr().err == "corpusmill: invalid partition specified: long\n"


@pytest.mark.parametrize(
    ("wrong", "code", "said"),
    [
        (["--time", "soon"], 2, "--time is 'soon'"),
        (["--time", "60", "--set", "train.stepps=3"], 2, "stepps"),
        (["--time", "60", "--nodes", "2"], 1, "Flink is not installed; pip install"),
    ],
)
def test_what_is_wrong_is_said_before_the_job_waits_for_its_turn(
    wrong: list[str], code: int, said: str, settings: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    monkeypatch.setattr(flink, "PACKAGE", "apache-flink-of-nobody")
    assert cli.main(["cluster", "slurm", str(settings), *wrong]) == code
    ended = capsys.readouterr()
    assert said in ended.err
    assert not ended.out


# --- inside the job -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "cpus"),
    [
        ({"SLURM_CPUS_PER_TASK": "8", "SLURM_JOB_CPUS_PER_NODE": "64(x2)"}, 8),
        ({"SLURM_JOB_CPUS_PER_NODE": "64(x2)"}, 64),
        ({"SLURM_JOB_CPUS_PER_NODE": "64(x3),128,32(x2)"}, 32),
    ],
)
def test_the_processors_that_slurm_gives_decide(given: dict[str, str], cpus: int, tmp_path: Path) -> None:
    allocation = Allocation.of({"SLURM_JOB_ID": "17", "SLURM_JOB_NUM_NODES": "6", **given})
    settings = allocation.settings(tmp_path, port=8081)
    assert (allocation.nodes, allocation.cpus, settings.slots, settings.slots_total) == (6, cpus, cpus, 6 * cpus)
    assert f"--cpus-per-task={cpus}" in allocation.srun
    assert {"--nodes=6", "--ntasks=6", "--ntasks-per-node=1"} <= set(allocation.srun)


def test_outside_of_a_job_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in list(os.environ):
        if name.startswith("SLURM"):
            monkeypatch.delenv(name)
    with signals_kept():
        assert main(["run", "my.toml"]) == 2
    assert "this runs inside a Slurm job; corpusmill cluster slurm writes" in capsys.readouterr().err


def test_what_other_machines_reach_wants_the_key_and_the_rest_keeps_to_loopback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.cluster.allocation.address_of_this_node", lambda: "10.0.0.7")
    settings = Allocation(job="17", nodes=2, cpus=4).settings(tmp_path, port=8081)
    options = options_for_nodes(settings, {"job_manager": 15001, "blobs": 0}, {"security.ssl.internal.enabled": "true"})
    assert options["security.ssl.internal.enabled"] == "true"
    assert options["rest.address"] == options["rest.bind-address"] == LOOPBACK
    assert options["web.submit.enable"] == "false"
    assert options["jobmanager.rpc.address"] == "10.0.0.7"
    assert not [key for key in options if key.startswith("taskmanager.") and "host" in key], "each node says its own"
    assert [key for key, value in options.items() if value == "0.0.0.0"] == ["jobmanager.bind-host"]
    assert options["taskmanager.numberOfTaskSlots"] == "4"
    assert options["parallelism.default"] == "8"


def test_the_key_and_its_password_are_for_this_user_alone(tmp_path: Path) -> None:
    java = shutil.which("java")
    if java is None or shutil.which("keytool") is None:
        pytest.skip("needs Java and its keytool")
    options = make_key(tmp_path / "key", java)
    place = Path(options["security.ssl.internal.keystore"])
    assert options["security.ssl.internal.truststore"] == str(place), "no other authority is trusted"
    assert (place.parent.stat().st_mode & 0o777, place.stat().st_mode & 0o777) == (0o700, 0o600)
    password = options["security.ssl.internal.keystore-password"]
    assert len(password) >= 40
    asked = subprocess.run(
        ["keytool", "-list", "-v", "-keystore", str(place), "-storepass:env", "GIVEN"],
        env={**os.environ, "GIVEN": password}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "PrivateKeyEntry" in asked.stdout
    assert "256-bit EC" in asked.stdout


def test_no_password_stands_on_a_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "keytool", f'echo "$@" > {tmp_path}/words; echo no room >&2; exit 1')
    with pytest.raises(CorpusmillError, match="keytool made no key: no room"):
        make_key(tmp_path / "key", str(tmp_path / "java"))
    words = (tmp_path / "words").read_text()
    assert "-storepass:env CORPUSMILL_KEY_PASSWORD" in words
    assert "-storepass " not in words


def test_a_node_that_does_not_see_the_folder_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "_SECONDS_TO_APPEAR", 0.0)
    with signals_kept():
        assert node.main(str(tmp_path / "elsewhere"), "job-server.jar", "15000", str(tmp_path)) == 1
    assert "it must lie on a file system that all nodes share" in capsys.readouterr().out


def test_an_address_is_one_that_others_reach() -> None:
    address = node.address_of_this_node()
    assert address == LOOPBACK or not address.startswith("127.")
