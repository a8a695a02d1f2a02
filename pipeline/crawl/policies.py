"""Asks the origins of a site what they allow: robots.txt, and tdmrep.json beside it."""

import time

from pipeline.crawl import bodies, optout, responses, robots, warc
from pipeline.crawl.archive import Archive
from pipeline.crawl.config import CrawlConfig
from pipeline.crawl.fetch import Fetcher, FetchError
from pipeline.crawl.ledger import RobotsVisit
from pipeline.crawl.politeness import retry_after_seconds
from pipeline.crawl.sites import Policy, Site
from pipeline.crawl.state import ShardState
from pipeline.crawl.turns import take_turn
from pipeline.crawl.warc import Exchange
from pipeline.urls import UrlParts, canonical_url

_MAX_REDIRECTS = 5


class Policies:
    """The policies of all origins of a shard, asked for when they are first needed, and again when they are too old."""

    def __init__(self, state: ShardState, archive: Archive, fetcher: Fetcher, deadline: float) -> None:
        self._config: CrawlConfig = state.config
        self._state = state
        self._archive = archive
        self._fetcher = fetcher
        self._deadline = deadline

    async def of(self, site: Site, parts: UrlParts) -> Policy:
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
            strikes=site.pace.strikes,
            pause_until=site.pace.next_allowed,
        )
        self._archive.append(
            b"".join(warc.exchange_records(each, [("robots", access)]) for each in exchanges), visit, now
        )
        return self._state.learn(visit)

    async def _robots(self, site: Site, url: str) -> tuple[int | None, bytes, list[Exchange]]:
        """Status and body of a robots.txt after up to five redirects, and all answers on the way. Redirects may leave the site.

        Raises:
            FetchError: the address of the origin itself is refused. One that a redirect leads to just cannot be had.
        """
        exchanges: list[Exchange] = []
        for _ in range(_MAX_REDIRECTS + 1):
            try:
                exchange = await self._small(site, url)
            except FetchError:
                if not exchanges:
                    raise
                exchange = None
            if exchange is None:
                return None, b"", exchanges
            exchanges.append(exchange)
            judged = responses.judge_page(exchange, self._config, skipped=True)
            if judged.verdict != "redirect":
                content = self._start_of(exchange)
                return (exchange.status if content is not None else None), content or b"", exchanges
            url = judged.detail
        return 404, b"", exchanges

    async def _tdm(self, site: Site, origin: str) -> bytes:
        if not self._config.opt_out.tdm_reservation:
            return b""
        exchange = await self._small(site, canonical_url(origin + optout.TDM_PATH))
        return (self._start_of(exchange) or b"") if exchange is not None and exchange.status == 200 else b""

    async def _small(self, site: Site, url: str) -> Exchange | None:
        """The answer to a request for one of the files that every site may have; None if there is none."""
        await take_turn(site, self._deadline)
        started = time.time()
        try:
            exchange = (
                await self._fetcher.get(url, lambda status, content_type: self._config.limits.robots_bytes, cut=True)
            ).exchange
        except FetchError as error:
            self._state.stats[f"error/{error.reason}"] += 1
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

    def _start_of(self, exchange: Exchange) -> bytes | None:
        return bodies.decoded_start(
            exchange.body, exchange.header("content-encoding"), self._config.limits.robots_bytes
        )
