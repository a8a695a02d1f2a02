import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.crawl import frontier
from pipeline.crawl.config import CrawlConfig, LimitsConfig, ScopeConfig
from pipeline.crawl.frontier import QueuedUrl, Seen, fingerprint, shard_of
from pipeline.crawl.guard import AddressGuard
from pipeline.crawl.ledger import Found
from pipeline.crawl.scope import Scope, extension_of
from pipeline.crawl.state import Sent, ShardState
from pipeline.urls import url_parts
from tests.crawl.crawling import AGENT


@given(st.lists(st.integers(0, 300), max_size=400))
def test_seen_is_a_set(numbers: list[int]) -> None:
    seen, oracle = Seen(), set()
    for number in numbers:
        assert seen.add(fingerprint(str(number))) == (number not in oracle)
        oracle.add(number)
        if number % 97 == 0:
            seen._compact()
    assert len(seen) == len(oracle)


def test_seen_survives_a_round(tmp_path: Path) -> None:
    seen = Seen()
    for number in range(1000):
        seen.add(fingerprint(str(number)))
    seen.save(str(tmp_path / "seen"))
    again = Seen()
    again.load(str(tmp_path / "seen"))
    assert not any(again.add(fingerprint(str(number))) for number in range(1000))
    assert again.add(fingerprint("new"))


def test_seen_compacts_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frontier, "_COMPACT_AT", 10)
    seen = Seen()
    for number in range(1000):
        assert seen.add(fingerprint(str(number)))
    assert len(seen._recent) < 200
    assert not seen.add(fingerprint("0"))


def test_shards_do_not_depend_on_the_process() -> None:
    assert [shard_of(name, 8) for name in ("example.com", "example.org", "127.0.0.1")] == [6, 5, 4]


def state(**settings: object) -> ShardState:
    config = CrawlConfig(user_agent=AGENT, **settings)  # type: ignore[arg-type]
    return ShardState(config, ["http://example.com/"])


def test_only_as_many_urls_are_in_memory_as_a_round_can_reach() -> None:
    shard = state(limits=LimitsConfig(pages_per_domain_and_round=10))
    for number in range(1000):
        shard.put("example.com", QueuedUrl(f"http://example.com/{number}", 0))
    queue = shard.site("example.com").queue
    assert len(queue.urls) == 36
    assert len(queue) == 1000
    rows = list(shard.rest())
    assert [row["url"] for row in rows] == [f"http://example.com/{number}" for number in range(1000)]


def test_order_of_arrival_between_sites_does_not_matter() -> None:
    links = [
        Sent(Found(f"http://example.com/{number % 7}", number % 3, 0), f"http://via.example/{number}")
        for number in range(40)
    ]
    results = []
    for seed in range(3):
        shard = state()
        random.Random(seed).shuffle(links)
        shard.receive(links)
        results.append(list(shard.site("example.com").queue.urls))
    assert results[0] == results[1] == results[2]
    assert len(results[0]) == 7


@pytest.mark.parametrize(
    ("within", "seed", "url", "reason"),
    [
        ("domain", "http://www.example.co.uk/x", "https://blog.example.co.uk/", ""),
        ("domain", "http://www.example.co.uk/x", "https://other.co.uk/", "out_of_scope"),
        ("host", "http://www.example.com/x", "https://www.example.com/y", ""),
        ("host", "http://www.example.com/x", "http://example.com/y", "out_of_scope"),
        ("prefix", "http://example.com/docs/index.html", "http://example.com/docs/a/b/c.html", ""),
        ("prefix", "http://example.com/docs/index.html", "http://example.com/docs", "out_of_scope"),
        ("prefix", "http://example.com/docs/", "http://example.com/docs-2/a.html", "out_of_scope"),
        ("prefix", "http://example.com/docs/", "https://example.com/docs/a.html", "out_of_scope"),
        ("any", "http://example.com/", "http://anything.example/", ""),
        ("any", "http://example.com/", "http://anything.example/x.PDF", "extension"),
        ("any", "http://example.com/", "http://anything.example/v1.2/", ""),
        ("any", "http://example.com/", "http://anything.example/?file=x.pdf", ""),
        ("any", "http://example.com/", "http://anything.example:22/", "port"),
    ],
)
def test_scope(within: str, seed: str, url: str, reason: str) -> None:
    scope = Scope(ScopeConfig(within=within), [seed], AddressGuard((), (80, 443)))  # type: ignore[arg-type]
    assert scope.refuses(url, url_parts(url), depth=1) == reason


def test_patterns_and_depth() -> None:
    scope = Scope(
        ScopeConfig(within="any", include=(r"/en/",), exclude=(r"[?&]print=",), max_depth=2),
        [],
        AddressGuard((), (80,)),
    )

    def refused(path: str, depth: int = 0) -> str:
        url = "http://example.com" + path
        return scope.refuses(url, url_parts(url), depth)

    assert refused("/en/a") == ""
    assert refused("/de/a") == "excluded"
    assert refused("/en/a?print=1") == "excluded"
    assert refused("/en/a", depth=3) == "too_deep"


@pytest.mark.parametrize(
    ("path", "extension"),
    [("/a.HTML", "html"), ("/a.b/c", ""), ("/.profile", ""), ("/a.tar.gz", "gz"), ("/v1.20.300000", "")],
)
def test_extensions(path: str, extension: str) -> None:
    assert extension_of(path) == extension
