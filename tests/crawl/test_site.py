"""What a shard remembers of a site: policies and how long they hold, strikes, and why something still waits."""

from pathlib import Path

import pytest

from pipeline.crawl.config import CrawlConfig, LimitsConfig, PolitenessConfig
from pipeline.crawl.ledger import RobotsVisit
from pipeline.crawl.sites import Site, read_sites, write_sites
from tests.crawl.crawling import AGENT

NOW = 1_700_000_000.0
ORIGIN = "http://a.example:80"
CONFIG = CrawlConfig(
    user_agent=AGENT,
    robots_cache_seconds=3600.0,
    limits=LimitsConfig(pages_per_domain=10),
    politeness=PolitenessConfig(strikes=2, tries=3, retry_seconds=60.0, max_crawl_delay_seconds=120.0),
)


def learnt(access: str = "parse", content: str = "User-agent: *\nDisallow: /no\n", **more: object) -> Site:
    site = Site.new("a.example", CONFIG)
    visit = {"origin": ORIGIN, "domain": "a.example", "access": access, "status": 200, "content": content, "at": NOW}
    site.learn(RobotsVisit(**{**visit, **more}))  # type: ignore[arg-type]
    return site


def test_rules_hold_for_as_long_as_they_may_be_kept(tmp_path: Path) -> None:
    write_sites(str(tmp_path / "sites"), [learnt()])
    for site in (learnt(), read_sites(str(tmp_path / "sites"), CONFIG)["a.example"]):  # in this round, in the next one
        policy = site.policy(ORIGIN, NOW + 3600.0)
        assert policy is not None
        assert policy.refuses("/no", CONFIG) == ("robots", "")
        assert policy.refuses("/yes", CONFIG) == ("", "")
        assert site.policy(ORIGIN, NOW + 3601.0) is None
        assert site.policy("https://a.example:443", NOW) is None  # another origin has rules of its own


def test_what_was_learnt_by_a_clock_that_was_ahead_is_asked_for_again() -> None:
    years = 4e8
    assert learnt(at=NOW + years).policy(ORIGIN, NOW) is None
    assert learnt("defer", tries=1, at=NOW + years, retry_at=NOW + years + 60.0).policy(ORIGIN, NOW) is None
    assert learnt(at=NOW + 2.0).policy(ORIGIN, NOW) is not None  # of another machine, whose clock is nearly ours


@pytest.mark.parametrize(
    ("tries", "seconds", "asks_again"), [(1, 59.0, False), (1, 60.0, True), (2, 60.0, True), (3, 99_999.0, False)]
)
def test_unreachable_rules_are_asked_for_again_later_and_not_for_ever(
    tries: int, seconds: float, asks_again: bool
) -> None:
    site = learnt("defer", tries=tries, retry_at=NOW + 60.0)
    assert (site.policy(ORIGIN, NOW + seconds) is None) is asks_again


@pytest.mark.parametrize(
    ("crawl_delay", "requests", "strikes", "reason"),
    [(0.0, 0, 0, ""), (121.0, 0, 0, "crawl_delay"), (120.0, 0, 0, ""), (0.0, 10, 0, "budget"), (0.0, 0, 2, "strikes")],
)
def test_why_something_still_waits(crawl_delay: float, requests: int, strikes: int, reason: str) -> None:
    site = Site.new("a.example", CONFIG)
    site.pace.crawl_delay, site.requests, site.pace.strikes = crawl_delay, requests, strikes
    site.end_round()
    assert site.reason == reason
    assert site.pace.strikes == 0


def test_a_site_that_struck_out_in_every_round_is_given_up() -> None:
    site = Site.new("a.example", CONFIG)
    pauses = []
    for _ in range(CONFIG.politeness.tries):
        assert not site.given_up
        site.pace.next_allowed, site.pace.strikes = NOW, 2
        site.end_round()
        pauses.append(site.pace.next_allowed - NOW)
    assert site.given_up
    assert pauses == [60.0, 120.0, 240.0]


def test_the_longest_delay_of_all_origins_counts() -> None:
    site = learnt(content="User-agent: *\nCrawl-delay: 7\n")
    site.learn(RobotsVisit(origin="https://a.example:443", domain="a.example", access="parse", status=200, content="User-agent: *\nCrawl-delay: 2"))  # fmt: skip
    assert site.pace.delay == 7.0
