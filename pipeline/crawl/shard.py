"""Crawls one shard of whole registrable domains for one round, in one event loop.

One coroutine works on a site, so that politeness needs no shared state. What comes of a URL is written to
the archive and its ledger first and changes the state second.
"""

import asyncio
import time
from collections.abc import Sequence

from pipeline.crawl.archive import Archive
from pipeline.crawl.config import CrawlConfig
from pipeline.crawl.fetch import Fetcher, FetchError
from pipeline.crawl.ledger import Visit
from pipeline.crawl.policies import Policies
from pipeline.crawl.previous import Earlier
from pipeline.crawl.queues import QueuedUrl
from pipeline.crawl.sites import Policy, Site
from pipeline.crawl.state import ShardState
from pipeline.crawl.turns import OutOfTime, take_turn
from pipeline.crawl.visits import Visitor
from pipeline.urls import url_parts


class ShardCrawler:
    """One round of one shard. `quota` bounds its requests for pages, `level` the depth of the URLs that have their turn."""

    def __init__(
        self,
        state: ShardState,
        archive: Archive,
        *,
        quota: int | None = None,
        level: int | None = None,
        earlier: Earlier | None = None,
    ) -> None:
        self.state = state
        self.num_active = 0
        self._config: CrawlConfig = state.config
        self._archive = archive
        self._quota = quota
        self._level = level
        self._earlier = earlier
        self.deadline = time.time() + state.config.limits.round_seconds

    async def run(self, *, resumed: bool) -> None:
        """Works on all sites until nothing is left to do or the round is over."""
        for visit in self.state.refused():
            self._archive.append(b"", visit, time.time())
        busy = [site for site in self.state.sites.values() if site.queue.num_ready]
        if resumed:  # nobody knows when the killed attempt asked last
            for site in self.state.sites.values():
                site.pace.next_allowed = max(site.pace.next_allowed, time.time() + site.pace.delay)
        self._share_quota(sorted(busy, key=lambda site: site.domain))
        busy.sort(key=lambda site: (-site.queue.num_ready, site.domain))
        gate = asyncio.Semaphore(self._config.limits.domains)
        async with Fetcher(self._config) as fetcher, asyncio.TaskGroup() as group:
            self._policies = Policies(self.state, self._archive, fetcher, self.deadline)
            self._visitor = Visitor(self.state, self._archive, fetcher, self._earlier)
            for site in busy:
                await gate.acquire()
                group.create_task(self._work(site)).add_done_callback(lambda _: gate.release())

    def _share_quota(self, busy: Sequence[Site]) -> None:
        """Shares the quota of the shard out evenly among its sites."""
        left = self._quota
        for place, site in enumerate(busy):
            if left is not None:
                site.queue.room = min(site.queue.room, -(-left // (len(busy) - place)))
                left -= site.queue.room

    async def _work(self, site: Site) -> None:
        """Serial loops over the queue of a site, one a connection, as long as they get anywhere."""
        self.num_active += 1
        try:
            num_visits = -1
            while num_visits != site.num_visits:
                num_visits = site.num_visits
                loops = [self._loop(site) for _ in range(self._config.politeness.connections_per_domain)]
                ends = [end for end in await asyncio.gather(*loops, return_exceptions=True) if end is not None]
                for end in ends:
                    if not isinstance(end, OutOfTime):
                        raise end
                if ends:
                    break
        finally:
            self.num_active -= 1
            site.policies.clear()  # parsed again where they are needed again

    async def _loop(self, site: Site) -> None:
        while site.requests_now < site.queue.room and time.time() < self.deadline:
            turn = self.state.next_turn(site, self._level)
            if turn is None:
                return
            try:
                await self._visit(site, turn.entry)
            except BaseException:
                self.state.put_back(site, turn)
                raise
            await asyncio.sleep(0)  # a long row of URLs that need no request must not keep others waiting

    async def _visit(self, site: Site, entry: QueuedUrl) -> None:
        """Deals with one URL.

        Raises:
            OutOfTime: the URL has to wait for another round.
        """
        parts = url_parts(entry.url)
        if site.given_up:
            self._visitor.record(site, _visit_of(entry, "site_failed"))
            return
        if entry.kind == "page" and site.patterns.is_endless(parts):
            self._visitor.record(site, _visit_of(entry, "trap/same_payload"))
            return
        if entry.kind == "sitemap" and site.num_sitemaps >= self._config.limits.sitemaps:
            self._visitor.record(site, _visit_of(entry, "too_many_sitemaps"))  # an index may list any number
            return
        try:
            policy = await self._policies.of(site, parts)
        except FetchError as error:
            self._visitor.record(site, _visit_of(entry, f"error/{error.reason}", error.detail))
            return
        if policy.visit.access == "defer":
            self._hold(site, entry, policy)
            return
        verdict, detail = policy.refuses(parts.target, self._config)
        if verdict:
            self._visitor.record(site, _visit_of(entry, verdict, detail))
            return
        await take_turn(site, self.deadline)
        await self._visitor.fetch(site, _visit_of(entry, requested=True))

    def _hold(self, site: Site, entry: QueuedUrl, policy: Policy) -> None:
        """Holds a URL back while its robots.txt cannot be had; after the last try it is disallowed."""
        if policy.visit.tries < self._config.politeness.tries:
            held = entry._replace(not_before=policy.visit.retry_at, reason="robots_unreachable")
            self.state.put(site.domain, held, held=True)
        else:
            detail = f"status {policy.visit.status}" if policy.visit.status else "no answer"
            self._visitor.record(site, _visit_of(entry, "robots_unreachable", detail))


def _visit_of(entry: QueuedUrl, verdict: str = "", detail: str = "", *, requested: bool = False) -> Visit:
    """A visit to a queued URL, now; one that is requested gets its verdict later."""
    return Visit(
        url=entry.url,
        verdict=verdict,
        detail=detail,
        kind=entry.kind,
        depth=entry.depth,
        hops=entry.hops,
        via=entry.via,
        tries=entry.tries,
        requested=requested,
        at=time.time(),
    )
