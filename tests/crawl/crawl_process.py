"""Crawls in a process of its own, to be killed: `python -m tests.crawl.crawl_process RUN DELAY MAX_PAGES SEED...`"""

import sys
from dataclasses import replace
from pathlib import Path

from pipeline.crawl.config import LimitsConfig, PolitenessConfig
from tests.crawl.crawling import config_for, crawled
from tests.site.server import Server


def main(run: str, delay: str, max_pages: str, *seeds: str) -> None:
    """Crawls the hosts of the seeds; `max_pages` is 0 for no limit."""
    hosts = [seed.split("/")[2].split(":") for seed in seeds]
    server = Server(tuple(address for address, _ in hosts), port=int(hosts[0][1]))
    politeness = PolitenessConfig(
        delay_seconds=float(delay), latency_factor=0.0, retry_seconds=0.05, backoff_seconds=0.05
    )
    limits = LimitsConfig(round_seconds=60.0, pages_per_domain_and_round=60, part_records=25)
    config = config_for(server, seeds, ports=(server.port,), politeness=politeness, limits=limits)
    crawled(Path(run), replace(config, max_pages=int(max_pages) or None))


if __name__ == "__main__":
    main(*sys.argv[1:])
