"""What the commands have in common: how one is declared, its settings, its engine.

Handlers import what they need when they run, so that `--help` and a wrong option answer at once.
"""

import argparse
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from jobs.settings import read_toml

if TYPE_CHECKING:
    from jobs.config import RunConfig
    from jobs.engine import Engine

Handler = Callable[[argparse.Namespace], None]


def declare(commands: Any, name: str, text: str, handler: Handler, *, example: str = "") -> argparse.ArgumentParser:
    """The parser of a command `name` that `handler` carries out."""
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog=example,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "--debug", action="store_true", help="show the log of the engine and the traceback of any failure"
    )
    command.set_defaults(handler=handler, job=name)
    return command


def take_settings(command: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Gives a command a settings file (an argument, or an option where it is not `required`) and `--set`."""
    if required:
        command.add_argument(
            "settings", metavar="SETTINGS", help="a TOML file, or the folder of a run that was made before"
        )
    else:
        command.add_argument("--settings", metavar="FILE", default="", help="a TOML file with the tables of the stages")
    take_overrides(command)


def take_overrides(
    command: argparse.ArgumentParser,
    metavar: str = "TABLE.KEY=VALUE",
    text: str = "override one setting; may be given again",
) -> None:
    """Gives a command `--set`."""
    command.add_argument("--set", metavar=metavar, action="append", default=[], help=text)


def take_force(command: argparse.ArgumentParser) -> None:
    """Gives a command `--force`."""
    command.add_argument(
        "--force",
        action="store_true",
        help="redo it even if it is up to date (pages of a crawl and models are set aside in RUN/replaced)",
    )


def take_engine(command: argparse.ArgumentParser) -> None:
    """Gives a command what `engine_of` reads; one without it starts no pipeline, and nothing may follow `--`."""
    command.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="worker processes on this machine (default: its cores, where there is enough to do)",
    )


def starts_pipelines(options: argparse.Namespace) -> bool:
    """Whether the command may name an engine."""
    return hasattr(options, "workers")


def engine_of(options: argparse.Namespace) -> "Engine":
    """The engine that the options name."""
    from jobs.config import RunSettings
    from jobs.engine import Engine

    run = config_of(options).run if hasattr(options, "settings") else RunSettings()
    engine = Engine(
        workers=options.workers, beam_args=options.beam_args, stall_seconds=run.stall_seconds, maven=run.maven
    )
    return engine.ready()


def config_of(options: argparse.Namespace) -> "RunConfig":
    """The settings that `SETTINGS` and `--set` give."""
    if options.settings.endswith(".toml"):
        read_toml(options.settings)  # what is wrong with the file is said before seconds of imports
    from jobs import config as settings

    return settings.load(options.settings, getattr(options, "set", []))


def plain_config(path: str, assignments: Sequence[str]) -> "RunConfig":
    """The settings of a filter, which need no file and no run."""
    from jobs import config as settings
    from jobs.settings import build, override

    return settings.load(path, assignments) if path else build(settings.RunConfig, override({}, assignments))


def run_job(options: argparse.Namespace, module: str, **extra: Any) -> None:
    """Runs `main` of `jobs/{module}.py` inside the run that the options name."""
    config = config_of(options)
    engine = engine_of(options) if starts_pipelines(options) else None
    from jobs.checks import check
    from jobs.lock import opened
    from jobs.times import timed

    with opened(config), timed(config.run.folder, module, force=options.force):
        check(config, [module])
        import_module(f"jobs.{module}").main(config, engine, force=options.force, **extra)
