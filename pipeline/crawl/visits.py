"""One request for a page or a sitemap, and what comes of it: records for the archive, a line for the ledger, new URLs."""

import time
from collections.abc import Callable
from dataclasses import replace

from pipeline.crawl import responses, warc
from pipeline.crawl.archive import Archive
from pipeline.crawl.config import CrawlConfig
from pipeline.crawl.fetch import Answer, Fetcher, FetchError
from pipeline.crawl.ledger import Found, Visit
from pipeline.crawl.politeness import retry_after_seconds
from pipeline.crawl.previous import Earlier
from pipeline.crawl.responses import Judged
from pipeline.crawl.sites import Site
from pipeline.crawl.state import ShardState
from pipeline.crawl.warc import Exchange
from pipeline.records import page_id_of_digest, payload_digest


class Visitor:
    """Visits URLs whose turn has come. Each method ends with exactly one `record` of the visit."""

    def __init__(self, state: ShardState, archive: Archive, fetcher: Fetcher, earlier: Earlier | None) -> None:
        self._config: CrawlConfig = state.config
        self._state = state
        self._archive = archive
        self._fetcher = fetcher
        self._earlier = earlier

    def record(self, site: Site, visit: Visit, records: bytes = b"") -> None:
        """Writes what became of a URL to archive and ledger, then lets it change the state."""
        self._archive.append(records, visit, time.time())
        self._state.apply(site, visit)

    async def fetch(self, site: Site, visit: Visit) -> None:
        """Asks for the URL of `visit` and deals with what comes of it."""
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
        self._state.stats[f"error/{error.reason}"] += 1
        if error.retry:
            site.pace.failed(now)
            visit = _with_pace(visit, site)
            if visit.tries + 1 < self._config.politeness.tries:
                self.record(site, replace(visit, verdict="retry", detail=error.reason))
                return
        self.record(
            site,
            replace(visit, verdict=f"error/{error.reason}", detail=error.detail, id=page_id_of_digest(visit.url, "")),
        )

    def _answered(self, site: Site, visit: Visit, answer: Answer) -> None:
        exchange = answer.exchange
        site.pace.finished(time.time(), exchange.seconds)
        self._state.stats.update(responses=1, bytes=len(exchange.body))
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
        self._state.stats[f"error/{judged.verdict}"] += 1
        if judged.overloaded:
            site.pace.overloaded(now, retry_after_seconds(exchange.header("retry-after"), now))
        else:
            site.pace.failed(now)
        visit = _with_pace(visit, site)
        again = visit.tries + 1 < self._config.politeness.tries
        visit = (
            replace(visit, verdict="retry", detail=judged.verdict) if again else replace(visit, verdict=judged.verdict)
        )
        self._other(site, visit, judged, exchange)

    def _followed(self, site: Site, visit: Visit, judged: Judged) -> Visit:
        """The visit with its verdict and the new URLs that it led to. A redirect leads to a URL of the same depth."""
        redirect = judged.verdict == "redirect"
        depth, hops = (visit.depth, visit.hops + 1) if redirect else (visit.depth + 1, 0)
        links = [Found(url, depth, hops) for url in self._state.not_met(judged.links, depth)]
        for url in judged.sitemaps:
            if (
                self._state.domain_of(url) == site.domain
                and site.num_sitemaps < self._config.limits.sitemaps
                and hops <= self._config.scope.max_redirects
            ):
                links.append(Found(url, visit.depth, hops, "sitemap"))
        found, sent = self._state.sort(site, links, visit.url)
        return replace(visit, verdict=judged.verdict, detail=judged.detail, found=found, sent=sent)

    def _page(self, site: Site, visit: Visit, judged: Judged, exchange: Exchange) -> None:
        """Archives a page; the same payload is stored once."""
        digest = payload_digest(judged.payload)
        known = self._state.payloads.get(digest)
        if known is None:
            body_digest = warc.block_digest(exchange.body)
            file, offset = self._archive.place(time.time())
        else:
            file, offset, body_digest = known.file, known.offset, known.warc_digest
        visit = replace(
            self._followed(site, visit, judged), id=page_id_of_digest(visit.url, digest), digest=digest, length=len(judged.payload),
            media_type=judged.media_type, charset=judged.charset, etag=exchange.header("etag"), last_modified=exchange.header("last-modified"),
            file=file, offset=offset, warc_digest=body_digest,
        )  # fmt: skip
        if known is not None:
            records = warc.revisit_records(
                exchange,
                _about(visit),
                profile=warc.REVISIT_IDENTICAL,
                refers_to=known.url,
                refers_to_date=known.date,
                digest=body_digest,
            )
        else:
            records = warc.exchange_records(exchange, _about(visit), digest=body_digest)
        self.record(site, visit, records)

    def _unchanged(self, site: Site, visit: Visit, exchange: Exchange) -> None:
        """A 304: the record of the earlier run is copied, so that this run stands by itself, and a revisit record says so."""
        before = self._earlier.find(visit.url) if self._earlier else None
        if before is None or self._earlier is None:
            self.record(site, replace(visit, verdict="status/304", id=page_id_of_digest(visit.url, "")))
            return
        record, answer = self._earlier.read(visit.url, before)
        judged = responses.judge_page(responses.renewed(answer, exchange), self._config, skipped=False)
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
        self.record(site, visit, record + revisit)

    def _other(self, site: Site, visit: Visit, judged: Judged, exchange: Exchange) -> None:
        """Archives what is no page. Bodies that nobody may or need keep stay out."""
        visit = replace(visit, id=page_id_of_digest(visit.url, payload_digest(exchange.body) if exchange.body else ""))
        pack = warc.exchange_records if judged.keep_body else warc.request_records
        self.record(site, visit, pack(exchange, _about(visit)))


def _with_pace(visit: Visit, site: Site) -> Visit:
    """A failed visit with what it did to the pace of the site, so that it holds after a kill, too."""
    return replace(visit, strikes=site.pace.strikes, pause_until=site.pace.next_allowed)


def _about(visit: Visit) -> warc.Headers:
    """The fields of a metadata record."""
    return [
        ("via", visit.via),
        ("hopsFromSeed", str(max(visit.depth, 0))),  # a sitemap of the settings is one above the seeds
        ("verdict", visit.verdict),
        ("detail", visit.detail),
        ("robots", "allowed"),
        ("ai-opt-out", visit.detail if visit.verdict == "opt_out" else "none"),
        ("charset", visit.charset),
        ("tries", str(visit.tries + 1)),
    ]
