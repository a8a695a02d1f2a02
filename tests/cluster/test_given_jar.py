"""`--flink_job_server_jar=PATH` from the flag to the bytes: everything but the translation into a job of Flink.

The jar is a stand-in that takes what Beam gives to its job server for Flink and starts Beam's own job service instead.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs import config as settings
from jobs import curate
from tests.cluster.answers import Answers
from tests.cluster.places import with_pool
from tests.cluster.test_watchdog import processes_of
from tests.runs import Made, assert_same, contents

pytestmark = [pytest.mark.xdist_group("runs"), pytest.mark.slow, pytest.mark.timeout(600)]
PROGRAM = """
import java.nio.file.*;
import java.util.*;

public class Main {
    public static void main(String[] arguments) throws Exception {
        Path folder = Path.of("%s");
        Files.write(folder.resolve("arguments"), List.of(arguments));
        String port = arguments[List.of(arguments).indexOf("--job-port") + 1];
        String file = folder.resolve("port").toString();
        System.exit(new ProcessBuilder("%s", "-m", "tests.cluster.two_workers", file, port).inheritIO().start().waitFor());
    }
}
"""
DATASETS = ("filtered", "measures", "rejected/filter")


def stand_in(folder: Path, python: Path) -> Path:
    javac, archiver = shutil.which("javac"), shutil.which("jar")
    if javac is None or archiver is None:
        pytest.skip("the stand-in for a job server is compiled by javac and jar, of a Java development kit")
    (folder / "Main.java").write_text(PROGRAM % (folder, python), "utf-8")
    subprocess.run([javac, "Main.java"], cwd=folder, check=True)
    subprocess.run([archiver, "cfe", "job-server.jar", "Main", "Main.class"], cwd=folder, check=True)
    return folder / "job-server.jar"


def test_a_given_job_server_runs_the_job_and_ends_with_it(
    server: Answers,
    copy: Callable[[], Made],
    made: Made,
    tmp_path: Path,
) -> None:
    python = tmp_path / "python-of-this-test"  # so that its process is known among others
    python.write_text(f'#!/bin/bash\nexec -a "$0" "{sys.executable}" "$@"\n', "utf-8")
    python.chmod(0o755)
    jar = stand_in(tmp_path, python)
    arguments = ("--runner=FlinkRunner", f"--flink_master={server.address}", f"--flink_job_server_jar={jar}")
    with with_pool(tmp_path, *arguments) as engine:
        mine = copy()
        curate.filter_pages(settings.load(str(mine.settings)), engine, force=True)
    assert_same(contents(mine.run, DATASETS), contents(made.run, DATASETS))
    given = (tmp_path / "arguments").read_text("utf-8").split()
    assert given[given.index("--flink-master") + 1] == f"http://{server.address}"
    assert not processes_of(os.fspath(python)), "the job server outlives its job"
