"""A finished crawl under a larger budget goes on where it stopped, and comes to what one with that budget comes to."""

import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jobs.budgets import has_grown
from jobs.crawl import BUDGETS
from pipeline import manifests
from pipeline.crawl.config import CrawlConfig, ScopeConfig
from pipeline.crawl.ledger import Event, Part
from pipeline.manifests import Manifest, damaged_files, read_manifest
from pipeline.steps import Step
from tests.crawl.crawling import config_for, crawled, rows_of, verdicts_of
from tests.crawl.test_trap_site import trap_config
from tests.site.server import Server, serving
from tests.site.traps import serving_traps
from tests.site.tree import TreeSite

HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3")


def set_to(config: CrawlConfig, budgets: dict[str, int | None]) -> CrawlConfig:
    """`config` with budgets, by the last part of their names."""
    limits, scope = config.limits, config.scope
    if "pages_per_domain" in budgets:
        limits = replace(limits, pages_per_domain=budgets["pages_per_domain"] or 1)
    if "max_depth" in budgets:
        scope = replace(scope, max_depth=budgets["max_depth"])
    return replace(config, limits=limits, scope=scope, max_pages=budgets.get("max_pages", config.max_pages))


def asked_for(server: Server) -> Counter[str]:
    """How often each page was asked for."""
    return Counter(access.host + access.path for access in server.log if access.path.startswith("/page"))


def outcome(run: Path) -> dict[str, Any]:
    """All that a crawl came to, but for times and the places of records."""
    manifest = read_manifest(str(run / "pages"))
    ledger = rows_of(run, "pages/ledger")
    return {
        "fingerprint": manifest.fingerprint,
        "content": manifest.content,
        "settings": manifest.settings,
        "counts": {name: number for name, number in manifest.counts.items() if name != "rounds"},
        "ledger": {row["url"]: (row["verdict"], row["detail"], row["depth"], row["via"]) for row in ledger},
        "rejected": rows_of(run, "rejected/pages"),
    }


def assert_whole(run: Path) -> None:
    """Everything that the manifests name is there and nothing else is, and no URL has two verdicts."""
    for folder in ("pages", "rejected/pages"):
        assert not list(damaged_files(str(run / folder)))
        named = {run / folder / entry.path for entry in read_manifest(str(run / folder)).files}
        assert {path for path in (run / folder).rglob("*") if path.is_file()} == {
            *named,
            run / folder / "manifest.json",
        }
    urls = [(row["kind"], row["url"]) for row in rows_of(run, "pages/ledger")]
    assert len(urls) == len(set(urls))
    assert not (run / "attempts/pages").exists()


def exactly(*row: Any, slow: bool = True) -> Any:
    return pytest.param(*row, marks=pytest.mark.slow if slow else ())


# Where the larger crawl comes to exactly what one from the start comes to: hosts, settings that stay, and the budgets one after
# the other.
EXACT = [
    # one site: its queue has one order
    exactly(1, {}, [{"max_pages": 7}, {"max_pages": 18}, {"max_pages": None}]),
    exactly(1, {"pages_per_domain": 30}, [{"max_pages": 7}, {"max_pages": 18}]),
    exactly(1, {}, [{"pages_per_domain": 7}, {"pages_per_domain": 18}]),
    exactly(1, {}, [{"max_depth": 1}, {"max_depth": 3}]),
    exactly(1, {"max_pages": 11}, [{"max_depth": 1}, {"max_depth": 3}]),
    exactly(1, {}, [{"max_depth": 1, "max_pages": 2}, {"max_depth": 3, "max_pages": 9}], slow=False),
    exactly(1, {}, [{"max_depth": 0}, {"max_depth": None}]),
    # several: nothing is missing in the end
    exactly(3, {}, [{"max_pages": 7}, {"max_pages": 1000}]),
    exactly(3, {}, [{"max_pages": 7}, {"max_pages": 20}, {"max_pages": None}]),
    exactly(3, {}, [{"pages_per_domain": 4}, {"pages_per_domain": 1000}]),
    exactly(3, {}, [{"max_depth": 0}, {"max_depth": 2}, {"max_depth": 4}]),
    exactly(3, {}, [{"max_depth": 1, "max_pages": 4}, {"max_depth": 3, "max_pages": 500}]),
    # nothing was missing before
    exactly(3, {}, [{"max_pages": 500}, {"max_pages": 501}]),
]


def config_of(server: Server, hosts: int) -> CrawlConfig:
    scope = ScopeConfig(within="any" if hosts > 1 else "domain")
    return config_for(server, [server.url("/")], scope=scope, ports=(server.port,))


@pytest.mark.parametrize(("hosts", "fixed", "budgets"), EXACT)
def test_larger_crawl_is_that_from_the_start(
    tmp_path: Path, hosts: int, fixed: dict[str, int], budgets: list[dict[str, int | None]]
) -> None:
    site = TreeSite(HOSTS[:hosts], 22)
    with serving(site.answer, HOSTS[:hosts]) as server:
        config = set_to(config_of(server, hosts), dict(fixed))
        crawled(tmp_path / "whole", set_to(config, budgets[-1]))
        server.log.clear()
        for budget in budgets:
            crawled(tmp_path / "grown", set_to(config, budget))
            assert_whole(tmp_path / "grown")
        assert max(asked_for(server).values()) == 1
        assert not (tmp_path / "grown/replaced").exists()
        whole, grown = outcome(tmp_path / "whole"), outcome(tmp_path / "grown")
        if hosts > 1:  # which page was the first to link to another site depends on the rounds
            for each in (whole, grown):
                each["ledger"] = {url: row[:2] for url, row in each["ledger"].items()}
        assert grown == whole
        crawled(tmp_path / "grown", set_to(config, budgets[-1]))
        assert max(asked_for(server).values()) == 1, "it is up to date"


@pytest.mark.parametrize("budgets", [(2, 11, 30), pytest.param((1, 2, 3, 17, 18, 80), marks=pytest.mark.slow)])
def test_nothing_is_lost_and_nothing_asked_for_twice(tmp_path: Path, budgets: tuple[int, ...]) -> None:
    """Of several sites, where the larger budget does not do for all: which pages it went to depends on the smaller ones."""
    site = TreeSite(HOSTS, 40)
    earlier: dict[str, str] = {}
    with serving(site.answer, HOSTS) as server:
        for max_pages in budgets:
            manifest = crawled(tmp_path, replace(config_of(server, 3), max_pages=max_pages))
            verdicts = verdicts_of(tmp_path)
            fetched = {url: verdict for url, verdict in verdicts.items() if verdict == "page"}
            assert len(fetched) == manifest.counts["kept"] == manifest.counts["requests"] == max_pages
            assert earlier.keys() <= fetched.keys()
            assert set(verdicts.values()) == {"page", "deferred:"}
            assert_whole(tmp_path)
            earlier = fetched
        assert max(asked_for(server).values()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("max_pages", [5, 60])
def test_site_full_of_traps_has_the_same_verdicts(tmp_path: Path, max_pages: int) -> None:
    """Its failures pass by themselves, and its calendars are found in the same order, whatever the rounds."""
    with serving_traps() as (site, server):
        config = trap_config(server)
        crawled(tmp_path, replace(config, max_pages=max_pages))
        crawled(tmp_path, config)
        expected, found = site.expected(server), verdicts_of(tmp_path)
        assert {url: found.get(url) for url in expected} == expected


@pytest.mark.parametrize("first", [pytest.param(first, marks=pytest.mark.slow) for first in (1, 4, 9)])
def test_one_that_is_ended_in_the_middle_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int) -> None:
    """In a round after `first` events, and again while the index is made; in between, the smaller budget is not made anew."""
    site = TreeSite(HOSTS, 12)
    done: list[Event] = []
    append = Part.append

    def ends(self: Part, records: bytes, event: Event) -> None:
        if len(done) == first:
            raise KeyError("the end")
        done.append(event)
        append(self, records, event)

    with serving(site.answer, HOSTS) as server:
        config = config_of(server, 3)
        whole = crawled(tmp_path / "whole", config)
        server.log.clear()
        run = tmp_path / "run"
        crawled(run, replace(config, max_pages=9))
        for owner, name, change, said in (
            (Part, "append", ends, "the end"),
            (Step, "commit", _raising_for(Step.commit, "pages"), "pages"),
        ):
            monkeypatch.setattr(owner, name, change)
            with pytest.raises(Exception, match=said):
                crawled(run, config)
            monkeypatch.undo()
            assert not (run / "pages/manifest.json").exists()
        assert crawled(run, config).content == whole.content
        assert_whole(run)
        assert outcome(run)["fingerprint"] == whole.fingerprint
        assert outcome(run)["counts"] == outcome(tmp_path / "whole")["counts"]
        assert sum(asked_for(server).values()) <= len(asked_for(server)) + 3, "more than the requests under way"


def _raising_for(commit: Any, name: str) -> Any:
    def raising(self: Step, *args: Any, **more: Any) -> Manifest:
        if self.name == name:
            raise KeyError(name)
        made: Manifest = commit(self, *args, **more)
        return made

    return raising


def test_rounds_are_a_budget_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`max_rounds` is in no fingerprint: a crawl that ended for it goes on, one that ended by itself is up to date."""
    site = TreeSite(HOSTS, 12)
    with serving(site.answer, HOSTS) as server:
        config = config_of(server, 3)
        assert crawled(tmp_path, replace(config, max_rounds=1)).counts["cut_short"] == 1
        few = crawled(tmp_path, replace(config, max_rounds=1))
        assert "up to date" in capsys.readouterr().err
        whole = crawled(tmp_path, config)
        assert "under a larger budget (crawl.max_rounds)" in capsys.readouterr().err
        assert few.counts["kept"] < whole.counts["kept"] == len(site.urls(server)) - 2
        assert max(asked_for(server).values()) == 1
        assert crawled(tmp_path, replace(config, max_rounds=2000)) == whole


def test_a_crawl_goes_on_whose_clock_was_years_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site, ahead = TreeSite(HOSTS[:1], 12), time.time() + 4e8
    with serving(site.answer) as server:
        config = config_of(server, 1)
        monkeypatch.setattr(time, "time", lambda: ahead)
        crawled(tmp_path, replace(config, max_pages=3))
        monkeypatch.undo()
        assert crawled(tmp_path, replace(config, max_pages=9)).counts["kept"] == 9


def test_pages_of_a_version_that_kept_no_frontier_are_set_aside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = TreeSite(HOSTS[:1], 12)
    with serving(site.answer) as server:
        config = config_of(server, 1)
        manifest = crawled(tmp_path, replace(config, max_pages=3))
        counts = {name: number for name, number in manifest.counts.items() if name not in ("requests", "cut_short")}
        manifests.write_manifest(str(tmp_path / "pages"), replace(manifest, counts=counts))
        assert crawled(tmp_path, replace(config, max_pages=5)).counts["kept"] == 5
        assert "(crawl.max_pages 3 → 5; it kept no frontier to go on from)" in capsys.readouterr().err
        assert (tmp_path / "replaced/pages-1/pages/manifest.json").exists()


OLD: dict[str, Any] = {"max_pages": 10, "limits": {"pages_per_domain": 5, "links": 9}, "scope": {"max_depth": None}}
GROWN = [
    ({"max_pages": 11}, {}, True),
    ({"max_pages": None}, {}, True),  # no limit
    ({"max_pages": 9}, {}, False),
    ({"max_pages": 11, "scope": {"max_depth": 3}}, {}, False),  # one is larger, one smaller
    ({"max_pages": 11, "limits": {"pages_per_domain": 6, "links": 9}}, {}, True),
    ({"max_pages": 11, "limits": {"pages_per_domain": 5, "links": 10}}, {}, False),  # links is no budget
    ({"max_pages": 11}, {"external": {"seeds": "other"}}, False),
    ({"max_pages": 11}, {"versions": {"library": "2"}}, False),
]


@pytest.mark.parametrize(("change", "more", "expected"), GROWN)
def test_only_budgets_may_differ_and_only_grow(
    tmp_path: Path, change: dict[str, Any], more: dict[str, Any], expected: bool
) -> None:
    step = Step(run=str(tmp_path), name="pages", outputs=("pages", "rejected/pages"), settings=OLD)
    wanted = replace(step, settings=OLD | change, **more)
    assert not has_grown(wanted, BUDGETS), "nothing is there"
    for output in step.outputs:
        made = Manifest(kind=output, fingerprint=step.fingerprint(), settings=OLD)
        manifests.write_manifest(step.folder(output), made)
    assert has_grown(wanted, BUDGETS) == expected
