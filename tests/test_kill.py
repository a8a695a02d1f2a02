"""`kill -9` at any point of a run and the same command again give the bytes of an undisturbed run.

The moments are points in the processor time of the command, drawn from a seed, so that a busy machine does not move them.
"""

import os
import random
from pathlib import Path

import pytest

from tests import corpora
from tests.commands import Commands, Running
from tests.runs import Made, assert_same, contents

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("runs")]
NUM_KILLS = 6
MOST_SECONDS = 2.0  # a whole run takes about five


def cpu_seconds(running: Running) -> float:
    """The processor time that a command has used, with the children that it waited for."""
    try:
        numbers = Path(f"/proc/{running.process.pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, numbers[11:15])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="the processor time of another process is read from /proc"
)
@pytest.mark.parametrize("seed", [1, 2])
def test_kill_and_repeat(made: Made, commands: Commands, tmp_path: Path, seed: int) -> None:
    settings = corpora.write_settings(tmp_path / "settings.toml", run=tmp_path / "run", inputs=made.inputs)
    draw = random.Random(seed)
    killed = []
    for _ in range(NUM_KILLS):
        moment = draw.uniform(0.2, MOST_SECONDS)
        running = commands.start("run", settings)
        if not running.wait_for(lambda moment=moment, running=running: cpu_seconds(running) >= moment, 240):
            break  # it had less to do than that
        running.kill()
        killed.append((round(moment, 2), _reached(tmp_path / "run")))
    assert len(killed) >= 2, killed
    ended = commands.run("run", settings, seconds=560)
    assert ended.code == 0, ended.err
    assert_same(contents(tmp_path / "run"), contents(made.run))
    assert commands.run("verify", tmp_path / "run").code == 0


def _reached(run: Path) -> list[str]:
    """The datasets that are complete, for the message of a failure."""
    return sorted(
        path.parent.relative_to(run).as_posix() for path in run.rglob("manifest.json") if "attempts" not in path.parts
    )
