from pathlib import Path

import pytest

from pipeline.crawl import progress
from pipeline.crawl.archive import Archive
from pipeline.crawl.config import CrawlConfig, LimitsConfig, PolitenessConfig
from pipeline.crawl.progress import Reporter, progress_line, summary, within_reach
from pipeline.crawl.queues import QueuedUrl
from pipeline.crawl.shard import ShardCrawler
from pipeline.crawl.state import ShardState
from tests.crawl.crawling import AGENT

CONFIG = CrawlConfig(
    user_agent=AGENT,
    limits=LimitsConfig(pages_per_domain_and_round=5),
    politeness=PolitenessConfig(delay_seconds=10.0, strikes=2),
)


def crawler(tmp_path: Path, *domains: str) -> ShardCrawler:
    """A crawler of sites with eight waiting URLs each, and one that is held."""
    state = ShardState(CONFIG, [])
    for domain in domains:
        for number in range(8):
            state.put(domain, QueuedUrl(f"http://{domain}/{number}", 0))
        state.put(domain, QueuedUrl(f"http://{domain}/held", 0, reason="retry"), held=True)
    return ShardCrawler(state, Archive(str(tmp_path), "out", "shard", CONFIG.limits, {}, num_parts=0))


def test_all_shards_in_one_line(tmp_path: Path) -> None:
    for name, domains in (("shard-0", ("a.example", "b.example")), ("shard-1", ("c.example",))):
        one = crawler(tmp_path, *domains)
        one.num_active = len(domains)
        one.state.stats.update({"verdict/page": 3, "bytes": 1 << 20, "error/timeout": 2, "error/dns": 1})
        Reporter(str(tmp_path / "progress"), name).write(one)
    totals = summary(str(tmp_path / "progress"))
    assert totals is not None
    line = progress_line(totals, 12.34)
    assert line == (
        "6 pages, 2.0 MiB, 12.3 pages/s · 3 hosts active · 15 queued, 12 deferred · errors: dns 2, timeout 4 · 50 s left at most"
    )


def test_nothing_is_said_before_the_first_report(tmp_path: Path) -> None:
    assert summary(str(tmp_path)) is None


@pytest.mark.parametrize(
    ("done", "strikes", "crawl_delay", "reach"),
    [(0, 0, 0.0, 5), (4, 0, 0.0, 1), (7, 0, 0.0, 0), (0, 2, 0.0, 0), (0, 0, 86_400.0, 0)],
)
def test_what_a_round_may_still_reach(tmp_path: Path, done: int, strikes: int, crawl_delay: float, reach: int) -> None:
    site = crawler(tmp_path, "a.example").state.site("a.example")
    site.requests_now, site.pace.strikes, site.pace.crawl_delay = done, strikes, crawl_delay
    assert within_reach(site) == reach


def test_time_left_is_that_of_the_slowest_site_and_ends_with_the_round(tmp_path: Path) -> None:
    one = crawler(tmp_path, "a.example", "b.example")
    one.state.site("b.example").pace.crawl_delay = 30.0
    assert progress.seconds_left(one, 1.0) == 150.0
    one.deadline -= CONFIG.limits.round_seconds - 20.0
    assert progress.seconds_left(one, 1.0) <= 20.0
