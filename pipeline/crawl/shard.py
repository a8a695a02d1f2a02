"""Crawls one shard of whole registrable domains for one round, in one event loop.

One coroutine works on a site, so that politeness needs no shared state. What comes of a URL is written to
the archive and its ledger first and changes the state second.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from pipeline.crawl import bodies, optout, responses, robots, warc
from pipeline.crawl.archive import Archive
from pipeline.crawl.config import CrawlConfig
from pipeline.crawl.fetch import Answer, Fetcher, FetchError
from pipeline.crawl.frontier import QueuedUrl
from pipeline.crawl.ledger import Found, RobotsVisit, Visit
from pipeline.crawl.politeness import retry_after_seconds
from pipeline.crawl.previous import Earlier
from pipeline.crawl.responses import Judged
from pipeline.crawl.sites import Policy, Site
from pipeline.crawl.state import ShardState
from pipeline.crawl.warc import Exchange
from pipeline.records import page_id_of_digest, payload_digest
from pipeline.urls import UrlParts, canonical_url, url_parts

_ROBOTS_REDIRECTS = 5


class OutOfTime(Exception):
    """The site may not be asked again before the round ends."""


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
        for visit in self.state.refused.values():
            self._archive.append(b"", visit, time.time())
        busy = [site for site in self.state.sites.values() if site.queue.urls]
        if resumed:  # nobody knows when the killed attempt asked last
            for site in self.state.sites.values():
                site.pace.next_allowed = max(site.pace.next_allowed, time.time() + site.pace.delay)
        self._share_quota(sorted(busy, key=lambda site: site.domain))
        busy.sort(key=lambda site: (-len(site.queue.urls), site.domain))
        gate = asyncio.Semaphore(self._config.limits.domains)
        async with Fetcher(self._config) as self._fetcher, asyncio.TaskGroup() as group:
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

    # --- one site -------------------------------------------------------------------------------------

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

    async def _loop(self, site: Site) -> None:
        waiting: list[QueuedUrl] = []
        try:
            while site.queue.urls and site.requests_now < site.queue.room and time.time() < self.deadline:
                entry = site.queue.urls.popleft()
                if (self._level is not None and entry.depth > self._level) or entry.not_before > time.time():
                    waiting.append(entry)
                    continue
                try:
                    await self._visit(site, entry)
                except BaseException:
                    waiting.append(entry)
                    raise
        finally:
            site.queue.urls.extendleft(reversed(waiting))

    async def _visit(self, site: Site, entry: QueuedUrl) -> None:
        """Deals with one URL.

        Raises:
            OutOfTime: the URL has to wait for another round.
        """
        parts = url_parts(entry.url)
        visit = Visit(
            url=entry.url,
            verdict="",
            kind=entry.kind,
            depth=entry.depth,
            hops=entry.hops,
            via=entry.via,
            tries=entry.tries,
            at=time.time(),
        )
        if site.given_up:
            self._record(site, replace(visit, verdict="site_failed"))
            return
        if entry.kind == "page" and site.patterns.is_endless(parts):
            self._record(site, replace(visit, verdict="trap/same_payload"))
            return
        try:
            policy = await self._policy(site, parts)
        except FetchError as error:
            self._record(site, replace(visit, verdict=f"error/{error.reason}", detail=error.detail))
            return
        if policy.visit.access == "defer":
            self._hold(site, entry, visit, policy)
            return
        verdict, detail = policy.refuses(parts.target, self._config)
        if verdict:
            self._record(site, replace(visit, verdict=verdict, detail=detail))
            return
        await self._turn(site)
        await self._fetch(site, replace(visit, requested=True, at=time.time()))

    def _hold(self, site: Site, entry: QueuedUrl, visit: Visit, policy: Policy) -> None:
        """Holds a URL back while its robots.txt cannot be had; after the last try it is disallowed."""
        if policy.visit.tries < self._config.politeness.tries:
            site.queue.held.append(entry._replace(not_before=policy.visit.retry_at, reason="robots_unreachable"))
        else:
            self._record(
                site,
                replace(
                    visit,
                    verdict="robots_unreachable",
                    detail=f"status {policy.visit.status}" if policy.visit.status else "no answer",
                ),
            )

    async def _turn(self, site: Site) -> None:
        """Waits until the site may be asked, and marks the start of a request.

        Raises:
            OutOfTime: that is after the end of the round, or never in it.
        """
        while True:
            now = time.time()
            wait = site.pace.next_allowed - now
            if site.pace.retired or site.pace.too_slow or now + wait > self.deadline:
                raise OutOfTime
            if wait <= 0:
                site.pace.started(now)
                return
            await asyncio.sleep(wait)

    def _record(self, site: Site, visit: Visit, records: bytes = b"") -> None:
        self._archive.append(records, visit, time.time())
        self.state.apply(site, visit)

    # --- pages and sitemaps -----------------------------------------------------------------------------

    async def _fetch(self, site: Site, visit: Visit) -> None:
        conditions = self._earlier.conditions(visit.url) if self._earlier and visit.kind == "page" else {}
        try:
            answer = await self._fetcher.get(visit.url, self._limit_of(visit.kind), conditions)
        except FetchError as error:
            self._failed(site, visit, error)
        else:
            self._answered(site, visit, answer)

    def _limit_of(self, kind: str) -> Callable[[int, str], int]:
        if kind == "sitemap":
            return lambda status, content_type: self._config.limits.sitemap_bytes
        return lambda status, content_type: responses.body_limit(status, content_type, self._config)

    def _failed(self, site: Site, visit: Visit, error: FetchError) -> None:
        now = time.time()
        site.pace.finished(now, now - visit.at)
        self.state.stats[f"error/{error.reason}"] += 1
        if error.retry:
            site.pace.failed(now)
            if visit.tries + 1 < self._config.politeness.tries:
                self._record(site, replace(visit, verdict="retry", detail=error.reason))
                return
        self._record(
            site,
            replace(visit, verdict=f"error/{error.reason}", detail=error.detail, id=page_id_of_digest(visit.url, "")),
        )

    def _answered(self, site: Site, visit: Visit, answer: Answer) -> None:
        exchange = answer.exchange
        site.pace.finished(time.time(), exchange.seconds)
        self.state.stats.update(responses=1, bytes=len(exchange.body))
        if visit.kind == "sitemap":
            judged = responses.judge_sitemap(exchange, self._config)
        else:
            judged = responses.judge_page(exchange, self._config, skipped=answer.skipped)
        visit = replace(visit, status=exchange.status)
        if judged.retry:
            self._busy(site, visit, judged, exchange)
            return
        site.pace.succeeded()
        site.failed_rounds = 0
        if judged.verdict == "not_modified":
            self._unchanged(site, visit, exchange)
        elif judged.verdict == "page":
            self._page(site, visit, judged, exchange)
        else:
            self._other(site, self._followed(site, visit, judged), judged, exchange)

    def _busy(self, site: Site, visit: Visit, judged: Judged, exchange: Exchange) -> None:
        """A 429 or a 5xx: the site is left alone for longer, the URL comes back in a later round."""
        now = time.time()
        self.state.stats[f"error/{judged.verdict}"] += 1
        if judged.overloaded:
            site.pace.overloaded(now, retry_after_seconds(exchange.header("retry-after"), now))
        else:
            site.pace.failed(now)
        again = visit.tries + 1 < self._config.politeness.tries
        visit = (
            replace(visit, verdict="retry", detail=judged.verdict) if again else replace(visit, verdict=judged.verdict)
        )
        self._other(site, visit, judged, exchange)

    def _followed(self, site: Site, visit: Visit, judged: Judged) -> Visit:
        """The visit with its verdict and the new URLs that it led to. A redirect leads to a URL of the same depth."""
        redirect = judged.verdict == "redirect"
        depth, hops = (visit.depth, visit.hops + 1) if redirect else (visit.depth + 1, 0)
        links = [Found(url, depth, hops) for url in judged.links]
        for url in judged.sitemaps:
            if (
                self.state.domain_of(url) == site.domain
                and site.num_sitemaps < self._config.limits.sitemaps
                and hops <= _ROBOTS_REDIRECTS
            ):
                links.append(Found(url, visit.depth, hops, "sitemap"))
        found, sent = self.state.sort(site, links, visit.url)
        return replace(visit, verdict=judged.verdict, detail=judged.detail, found=found, sent=sent)

    def _page(self, site: Site, visit: Visit, judged: Judged, exchange: Exchange) -> None:
        """Archives a page; the same payload is stored once."""
        digest = payload_digest(judged.payload)
        visit = replace(
            self._followed(site, visit, judged), id=page_id_of_digest(visit.url, digest), digest=digest, length=len(judged.payload),
            media_type=judged.media_type, charset=judged.charset, etag=exchange.header("etag"), last_modified=exchange.header("last-modified"),
        )  # fmt: skip
        known = self.state.payloads.get(digest)
        if known is not None:
            records = warc.revisit_records(
                exchange,
                _about(visit),
                profile=warc.REVISIT_IDENTICAL,
                refers_to=known.url,
                refers_to_date=known.date,
                digest=known.warc_digest,
            )
            self._record(
                site, replace(visit, file=known.file, offset=known.offset, warc_digest=known.warc_digest), records
            )
            return
        file, offset = self._archive.place(time.time())
        records = warc.exchange_records(exchange, _about(visit))
        self._record(
            site, replace(visit, file=file, offset=offset, warc_digest=warc.block_digest(exchange.body)), records
        )

    def _unchanged(self, site: Site, visit: Visit, exchange: Exchange) -> None:
        """A 304: the record of the earlier run is copied, so that this run stands by itself, and a revisit record says so."""
        before = self._earlier.find(visit.url) if self._earlier else None
        if before is None or self._earlier is None:
            self._record(site, replace(visit, verdict="status/304", id=page_id_of_digest(visit.url, "")))
            return
        record, answer = self._earlier.read(visit.url, before)
        judged = responses.judge_page(answer, self._config, skipped=False)
        visit = self._followed(site, visit, judged)
        if judged.verdict != "page":  # the settings are stricter than those of the earlier run
            self._other(site, visit, judged, exchange)
            return
        file, offset = self._archive.place(time.time())
        visit = replace(
            visit, verdict="not_modified", id=before.id, digest=before.digest, length=before.length, media_type=before.media_type,
            charset=before.charset, etag=before.etag, last_modified=before.last_modified, file=file, offset=offset, warc_digest=before.warc_digest,
        )  # fmt: skip
        revisit = warc.revisit_records(
            exchange,
            _about(visit),
            profile=warc.REVISIT_UNCHANGED,
            refers_to=visit.url,
            refers_to_date=before.date,
            digest=before.warc_digest,
        )
        self._record(site, visit, record + revisit)

    def _other(self, site: Site, visit: Visit, judged: Judged, exchange: Exchange) -> None:
        """Archives what is no page. Bodies that nobody may or need keep stay out."""
        visit = replace(visit, id=page_id_of_digest(visit.url, payload_digest(exchange.body) if exchange.body else ""))
        pack = warc.exchange_records if judged.keep_body else warc.request_records
        self._record(site, visit, pack(exchange, _about(visit)))

    # --- robots.txt and tdmrep.json -----------------------------------------------------------------------

    async def _policy(self, site: Site, parts: UrlParts) -> Policy:
        """What the origin of a URL allows, asked for if need be.

        Raises:
            FetchError: its address is refused; there is nothing to ask.
            OutOfTime: it may not be asked in this round.
        """
        async with site.lock:
            policy = site.policy(parts.origin, time.time())
            return policy if policy is not None else await self._ask(site, parts.origin)

    async def _ask(self, site: Site, origin: str) -> Policy:
        status, content, exchanges = await self._robots(site, canonical_url(origin + "/robots.txt"))
        access = robots.access(status, forbidden=self._config.robots_forbidden)
        before = site.visits.get(origin)
        tries = before.tries + 1 if before is not None and before.access == "defer" else 1
        politeness = self._config.politeness
        if access == "defer" and tries >= politeness.tries and self._config.robots_unreachable == "allow":
            access = "allow"
        if access == "parse":
            site.slow_down(content)
        tdm = await self._tdm(site, origin) if access in ("parse", "allow") and not site.pace.too_slow else b""
        now = time.time()
        visit = RobotsVisit(
            origin=origin,
            domain=site.domain,
            access=access,
            status=status or 0,
            content=content.decode("latin-1") if access == "parse" else "",
            tdm=tdm.decode("latin-1"),
            at=now,
            tries=tries,
            retry_at=now + politeness.retry_seconds * 2.0 ** (tries - 1) if access == "defer" else 0.0,
        )
        self._archive.append(
            b"".join(warc.exchange_records(each, [("robots", access)]) for each in exchanges), visit, now
        )
        return self.state.learn(visit)

    async def _robots(self, site: Site, url: str) -> tuple[int | None, bytes, list[Exchange]]:
        """Status and body of a robots.txt after up to five redirects, and all answers on the way. Redirects may leave the site."""
        exchanges: list[Exchange] = []
        for _ in range(_ROBOTS_REDIRECTS + 1):
            exchange = await self._small(site, url)
            if exchange is None:
                return None, b"", exchanges
            exchanges.append(exchange)
            judged = responses.judge_page(exchange, self._config, skipped=True)
            if judged.verdict != "redirect":
                return exchange.status, self._start_of(exchange), exchanges
            url = judged.detail
        return 404, b"", exchanges

    async def _tdm(self, site: Site, origin: str) -> bytes:
        if not self._config.opt_out.tdm_reservation:
            return b""
        exchange = await self._small(site, canonical_url(origin + optout.TDM_PATH))
        return self._start_of(exchange) if exchange is not None and exchange.status == 200 else b""

    async def _small(self, site: Site, url: str) -> Exchange | None:
        """The answer to a request for one of the files that every site may have; None if there is none."""
        await self._turn(site)
        started = time.time()
        try:
            exchange = (
                await self._fetcher.get(url, lambda status, content_type: self._config.limits.robots_bytes, cut=True)
            ).exchange
        except FetchError as error:
            self.state.stats[f"error/{error.reason}"] += 1
            if error.reason == "address_refused":
                raise
            site.pace.finished(time.time(), time.time() - started)
            site.pace.failed(time.time())
            return None
        now = time.time()
        site.pace.finished(now, exchange.seconds)
        if exchange.status in (429, 503):
            site.pace.overloaded(now, retry_after_seconds(exchange.header("retry-after"), now))
        return exchange

    def _start_of(self, exchange: Exchange) -> bytes:
        return bodies.decoded_start(
            exchange.body, exchange.header("content-encoding"), self._config.limits.robots_bytes
        )


def _about(visit: Visit) -> warc.Headers:
    """The fields of a metadata record."""
    return [
        ("via", visit.via),
        ("hopsFromSeed", str(visit.depth)),
        ("verdict", visit.verdict),
        ("detail", visit.detail),
        ("robots", "allowed"),
        ("ai-opt-out", visit.detail if visit.verdict == "opt_out" else "none"),
        ("charset", visit.charset),
        ("tries", str(visit.tries + 1)),
    ]
