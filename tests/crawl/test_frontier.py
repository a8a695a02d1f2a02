import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.crawl import frontier
from pipeline.crawl.config import CrawlConfig, ScopeConfig
from pipeline.crawl.frontier import Seen, fingerprint, shard_of
from pipeline.crawl.guard import AddressGuard
from pipeline.crawl.ledger import Found
from pipeline.crawl.queues import QueuedUrl, UrlQueues, write_queue
from pipeline.crawl.scope import Scope, extension_of
from pipeline.crawl.sites import write_sites
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


def urls_of(shard: ShardState, domain: str = "example.com") -> list[str]:
    """The URLs of a site in the order in which they get their turns."""
    site, urls = shard.site(domain), []
    while turn := shard.next_turn(site, None):
        urls.append(turn.entry.url)
    return urls


def test_least_depth_first_then_the_order_of_arrival() -> None:
    shard = state()
    for name, depth in (("a", 2), ("b", 0), ("c", 1), ("d", 0), ("e", 2)):
        shard.put("example.com", QueuedUrl(f"http://example.com/{name}", depth))
    assert "".join(url[-1] for url in urls_of(shard)) == "bdcae"
    assert len(shard.site("example.com").queue) == 0


def test_a_url_without_luck_keeps_its_place_and_a_held_one_waits() -> None:
    shard = state()
    for number in range(3):
        shard.put("example.com", QueuedUrl(f"http://example.com/{number}", 0))
    shard.put("example.com", QueuedUrl("http://example.com/held", 0, reason="retry"), held=True)
    site = shard.site("example.com")
    turn = shard.next_turn(site, None)
    assert turn is not None
    assert turn.entry.url.endswith("/0")
    shard.put_back(site, turn)
    assert len(site.queue) == 4
    assert [url[-1] for url in urls_of(shard)] == ["0", "1", "2"]
    assert [(row["url"], row["reason"]) for row in shard.rest()] == [("http://example.com/held", "retry")]


def test_deeper_urls_than_the_level_of_a_round_have_no_turn() -> None:
    shard = state()
    shard.put("example.com", QueuedUrl("http://example.com/deep", 3))
    assert shard.next_turn(shard.site("example.com"), 2) is None
    assert shard.next_turn(shard.site("example.com"), 3) is not None


def test_queues_survive_a_round_in_order_and_what_is_not_due_is_held(tmp_path: Path) -> None:
    shard = state()
    for number in range(500):
        shard.put(f"{number % 3}.example", QueuedUrl(f"http://{number % 3}.example/{number}", number % 2))
    shard.put("1.example", QueuedUrl("http://1.example/later", 0, not_before=200.0, reason="retry"), held=True)
    shard.put("1.example", QueuedUrl("http://1.example/due", 0, not_before=50.0, reason="retry"), held=True)
    write_queue(str(tmp_path / "s.queue.parquet"), shard.rest())
    write_sites(str(tmp_path / "s.sites.jsonl"), shard.sites.values())
    shard.seen.save(str(tmp_path / "s.seen"))
    again = state()
    again.load(str(tmp_path), "s", 100.0)
    first, second = urls_of(again, "1.example"), urls_of(shard, "1.example")
    assert [url for url in first if not url.endswith("due")] == second
    assert "http://1.example/due" in first
    assert again.site("1.example").queue.num_held == 1


def test_a_replayed_visit_takes_its_url_out_of_the_queue_wherever_it_is() -> None:
    queues = UrlQueues()
    for number in range(5):
        queues.put("a.example", QueuedUrl(f"http://a.example/{number}", 1))
    assert queues.take("a.example", "page", "http://a.example/3", 1)
    assert not queues.take("a.example", "page", "http://a.example/3", 1)
    assert not queues.take("b.example", "page", "http://a.example/2", 1)
    assert [row["url"][-1] for row in queues.rows()] == ["0", "1", "2", "4"]


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from("abc"), st.integers(0, 1), st.text(max_size=2))))
def test_links_are_sorted_as_python_sorts(links: list[tuple[int, str, int, str]]) -> None:
    links = [(*link[:3], link[3].encode("utf-8", "ignore").decode()) for link in links]
    queues = UrlQueues()
    assert list(queues.sorted_links(links)) == sorted(links)
    assert list(queues.sorted_links(links[:3])) == sorted(links[:3])
    queues.close()


def test_the_disk_of_the_worker_is_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    queues = UrlQueues()
    for number in range(20_000):
        queues.put("a.example", QueuedUrl(f"http://a.example/{number}" + "x" * 1000, 0))
    assert list(tmp_path.iterdir()) == []  # nobody has to clean up after a kill
    queues.close()


def test_order_of_arrival_between_sites_does_not_matter() -> None:
    links = [
        Sent(Found(f"http://example.com/{number % 7}", number % 3, 0), f"http://via.example/{number}")
        for number in range(40)
    ]
    links += [
        Sent(Found(f"http://example.org/{number % 5}", 1, 0), f"http://via.example/{number}") for number in range(40)
    ]
    results = []
    for seed in range(3):
        shard = state()
        random.Random(seed).shuffle(links)
        shard.receive(links)
        results.append((list(shard.rest()), list(shard.refused())))
    assert results[0] == results[1] == results[2]
    queued, refused = results[0]
    assert len(queued) == 7
    assert [(visit.url[-1], visit.verdict) for visit in refused] == [(str(each), "out_of_scope") for each in range(5)]


def test_refusals_that_a_killed_attempt_has_noted_are_not_noted_again() -> None:
    links = [Sent(Found(f"http://example.org/{number}", 1, 0), "http://via.example/") for number in range(5)]
    killed, resumed = state(), state()
    killed.receive(links)
    noted = list(killed.refused())
    resumed.receive(links)
    for visit in noted[:2]:
        resumed.replay(visit)
    assert list(resumed.refused()) == noted[2:]


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


def test_extensions_may_be_written_with_their_dot() -> None:
    scope = Scope(ScopeConfig(within="any", skip_extensions=(".PDF", "doc")), [], AddressGuard((), (80,)))
    refused = [scope.refuses(url, url_parts(url), 0) for url in ("http://a.example/x.pdf", "http://a.example/x.doc")]
    assert refused == ["extension", "extension"]


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
