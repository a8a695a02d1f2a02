"""The demo: crawls a site made of this machine's own Python documentation, and goes the whole way to a scored model."""

import socket
import time
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files

from jobs import run as whole_run
from jobs.config import RunConfig
from jobs.demo.server import Served, serve_demo_site
from jobs.engine import Engine
from jobs.lock import opened
from jobs.progress import Progress
from jobs.settings import build, override
from pipeline.errors import SettingError
from pipeline.places import join

SETTINGS = "demo.toml"
# Fixed, so that the addresses of the pages, and with them all ids and shards, are the same each time.
PORTS = (41_977, 41_978)
_FOR_SITE = ("crawl.seeds", "crawl.allow_private_hosts", "crawl.ports")


def main(engine: Engine, *, folder: str = "runs/demo", assignments: tuple[str, ...] = (), force: bool = False) -> None:
    """Runs the demo into `folder`."""
    started = time.monotonic()
    _check_own(assignments)
    tables = override(tomllib.loads(files("jobs.configs").joinpath(SETTINGS).read_text()), assignments)
    Progress.note("demo: rendering the documentation of this Python as a web site …")
    Progress.note("demo: the first time on a machine some steps begin with a minute of compiling")
    with serve_demo_site(ports=_free_ports()) as served:
        Progress.note(
            f"demo: {served.site.num_pages:,} pages at {served.origin}/ and its mirror {served.mirror_origin}/"
        )
        config = _for_site(build(RunConfig, tables), served, folder)
        with opened(config):
            whole_run.main(config, engine, force=force)
    Progress.note(f"demo: done in {time.monotonic() - started:.0f} s; open {join(folder, 'report.html')} in a browser")


def _check_own(assignments: Sequence[str]) -> None:
    """Refuses settings that the demo gives itself; they would be dropped."""
    own = {"run.folder": "give --folder", **dict.fromkeys(_FOR_SITE, "the demo crawls its own site")}
    for name in (assignment.partition("=")[0].replace(" ", "") for assignment in assignments):
        if name in own:
            raise SettingError(f"--set {name} is not for the demo: {own[name]}")


def _free_ports() -> tuple[int, int]:
    """The fixed ports, or any where another program listens on one of them."""
    for port in PORTS:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return (0, 0)
    return PORTS


def _for_site(config: RunConfig, served: Served, folder: str) -> RunConfig:
    crawl = replace(
        config.crawl,
        seeds=served.seeds,
        allow_private_hosts=served.hosts,
        ports=tuple(sorted(set(served.ports))),
    )
    return replace(config, run=replace(config.run, folder=folder), crawl=crawl)
