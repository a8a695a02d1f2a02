"""A Flink cluster on this machine, Beam's job server for it and Beam's Prism, to try what runs on clusters; and runs on Slurm."""

import argparse
import os
from typing import Any

from jobs.commands.parts import config_of, declare, take_settings

_EXAMPLE = """examples:
  corpusmill cluster job-server
  corpusmill cluster start
  corpusmill run my.toml -- --runner=FlinkRunner --flink_master=localhost:8081
  corpusmill cluster status
  corpusmill cluster stop"""
_SLURM_EXAMPLES = """examples:
  corpusmill cluster slurm my.toml --time 12:00:00 --cpus 32
  corpusmill cluster slurm my.toml --nodes 4 --time 1-0 --partition long --submit
  corpusmill cluster slurm my.toml --job curate --nodes 4 --time 1-0 --sbatch=--qos=high --sbatch=--mail-type=END

Write it to a file to change it (corpusmill cluster slurm ... > job.sbatch; sbatch job.sbatch). Several nodes need
corpusmill[flink], Java 11 to 21 and, once, corpusmill cluster job-server. Installation, settings, run and the current
folder must lie where all nodes see them."""
# The jobs that run pipelines, and `run`, which does all.
_JOBS = ("run", "crawl", "ingest", "curate", "count", "train-tokenizer", "pack", "decontaminate")


def add(commands: Any) -> None:
    """Declares `cluster start`, `cluster status`, `cluster stop`, `cluster job-server`, `cluster prism` and `cluster slurm`."""
    text = "start, show or stop a Flink cluster on this machine, get its job server, build Prism, or take a run to a Slurm cluster"
    cluster = commands.add_parser(
        "cluster", help=text, description=text, epilog=_EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    actions = cluster.add_subparsers(metavar="ACTION", required=True)
    start = declare(actions, "start", "start a job manager, task managers and worker pools", _start, example=_EXAMPLE)
    start.add_argument("--task-managers", type=int, metavar="N", help="task managers (default 2)")
    start.add_argument("--slots", type=int, metavar="N", help="tasks side by side in each (default 2)")
    start.add_argument("--port", type=int, metavar="N", help="port of the web page on loopback (default 8081)")
    start.add_argument("--job-manager-mib", type=int, metavar="N", help="memory of the job manager (default 768)")
    start.add_argument("--task-manager-mib", type=int, metavar="N", help="memory of a task manager (default 1280)")
    start.add_argument(
        "--job-server", nargs="?", const="", metavar="JAR",
        help="keep Beam's job server with it (default: the one of corpusmill cluster job-server), so that no pipeline "
        "has to start one; a ready-made one listens on every interface, so not in a network that you do not trust",
    )  # fmt: skip
    _take_folder(start)
    _take_folder(declare(actions, "status", "show the processes, task managers and slots", _status, example=_EXAMPLE))
    _take_folder(declare(actions, "stop", "end the cluster and all that it started", _stop, example=_EXAMPLE))
    declare(
        actions, "job-server", "put together Beam's job server for Flink 1.19, unless it is there (a download of 158 MB)",
        _job_server, example="example:\n  corpusmill cluster job-server\n  corpusmill cluster start",
    )  # fmt: skip
    declare(
        actions, "prism", "build Prism, Beam's engine for one machine, with Go, unless it is built", _prism,
        example="example:\n  corpusmill cluster prism\n  corpusmill run my.toml -- --runner=PrismRunner",
    )  # fmt: skip
    _add_slurm(actions)


def _add_slurm(actions: Any) -> None:
    text = "write the batch script that does a run on a Slurm cluster, on one node or several, or submit it"
    slurm = declare(actions, "slurm", text, _slurm, example=_SLURM_EXAMPLES)
    take_settings(slurm)
    slurm.add_argument("--job", choices=_JOBS, default="run", help="what to do (default run: all of it)")
    slurm.add_argument("--nodes", type=int, default=1, metavar="N", help="nodes (default 1; more form a Flink cluster)")
    slurm.add_argument(
        "--time", required=True, metavar="LIMIT",
        help="time limit: MINUTES, HOURS:MINUTES:SECONDS or DAYS-HOURS; before it is up the job requeues itself and goes on",
    )  # fmt: skip
    slurm.add_argument(
        "--cpus", type=int, default=0, metavar="N",
        help="processors of each node, and so workers and tasks on it (default: all that it has)",
    )  # fmt: skip
    slurm.add_argument("--partition", default="", metavar="NAME", help="where to run (default: that of the cluster)")
    slurm.add_argument("--account", default="", metavar="NAME", help="on whose account")
    slurm.add_argument(
        "--sbatch", action="append", default=[], metavar="OPTION",
        help="another option of sbatch, as in --sbatch=--qos=high; may be given again",
    )  # fmt: skip
    slurm.add_argument(
        "--scratch", default="", metavar="FOLDER", help="a folder of each node's own disk (default: $TMPDIR or /tmp)"
    )
    slurm.add_argument(
        "--task-manager-mib", type=int, default=0, metavar="N",
        help="memory of Flink on a node (default: 512 for each processor and 512 more, 1280 or more)",
    )  # fmt: skip
    slurm.add_argument("--submit", action="store_true", help="submit the script instead of showing it")


def _take_folder(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--folder",
        metavar="FOLDER",
        default="",
        help="where configuration, logs and the list of processes lie (default: $CORPUSMILL_CLUSTER, or a folder of this user)",
    )


def _start(options: argparse.Namespace) -> None:
    from jobs.cluster import control
    from jobs.cluster.settings import FOLDER_VARIABLE, ClusterSettings

    names = ("folder", "task_managers", "slots", "port", "job_manager_mib", "task_manager_mib")
    given = {name: getattr(options, name) for name in names if getattr(options, name)}
    given |= {name: 0 for name in names[1:] if getattr(options, name) == 0}  # refused by name
    cluster = control.start(ClusterSettings(job_server=options.job_server, **given))
    print(f"Flink {cluster.flink_version} is up: {cluster.address} (files in {cluster.folder})")
    if options.folder:
        print(f"export {FOLDER_VARIABLE}={os.path.abspath(options.folder)}  # so that jobs know its worker pools")
    print(f"corpusmill run SETTINGS -- --runner=FlinkRunner --flink_master=localhost:{cluster.port}")


def _status(options: argparse.Namespace) -> None:
    from jobs.cluster import control
    from pipeline.errors import CorpusmillError

    cluster, lines = control.status(options.folder)
    print("\n".join(lines))
    if cluster.dead():
        gone = ", ".join(process.name for process in cluster.dead())
        raise CorpusmillError(f"{gone} of the cluster in {cluster.folder} is gone; stop it and start it again")


def _stop(options: argparse.Namespace) -> None:
    from jobs.cluster import control

    print("the cluster has ended" if control.stop(options.folder) else "no cluster was running")


def _job_server(options: argparse.Namespace) -> None:
    import sys

    from jobs.cluster.assembly import assemble
    from jobs.cluster.maven import MavenSettings

    print(assemble(MavenSettings(), lambda line: print(line, file=sys.stderr, flush=True)))
    print("jobs with --runner=FlinkRunner find it there")


def _prism(options: argparse.Namespace) -> None:
    from jobs.cluster.prism import build

    print(build())
    print("corpusmill run SETTINGS -- --runner=PrismRunner")


def _slurm(options: argparse.Namespace) -> None:
    from jobs.cluster.slurm import SlurmSettings, script, submit

    names = ("nodes", "time", "cpus", "partition", "account", "scratch", "task_manager_mib")
    settings = SlurmSettings(options=tuple(options.sbatch), **{name: getattr(options, name) for name in names})
    config_of(options)  # what is wrong with them is said now, not when the job's turn has come
    words = [options.job, options.settings, *(word for each in options.set for word in ("--set", each))]
    text = script(settings, words, folder=os.getcwd())
    print(submit(text) if options.submit else text, end="\n" if options.submit else "")
