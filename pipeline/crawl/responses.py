"""What an answer is worth: the verdict on a response, and the links that it leads to. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline import markup, optout
from pipeline.crawl import bodies
from pipeline.crawl.config import CrawlConfig
from pipeline.crawl.links import page_links
from pipeline.crawl.optout import forbids_following
from pipeline.crawl.sitemaps import parse_sitemap
from pipeline.crawl.warc import Exchange
from pipeline.urls import canonical_url

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PAGES = frozenset({200, 203})
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The verdict on a response. `payload` is set for usable pages; `keep_body` tells whether the archive may hold the body."""

    verdict: str
    detail: str = ""
    payload: bytes = b""
    media_type: str = ""
    charset: str = ""
    links: Sequence[str] = ()
    sitemaps: Sequence[str] = ()
    retry: bool = False
    overloaded: bool = False
    keep_body: bool = True


def body_limit(status: int, content_type: str, config: CrawlConfig) -> int:
    """How many bytes of the body of a page are wanted; 0 for what is no page by its header."""
    if status in _PAGES and not bodies.may_be_page(content_type):
        return 0
    return config.limits.wire_bytes


def judge_page(exchange: Exchange, config: CrawlConfig, *, skipped: bool) -> Judged:
    """The verdict on the answer to a request for a page."""
    status = exchange.status
    if status in _REDIRECTS:
        return _redirect(exchange)
    if status == 304:
        return Judged(verdict="not_modified")
    if status == 429 or status >= 500:
        return Judged(verdict=f"status/{status}", retry=True, overloaded=status in (429, 503))
    if status not in _PAGES:
        return Judged(verdict=f"status/{status}")
    content_type = exchange.header("content-type")
    if skipped:
        return Judged(verdict="media_type", detail=bodies.header_type(content_type), keep_body=False)
    try:
        payload = bodies.decoded(exchange.body, exchange.header("content-encoding"), config.limits.decoded_bytes)
    except bodies.BodyError as error:
        return Judged(verdict=str(error), keep_body=False)
    return _judge_payload(exchange, payload, content_type, config)


def renewed(answer: Exchange, not_modified: Exchange) -> Exchange:
    """An earlier answer with the wishes of a 304: a site may have changed its mind about a page that it did not change."""
    new = [(name, value) for name, value in not_modified.headers if name.lower() in optout.HEADERS]
    names = {name.lower() for name, _ in new}
    return replace(answer, headers=[*(header for header in answer.headers if header[0].lower() not in names), *new])


def _redirect(exchange: Exchange) -> Judged:
    location = exchange.location
    try:
        target = canonical_url(location, exchange.url) if location else ""
    except ValueError:
        target = ""
    if not target:
        return Judged(verdict="bad_redirect", detail=location[:200])
    return Judged(verdict="redirect", detail=target, links=(target,))


def _judge_payload(exchange: Exchange, payload: bytes, content_type: str, config: CrawlConfig) -> Judged:
    media_type = bodies.page_type(content_type, payload)
    if not payload or payload.isspace():
        return Judged(verdict="empty")
    if not media_type:
        return Judged(
            verdict="media_type",
            detail=f"{bodies.header_type(content_type)}, by its bytes something else",
            keep_body=False,
        )
    headers = [(name.lower(), value) for name, value in exchange.headers]
    signal = optout.header_signal(headers, config.agent_token, config.opt_out)
    rules = optout.header_rules(headers, config.agent_token, config.opt_out)
    links: Sequence[str] = ()
    if media_type == "text/html":
        html, charset = markup.utf8_and_charset(payload, content_type)
        follow_nofollow = not config.opt_out.nofollow
        found = page_links(
            html, exchange.url, limit=config.limits.links, follow_nofollow=follow_nofollow, charset=charset
        )
        signal = signal or optout.meta_signal(found.metas, config.agent_token, config.opt_out)
        rules |= optout.meta_rules(found.metas, config.agent_token, config.opt_out)
        links = () if forbids_following(rules, config.opt_out) else found.links
    if signal:
        return Judged(verdict="opt_out", detail=signal, links=links, keep_body=False)
    stated = markup.header_charset(content_type)
    return Judged(verdict="page", payload=payload, media_type=media_type, charset=stated, links=links)


def judge_sitemap(exchange: Exchange, config: CrawlConfig) -> Judged:
    """The verdict on the answer to a request for a sitemap."""
    status = exchange.status
    if status in _REDIRECTS:
        redirect = _redirect(exchange)
        return Judged(verdict=redirect.verdict, detail=redirect.detail, sitemaps=redirect.links)
    if status == 429 or status >= 500:
        return Judged(verdict=f"status/{status}", retry=True, overloaded=status in (429, 503))
    if status not in _PAGES:
        return Judged(verdict=f"status/{status}")
    try:
        content = bodies.decoded(exchange.body, exchange.header("content-encoding"), config.limits.sitemap_bytes)
        if content.startswith(_GZIP):  # a file named .gz, sent as it is
            content = bodies.decoded(content, "gzip", config.limits.sitemap_bytes)
    except bodies.BodyError as error:
        return Judged(verdict=str(error), keep_body=False)
    listed = parse_sitemap(content, exchange.url, limit=config.limits.sitemap_urls)
    return Judged(verdict="sitemap", links=listed.pages, sitemaps=listed.sitemaps, keep_body=False)
