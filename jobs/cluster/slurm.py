"""The batch script with which a run goes to a Slurm cluster: `corpusmill cluster slurm`.

The script is meant to be read and changed. On one node it starts the command itself, with a worker process for each processor; on
several it starts a Flink cluster among them that ends with the command (`allocation.py`). Two minutes before its time is
up, Slurm tells the script so; the command is interrupted, the job puts itself back into the queue, and the same command goes on.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from jobs.cluster import flink
from jobs.cluster.allocation import INTERRUPTED, job_server_or_refuse
from pipeline.errors import CorpusmillError, SettingError

_WARNING_SECONDS = 120
_LEAST_SECONDS = 300
_MOST_RESTARTS = 50
_TIME = re.compile(r"(?:(?P<days>\d+)-(?P<hours>\d+)(?::\d+){0,2}|(?P<clock>\d+(?::\d+){0,2}))")
_PLAIN = re.compile(r"[\w.,+@%/-]+")

_SCRIPT = """#!/bin/bash
# {title}. Made by corpusmill cluster slurm, to be read, changed, and submitted with sbatch.
# Whole nodes (--exclusive): what listens on loopback can be reached by whoever else works on a node.
{directives}

{command} &
job=$!

# Slurm says USR1 to this script {warning_seconds} seconds or more before the time is up, and TERM when it wants the nodes back.
trap 'signalled=yes; time_is_up=yes; kill -TERM $job 2>/dev/null' USR1
trap 'signalled=yes; kill -TERM $job 2>/dev/null' TERM INT
signalled=yes
while [ $signalled ]; do  # a signal ends the wait, not the command
    signalled=
    wait $job
    code=$?
done

# An interrupted command goes on where it was when it is given again.
if [ $code -eq {interrupted} ] && [ "${{time_is_up:-}}" ] && [ "${{SLURM_RESTART_COUNT:-0}}" -lt {most_restarts} ]; then
    echo "the time is up; job $SLURM_JOB_ID goes back into the queue"
    scontrol requeue "$SLURM_JOB_ID"
fi
exit $code
"""


@dataclass(frozen=True, kw_only=True)
class SlurmSettings:
    """What to ask of Slurm."""

    nodes: int = 1
    # As Slurm writes it: minutes, HOURS:MINUTES:SECONDS or DAYS-HOURS.
    time: str
    # Processors of each node: so many tasks and workers. 0: all of them.
    cpus: int = 0
    partition: str = ""
    account: str = ""
    # More options of sbatch, as they are written there.
    options: tuple[str, ...] = ()
    # A folder on a disk of each node, for what does not fit into memory.
    scratch: str = ""
    task_manager_mib: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.nodes <= 1024:
            raise SettingError(f"--nodes is {self.nodes}; allowed is 1 to 1024")
        if not 0 <= self.cpus <= 256:
            raise SettingError(f"--cpus is {self.cpus}; allowed is 1 to 256, and 0 for all of a node")
        if self.seconds < _LEAST_SECONDS:
            raise SettingError(f"--time is {self.time}; {_LEAST_SECONDS // 60} minutes is the least")
        for name, value in (("--partition", self.partition), ("--account", self.account)):
            if value and not _PLAIN.fullmatch(value):
                raise SettingError(f"{name} is {value!r}, which is no name")
        for option in self.options:
            if not option.startswith("-") or not option.isprintable():
                raise SettingError(f"--sbatch={option!r} is no option of sbatch, such as --sbatch=--qos=long")

    @property
    def seconds(self) -> int:
        """The time limit.

        Raises:
            SettingError: it is none.
        """
        found = _TIME.fullmatch(self.time)
        if found is None:
            raise SettingError(f"--time is {self.time!r}; expected is MINUTES, HOURS:MINUTES:SECONDS or DAYS-HOURS")
        if found["days"]:
            return (int(found["days"]) * 24 + int(found["hours"])) * 3600
        parts = [int(part) for part in found["clock"].split(":")]
        hours, minutes, seconds = ([0, *parts, 0] if len(parts) == 1 else [0] * (3 - len(parts)) + parts)[:3]
        return hours * 3600 + minutes * 60 + seconds


def script(settings: SlurmSettings, words: Sequence[str], *, folder: str) -> str:
    """The batch script for `corpusmill WORDS`, to be run in `folder`.

    Raises:
        CorpusmillError: several nodes need Flink and Beam's job server, and one is not here.
    """
    if settings.nodes > 1:
        job_server_or_refuse(flink.flink_version(flink.distribution_folder()))
    where = "one node" if settings.nodes == 1 else f"{settings.nodes} nodes"
    return _SCRIPT.format(
        title=" ".join(f"corpusmill {shlex.join(words)} on {where}".split()),
        directives="\n".join(f"#SBATCH {line}" for line in _directives(settings, words[0], folder)),
        command=_command(settings, words),
        warning_seconds=_WARNING_SECONDS,
        interrupted=INTERRUPTED,
        most_restarts=_MOST_RESTARTS,
    )


def _directives(settings: SlurmSettings, job: str, folder: str) -> list[str]:
    optional = (("cpus-per-task", settings.cpus), ("partition", settings.partition), ("account", settings.account))
    return [
        f"--job-name=corpusmill-{job}",
        f"--chdir={shlex.quote(folder)}",
        "--output=corpusmill-%j.log",
        "--open-mode=append",  # what it says after it was requeued comes behind
        f"--nodes={settings.nodes}",
        "--ntasks-per-node=1",
        *(f"--{name}={value}" for name, value in optional if value),
        "--exclusive",
        "--mem=0",  # all that a node has
        f"--time={settings.time}",
        "--requeue",
        f"--signal=B:USR1@{_WARNING_SECONDS}",
        *settings.options,
    ]


def _command(settings: SlurmSettings, words: Sequence[str]) -> str:
    python = shlex.quote(sys.executable)
    if settings.nodes == 1:
        return f'{python} -m jobs {shlex.join(words)} --workers "${{SLURM_CPUS_PER_TASK:-$SLURM_CPUS_ON_NODE}}"'
    own = (("scratch", settings.scratch), ("task-manager-mib", settings.task_manager_mib))
    options = "".join(f" --{name} {shlex.quote(str(value))}" for name, value in own if value)
    return f"{python} -m jobs.cluster.allocation{options} {shlex.join(words)}"


def submit(text: str) -> str:
    """What sbatch says to the script.

    Raises:
        CorpusmillError: there is no sbatch, or it refuses.
    """
    try:
        asked = subprocess.run(["sbatch"], input=text, capture_output=True, text=True, check=False, env=os.environ)
    except FileNotFoundError:
        raise CorpusmillError("there is no sbatch here; submit from a machine of the cluster") from None
    if asked.returncode:
        said = [line for line in asked.stderr.splitlines() if line.strip()] or ["no reason given"]
        raise CorpusmillError(said[-1].removeprefix("sbatch: error: "))
    return asked.stdout.strip()
