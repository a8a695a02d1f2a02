"""What a crawl in a process of its own does, which is to be killed."""

import os
from dataclasses import replace
from pathlib import Path

from pipeline.crawl.config import LimitsConfig, PolitenessConfig
from tests.crawl.crawling import config_for, crawled
from tests.site.server import Server


def main(run: Path, delay: float, max_pages: int | None, seeds: list[str], stderr: Path) -> None:
    """Crawls the hosts of the seeds; what it says goes to the end of `stderr`."""
    with stderr.open("ab") as file:
        os.dup2(file.fileno(), 2)
    hosts = [seed.split("/")[2].split(":") for seed in seeds]
    server = Server(tuple(address for address, _ in hosts), port=int(hosts[0][1]))
    politeness = PolitenessConfig(delay_seconds=delay, latency_factor=0.0, retry_seconds=0.05, backoff_seconds=0.05)
    limits = LimitsConfig(round_seconds=60.0, pages_per_domain_and_round=60, part_records=25)
    config = config_for(server, seeds, ports=(server.port,), politeness=politeness, limits=limits)
    crawled(run, replace(config, max_pages=max_pages))
