"""The settings of a crawl: the table [crawl] and its sub-tables."""

import dataclasses
import ipaddress
import math
import re
from dataclasses import dataclass, field
from typing import Literal

from pipeline.crawl.guard import AddressGuard
from pipeline.errors import SettingError
from pipeline.optout import PageOptOuts
from pipeline.urls import canonical_host, canonical_url

SKIPPED_EXTENSIONS = (
    "7z", "apk", "atom", "avi", "bib", "bin", "bmp", "bz2", "css", "csv", "deb", "dmg", "doc", "docx", "eot", "epub",
    "exe", "flac", "gif", "gz", "ico", "ics", "iso", "jar", "jpeg", "jpg", "js", "json", "m4a", "m4v", "mkv", "mov",
    "mp3", "mp4", "mpeg", "mpg", "msi", "ogg", "ogv", "otf", "pdf", "png", "ppt", "pptx", "ps", "rar", "rpm", "rss",
    "svg", "swf", "tar", "tex", "tgz", "tif", "tiff", "ttf", "wasm", "wav", "webm", "webp", "whl", "wmv", "woff",
    "woff2", "xls", "xlsx", "xml", "xz", "zip", "zst",
)  # fmt: skip


def _at_least(table: str, config: object, least: float, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if not least <= value < math.inf:  # not a number is neither less nor more
            raise SettingError(f"{table}.{name} is {value}; allowed is {least:g} or more")


@dataclass(frozen=True, kw_only=True)
class PolitenessConfig:
    """[crawl.politeness]: how often a site is asked, and when it is left alone."""

    delay_seconds: float = 5.0  # between the end of a request and the next one to the same registrable domain
    latency_factor: float = 5.0  # the delay is at least this many times the last response time
    max_delay_seconds: float = 60.0  # bound of what `latency_factor` and back-off between requests can add up to
    max_crawl_delay_seconds: float = 120.0  # a site that asks for more in robots.txt is deferred, never hurried
    connections_per_domain: int = 1  # above 1, the delay lies between the starts of requests
    connections_per_address: int = 2  # to one IP address, whatever the number of domains on it
    backoff_seconds: float = 30.0  # first pause after 429 or 503; doubles at each strike
    max_retry_after_seconds: float = 3600.0  # a longer Retry-After retires the site for the round
    strikes: int = 5  # failures in a row that retire a site for the round
    tries: int = 3  # attempts at one URL; all after the first happen in later rounds
    retry_seconds: float = 60.0  # the least time between two attempts at one URL
    max_idle_seconds: float = 600.0  # the crawl ends when nothing may be fetched for so long

    def __post_init__(self) -> None:
        _at_least(
            "crawl.politeness",
            self,
            0.0,
            "delay_seconds",
            "latency_factor",
            "max_delay_seconds",
            "max_crawl_delay_seconds",
        )
        _at_least(
            "crawl.politeness",
            self,
            0.0,
            "backoff_seconds",
            "max_retry_after_seconds",
            "retry_seconds",
            "max_idle_seconds",
        )
        _at_least("crawl.politeness", self, 1, "connections_per_domain", "connections_per_address", "strikes", "tries")


@dataclass(frozen=True, kw_only=True)
class LimitsConfig:
    """[crawl.limits]: what one response, one site and one round may take."""

    connect_seconds: float = 10.0  # for a name to be looked up and a connection to stand
    read_seconds: float = 20.0  # longest silence inside a response
    total_seconds: float = 60.0  # for one whole response
    wire_bytes: int = 5 << 20  # of a body as sent
    decoded_bytes: int = 20 << 20  # of a body with its encodings undone
    header_bytes: int = 32 << 10  # of one header field, 128 fields at most
    robots_bytes: int = 512 << 10  # of a robots.txt; the rest is not read (RFC 9309 asks for 500 KiB or more)
    sitemap_bytes: int = 50 << 20  # of a sitemap, decoded
    sitemap_urls: int = 50_000  # of one sitemap
    sitemaps: int = 100  # files of sitemaps for one site
    links: int = 1000  # of one page; the first ones count
    pages_per_domain: int = 10_000  # requests for pages of one registrable domain in the whole crawl
    pages_per_domain_and_round: int = 500  # the same in one round; the rest waits for the next
    sockets: int = 256  # of one shard
    domains: int = 2000  # worked on at once in one shard
    round_seconds: float = 900.0  # after it the rest is deferred to the next round
    part_bytes: int = 256 << 20  # a WARC part is closed at this size,
    part_records: int = 10_000  # at this many records,
    part_seconds: float = 300.0  # or at this age; on an object store only closed parts survive a kill

    def __post_init__(self) -> None:
        names = [item.name for item in dataclasses.fields(self)]
        _at_least("crawl.limits", self, 1e-3, *(name for name in names if name.endswith("_seconds")))
        _at_least("crawl.limits", self, 1, *(name for name in names if not name.endswith("_seconds")))
        if self.robots_bytes < 500 << 10:
            raise SettingError(
                f"crawl.limits.robots_bytes is {self.robots_bytes}; RFC 9309 asks for at least {500 << 10}"
            )


@dataclass(frozen=True, kw_only=True)
class OptOutConfig(PageOptOuts):
    """[crawl.opt_out]: which wishes not to be used for AI training (or not to be indexed) keep a page out.

    A URL that robots.txt forbids to any of `robots_agents` by name is not fetched; Content-Signal and Content-Usage count
    in robots.txt, too, and TDMRep in /.well-known/tdmrep.json.
    """

    nofollow: bool = True  # X-Robots-Tag or meta robots: nofollow or none, and rel=nofollow: links are not followed


@dataclass(frozen=True, kw_only=True)
class ScopeConfig:
    """[crawl.scope]: which URLs belong to the crawl."""

    within: Literal["prefix", "host", "domain", "any"] = "domain"  # of the seeds; `prefix` is the folder of a seed
    include: tuple[str, ...] = ()  # regular expressions, searched in the URL; if there are any, one must match
    exclude: tuple[str, ...] = ()  # the same; none may match
    skip_extensions: tuple[str, ...] = SKIPPED_EXTENSIONS  # of paths: what is surely no page
    max_depth: int | None = None  # links from a seed; None is without limit
    max_redirects: int = 5  # in a row

    def __post_init__(self) -> None:
        for name in ("include", "exclude"):
            for pattern in getattr(self, name):
                try:
                    re.compile(pattern)
                except re.error as error:
                    raise SettingError(
                        f"crawl.scope.{name} holds {pattern!r}, which is no regular expression: {error}"
                    ) from None
        if self.max_depth is not None and self.max_depth < 0:
            raise SettingError(
                f"crawl.scope.max_depth is {self.max_depth}; allowed is 0 or more, or nothing for no limit"
            )
        _at_least("crawl.scope", self, 0, "max_redirects")


@dataclass(frozen=True, kw_only=True)
class TrapsConfig:
    """[crawl.traps]: rules against sites that go on for ever."""

    max_url_length: int = 2048  # characters
    max_path_segments: int = 20  # parts of a path between slashes
    max_repeated_segments: int = 2  # how often one path segment may occur
    max_parameters: int = 8  # in a query
    max_urls_per_path: int = 500  # distinct queries with the same parameter names below one path
    max_urls_per_calendar: int = 200  # URLs that differ in dates only
    first_year: int = 1990  # a date in a URL outside of these years is a calendar's
    last_year: int = 2035
    max_same_payload: int = 20  # URLs of one pattern that gave the very same bytes
    session_parameters: tuple[str, ...] = (  # names; a URL that has one of them is refused
        "jsessionid", "phpsessid", "aspsessionid", "sessionid", "session_id", "sid", "cfid", "cftoken", "zenid", "oscsid",
    )  # fmt: skip

    def __post_init__(self) -> None:
        names = [item.name for item in dataclasses.fields(self) if item.name.startswith("max_")]
        _at_least("crawl.traps", self, 1, *names)
        if self.first_year > self.last_year:
            raise SettingError(
                f"crawl.traps.first_year is {self.first_year}, after last_year, which is {self.last_year}"
            )


@dataclass(frozen=True, kw_only=True)
class CrawlConfig:
    """[crawl]: what to fetch, and on whose behalf."""

    seeds: tuple[str, ...] = ()  # URLs to start from
    seed_files: tuple[str, ...] = ()  # text files with one URL a line
    seed_sitemaps: tuple[str, ...] = ()  # URLs of sitemaps, or of indexes of them: what they list counts as seeds
    user_agent: str = ""  # "name/version (+https://page.about.it; mail@address)": both addresses are required
    source: str = "crawl"  # the name of the source that the pages get, for mixing
    max_pages: int | None = None  # requests for pages in the whole crawl
    max_rounds: int = 1000  # after which the crawl ends, whatever waits
    shards: int = 8  # units of work of a round; results do not depend on it
    sitemaps: bool = True  # read the sitemaps that robots.txt names
    robots_unreachable: Literal["disallow", "allow"] = (
        "disallow"  # after the last try: RFC 9309 lets a crawler go on at some point
    )
    robots_forbidden: Literal["allow", "disallow"] = "allow"  # what 401 and 403 for robots.txt mean; the RFC says allow
    robots_cache_seconds: float = 86_400.0  # RFC 9309: no more than a day
    ports: tuple[int, ...] = (80, 443)  # those that may be connected to
    allow_private_hosts: tuple[str, ...] = ()  # "host", "host:port", "address" or "network/bits" that may be private
    addresses: dict[str, str] = field(default_factory=dict)  # host name → IP address, in place of DNS
    previous: str = ""  # folder of an earlier run: what has not changed since is not sent again (ETag, Last-Modified)
    politeness: PolitenessConfig = PolitenessConfig()
    limits: LimitsConfig = LimitsConfig()
    opt_out: OptOutConfig = OptOutConfig()
    scope: ScopeConfig = ScopeConfig()
    traps: TrapsConfig = TrapsConfig()

    def __post_init__(self) -> None:
        _at_least("crawl", self, 1, "max_rounds", "shards")
        if self.max_pages is not None and self.max_pages < 1:
            raise SettingError(f"crawl.max_pages is {self.max_pages}; allowed is 1 or more, or nothing for no limit")
        if not 0 <= self.robots_cache_seconds <= 86_400:
            raise SettingError(
                f"crawl.robots_cache_seconds is {self.robots_cache_seconds}; allowed is 0 to 86400 (RFC 9309)"
            )
        if not self.source or any(character.isspace() or character == "/" for character in self.source):
            raise SettingError(
                f"crawl.source {self.source!r} is not a label; use letters, digits, dots, dashes and underscores"
            )
        for port in self.ports:
            if not 1 <= port <= 65_535:
                raise SettingError(f"crawl.ports holds {port}; allowed is 1 to 65535")
        AddressGuard(self.allow_private_hosts, self.ports)
        for name in ("seeds", "seed_sitemaps"):
            for seed in getattr(self, name):
                check_seed(seed, f"crawl.{name}")
        if self.seeds or self.seed_files or self.seed_sitemaps:
            check_user_agent(self.user_agent)
        for name, address in self.addresses.items():
            try:
                canonical_host(name)
            except ValueError:
                raise SettingError(f"crawl.addresses names {name!r}, which is no name of a host") from None
            try:
                ipaddress.ip_address(address)
            except ValueError:
                raise SettingError(
                    f"crawl.addresses gives {name} the address {address!r}, which is no IP address"
                ) from None

    @property
    def agent_token(self) -> str:
        """The product token of the user agent: the name that robots.txt files may address."""
        token = re.match(r"[A-Za-z_-]+", self.user_agent)
        return token[0] if token else ""


def check_seed(seed: str, where: str) -> str:
    """The canonical form of a seed.

    Raises:
        SettingError: it is no http or https URL.
    """
    try:
        return canonical_url(seed)
    except ValueError as error:
        raise SettingError(f"{where} holds {seed!r}: {error}") from None


def check_user_agent(user_agent: str) -> None:
    """Nothing, for a user agent that lets a webmaster find out who asks and complain.

    Raises:
        SettingError: it has no product token, no URL or no mail address.
    """
    example = 'for example "mybot/1.0 (+https://example.org/bot; bot@example.org)"'
    if not re.match(r"[A-Za-z_-]+(/\S+)?( |$)", user_agent):
        raise SettingError(
            f"crawl.user_agent is {user_agent!r}; it must start with a product token of letters, - and _, {example}"
        )
    if not re.search(r"https?://[^\s;,)]+", user_agent):
        raise SettingError(f"crawl.user_agent is {user_agent!r}; it must name a page about the crawler, {example}")
    if not re.search(r"[^\s@;,(]+@[^\s@;,)]+\.[A-Za-z]{2,}", user_agent):
        raise SettingError(f"crawl.user_agent is {user_agent!r}; it must name a mail address, {example}")
    if not user_agent.isascii() or not user_agent.isprintable():
        raise SettingError(f"crawl.user_agent is {user_agent!r}; only printable ASCII characters can be sent")
