"""Stands in for srun: starts a task for each node, all on this machine, and ends them together as srun does."""

import os
import signal
import subprocess
import sys
import time

from jobs.cluster.processes import die_with_parent


def main(words: list[str]) -> int:
    options = [word for word in words if word.startswith("--")]
    number = next(int(word.partition("=")[2]) for word in options if word.startswith("--ntasks="))
    command = words[len(options) :]
    tasks = [
        subprocess.Popen(
            command,
            env={**os.environ, "SLURM_PROCID": str(each), "SLURMD_NODENAME": f"node{each}"},
            preexec_fn=die_with_parent,  # as Slurm ends what is left of a job
        )
        for each in range(number)
    ]

    def hand_on(number: int, _frame: object = None) -> None:
        for task in tasks:
            task.send_signal(number)

    def kill(*_signal: object) -> None:
        hand_on(signal.SIGKILL)

    signal.signal(signal.SIGUSR1, hand_on)
    signal.signal(signal.SIGTERM, kill)
    while any(task.poll() is None for task in tasks):
        if any(task.poll() for task in tasks):  # --kill-on-bad-exit
            kill()
        time.sleep(0.1)
    return max(task.returncode for task in tasks)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
