"""The demo: crawls a site made of this machine's own Python documentation, and goes the whole way to a scored model."""

import socket
import time
import tomllib
from dataclasses import replace
from importlib.resources import files

from jobs import run as whole_run
from jobs.config import RunConfig
from jobs.demo.server import Served, serve_demo_site
from jobs.engine import Engine
from jobs.lock import opened
from jobs.progress import Progress
from jobs.settings import build, override
from pipeline.storage import join

SETTINGS = "demo.toml"
# Fixed, so that the addresses of the pages, and with them all ids and shards, are the same each time.
PORTS = (41_977, 41_978)


def main(engine: Engine, *, folder: str = "runs/demo", assignments: tuple[str, ...] = (), force: bool = False) -> None:
    """Runs the demo into `folder`."""
    started = time.monotonic()
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
