"""A Flink cluster over two nodes of a Slurm job, with a stand-in for srun: the bytes of the local run, and no stranger gets in."""

import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from jobs.cluster.assembly import assemble
from jobs.cluster.maven import MavenSettings
from jobs.cluster.node import address_of_this_node
from tests.cluster.places import job_server_or_skip
from tests.runs import Made, assert_same, contents

pytestmark = [pytest.mark.xdist_group("flink"), pytest.mark.slow, pytest.mark.timeout(600)]
JOB = f"test-{os.getpid()}"
SECONDS = 240.0
LOOPBACKS, EVERYWHERE = ("127.0.0.1", "::1"), ("0.0.0.0", "::")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """That of a batch script on the first of two nodes with a processor each."""
    job_server_or_skip()
    assemble(MavenSettings())  # the one of FLINK_JOB_SERVER_JAR may listen where it likes
    fake = tmp_path / "bin/srun"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\nexec {sys.executable} -m tests.cluster.fake_srun "$@"\n', "utf-8")
    fake.chmod(0o755)
    (tmp_path / "scratch").mkdir()
    root = str(Path(__file__).parents[2])
    slurm = {"SLURM_JOB_ID": JOB, "SLURM_JOB_NUM_NODES": "2", "SLURM_CPUS_PER_TASK": "1"}
    path = os.pathsep.join(filter(None, (root, *sys.path)))
    return {**os.environ, **slurm, "PATH": f"{fake.parent}:{os.environ['PATH']}", "PYTHONPATH": path}


@contextmanager
def launched(environment: dict[str, str], folder: Path, *words: str) -> Iterator["subprocess.Popen[bytes]"]:
    """The launcher at work. Whatever is left of it afterwards is ended."""
    command = [sys.executable, "-m", "jobs.cluster.allocation", "--folder", str(folder), "--scratch", str(folder / "scratch"), *words]  # fmt: skip
    with open(folder / "job.log", "ab") as log:
        job = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        yield job
    finally:
        for pid in ours():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        job.wait()


def ours() -> dict[int, str]:
    """The processes of the job, by the number of the job in their environment: their command lines."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            mine = f"SLURM_JOB_ID={JOB}".encode() in (place / "environ").read_bytes().split(b"\0")
            if mine and int(place.name) != os.getpid():
                found[int(place.name)] = (
                    (place / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                )
    return found


def listening(pids: dict[int, str]) -> set[tuple[str, int]]:
    """Where these processes listen: addresses and ports, from the tables of the kernel."""
    sockets = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").glob("*"):
            with suppress(OSError):
                sockets.add(os.readlink(link).removeprefix("socket:[").removesuffix("]"))
    found = set()
    for name, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        place = Path("/proc/net") / name
        for fields in map(str.split, place.read_text().splitlines()[1:] if place.exists() else []):
            if fields[3] == "0A" and fields[9] in sockets:
                address, _, port = fields[1].partition(":")
                words = [bytes.fromhex(address[at : at + 8])[::-1] for at in range(0, len(address), 8)]
                found.add((socket.inet_ntop(family, b"".join(words)).removeprefix("::ffff:"), int(port, 16)))
    return found


def wait_until(job: "subprocess.Popen[bytes]", is_so: Callable[[], object]) -> None:
    limit = time.monotonic() + SECONDS
    while not is_so():
        assert job.poll() is None, "it ended"
        assert time.monotonic() < limit
        time.sleep(0.1)


def named(part: str) -> list[int]:
    return [pid for pid, command in ours().items() if part in command]


def workers() -> list[int]:
    """The worker processes: forks of what forks them."""
    servers = set(named("jobs.fork_server"))
    return [pid for pid in servers if parent_of(pid) in servers]


def parent_of(pid: int) -> int:
    """0 where it is gone."""
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[1])
    return 0


def test_two_nodes_make_the_bytes_of_the_local_run_and_let_no_stranger_in(
    environment: dict[str, str], copy: Callable[[], Made], made: Made, tmp_path: Path
) -> None:
    """Also when a task manager is killed meanwhile, which its node replaces."""
    run = copy()
    shutil.rmtree(run.run / "counts")
    with launched(environment, tmp_path, "count", str(run.settings)) as job:
        wait_until(job, lambda: len(workers()) == 2)  # a pipeline runs, with a worker on each node
        mine, found = address_of_this_node(), listening(ours())
        # Remote calls and classes of the job manager; of each task manager remote calls, of two kinds, and data.
        ports = {port for host, port in found if host not in LOOPBACKS}
        assert len(ports) >= 2
        assert {host for host, _ in found} <= {*LOOPBACKS, mine, *EVERYWHERE}
        assert len({port for host, port in found if host in EVERYWHERE}) <= 3, "those of the job manager"
        for port in ports:
            assert plainly((mine, port)) in (b"", b"\x15"), f"{port} answers without TLS"
            with pytest.raises((ssl.SSLError, ConnectionError)):
                without_key((mine, port))
        os.kill(named("TaskManagerRunner")[0], signal.SIGKILL)
        assert job.wait(SECONDS) == 0, (tmp_path / "job.log").read_text()
        assert not ours(), "processes are left behind"
    assert_same(contents(run.run, ("counts",)), contents(made.run, ("counts",)))
    assert not list(tmp_path.glob("corpusmill-*")), "nor a key"
    assert not list((tmp_path / "scratch").iterdir())


def plainly(address: tuple[str, int]) -> bytes:
    """The first byte that is answered to one that knows nothing of TLS: none, or that of an alert."""
    with socket.create_connection(address, timeout=20) as connection, suppress(ConnectionError):
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n" + bytes(100))
        return connection.recv(1)
    return b""


def without_key(address: tuple[str, int]) -> None:
    """Fails as the other side wants to see a key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(address, timeout=20) as plain, context.wrap_socket(plain) as connection:
        connection.sendall(b"hello" + bytes(100))
        if not connection.recv(1):
            raise ConnectionError("closed")


def test_told_to_end_it_ends_with_everything(
    environment: dict[str, str], copy: Callable[[], Made], tmp_path: Path
) -> None:
    """By Slurm, which gives it the time to; and by somebody who gives it none."""
    mine = copy()
    for number, code, last in (
        (signal.SIGTERM, 130, workers),
        (signal.SIGKILL, -signal.SIGKILL, partial(named, "TaskManagerRunner")),
    ):
        with launched(environment, tmp_path, "count", str(mine.settings), "--force") as job:
            wait_until(job, last)
            job.send_signal(number)
            assert job.wait(60) == code
            limit = time.monotonic() + 30
            while ours() and time.monotonic() < limit:
                time.sleep(0.1)
            assert not ours()
        if number == signal.SIGTERM:
            assert not list(tmp_path.glob("corpusmill-*"))
