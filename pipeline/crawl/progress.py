"""What a running shard says about itself, in a small file that the driver reads: it works on any engine."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from pipeline import storage
from pipeline.crawl.shard import ShardCrawler
from pipeline.crawl.sites import Site
from pipeline.places import join

_SECONDS = 2.0


class Reporter:
    """Writes the state of one shard every few seconds."""

    def __init__(self, folder: str, shard: str) -> None:
        self._path = join(folder, shard + ".json")
        self._started = time.time()

    async def report(self, crawler: ShardCrawler) -> None:
        """Reports until cancelled."""
        while True:
            self.write(crawler)
            await asyncio.sleep(_SECONDS)

    def write(self, crawler: ShardCrawler) -> None:
        """Reports once."""
        stats, sites = crawler.state.stats, crawler.state.sites.values()
        value = {
            "seconds": time.time() - self._started,
            "active": crawler.num_active,
            "sites": sum(1 for site in sites if len(site.queue)),
            "queued": sum(within_reach(site) for site in sites),
            "deferred": sum(len(site.queue) - within_reach(site) for site in sites),
            "requests": sum(site.requests_now for site in sites),
            "pages": stats["verdict/page"] + stats["verdict/not_modified"],
            "bytes": stats["bytes"],
            "errors": {name[6:]: number for name, number in sorted(stats.items()) if name.startswith("error/")},
            "left_seconds": seconds_left(crawler, time.time() - self._started),
        }
        storage.write_json(self._path, value)


def within_reach(site: Site) -> int:
    """How many of the waiting URLs of a site may still have their turn in this round."""
    if site.pace.retired or site.pace.too_slow:
        return 0
    return max(0, min(site.queue.num_ready, site.queue.room - site.requests_now))


def seconds_left(crawler: ShardCrawler, seconds: float) -> float:
    """How long the round will still take, after `seconds` of it: what the site with the most to wait for needs at its
    pace, or all sites at the rate so far; no longer than to the end of the round."""
    longest, num_left, num_done = 0.0, 0, 0
    for site in crawler.state.sites.values():
        num_done += site.requests_now
        mine = within_reach(site)
        longest = max(longest, mine * site.pace.delay)
        num_left += mine
    at_this_rate = num_left * seconds / num_done if num_done else 0.0
    return max(0.0, min(max(longest, at_this_rate), crawler.deadline - time.time()))


def summary(folder: str) -> dict[str, Any] | None:
    """The states of all shards as one, or None if there is none yet."""
    states = [storage.read_json(path) for path in storage.list_files(folder) if path.endswith(".json")]
    if not states:
        return None
    totals: dict[str, Any] = {
        name: sum(state[name] for state in states)
        for name in ("active", "sites", "queued", "deferred", "requests", "pages", "bytes")
    }
    totals["errors"] = _sum_of(state["errors"] for state in states)
    totals["left_seconds"] = max(state["left_seconds"] for state in states)
    return totals


def _sum_of(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return dict(sorted(total.items()))


def progress_line(totals: Mapping[str, Any], rate: float) -> str:
    """The summary as a line for people."""
    errors = ", ".join(f"{name} {number}" for name, number in totals["errors"].items()) or "none"
    return (
        f"{totals['pages']:,} pages, {totals['bytes'] / 2**20:,.1f} MiB, {rate:,.1f} pages/s · {totals['active']} hosts active · "
        f"{totals['queued']:,} queued, {totals['deferred']:,} deferred · errors: {errors} · {totals['left_seconds']:,.0f} s left at most"
    )
