"""What a shard knows: its sites, their queues, all URLs ever seen. No network.

Everything that happens in a crawl is an event, and `ShardState.apply` is all that an event changes. Events
come from the network or from the ledger of a killed attempt: what was done once is not done again and
leads to the same state.
"""

import tempfile
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from pipeline.crawl.archive import Stored
from pipeline.crawl.config import CrawlConfig
from pipeline.crawl.frontier import Overflow, QueuedUrl, Seen, fingerprint, shard_of
from pipeline.crawl.guard import AddressGuard
from pipeline.crawl.ledger import Event, Found, RobotsVisit, Visit
from pipeline.crawl.scope import Scope
from pipeline.crawl.sites import Policy, Site, read_sites
from pipeline.crawl.traps import TrapRules
from pipeline.crawl.warc import warc_date
from pipeline.storage import join
from pipeline.tables import read_rows
from pipeline.urls import canonical_url, registrable_domain, url_parts

LINKS = pa.schema(
    [("shard", pa.int32()), ("url", pa.string()), ("depth", pa.int32()), ("hops", pa.int32()), ("via", pa.string())]
)
FINISHED = frozenset({"page", "not_modified"})
_COUNTED = frozenset({"", "trap/calendar", "trap/parameter_values"})
_NUM_DOMAINS = 100_000


class Sent(NamedTuple):
    """A link to another site: it is taken up there in the next round."""

    link: Found
    via: str


class ShardState:
    """The frontier of one shard, in memory as far as one round can reach."""

    def __init__(self, config: CrawlConfig, seeds: Sequence[str]) -> None:
        self.config = config
        self.sites: dict[str, Site] = {}
        self.seen = Seen()
        self.sent: list[Sent] = []
        self.refused: dict[str, Visit] = {}  # of the URLs that came in: not in the ledger yet
        self.payloads: dict[str, Stored] = {}
        self.stats: Counter[str] = Counter()
        self.overflow = Overflow(join(tempfile.gettempdir(), f"corpusmill-{uuid.uuid4().hex}.parquet"))
        self._left: set[bytes] = set()
        self._domains: dict[str, str] = {}
        self._traps = TrapRules(config.traps)
        self._scope = Scope(config.scope, seeds, AddressGuard(config.allow_private_hosts, config.ports))

    # --- loading ------------------------------------------------------------------------------------

    def load(self, folder: str, shard: str) -> None:
        """Takes over what this shard knew after the previous round."""
        self.seen.load(join(folder, f"{shard}.seen"))
        self.sites = read_sites(join(folder, f"{shard}.sites.jsonl"), self.config)
        for site in self.sites.values():
            site.queue.room = self._room(site)
        for row in read_rows(join(folder, f"{shard}.queue.parquet")):
            domain = row.pop("domain")
            self.put(domain, QueuedUrl(**row))
        for site in self.sites.values():  # least depth first; otherwise in the order of arrival
            site.queue.sort()

    def receive(self, incoming: Iterable[Sent]) -> None:
        """Takes up links from other sites. Which of several links to a URL counts does not depend on their order."""
        for link, via in sorted(incoming, key=lambda sent: (sent.link.depth, sent.link.url, sent.link.hops, sent.via)):
            found = self.offer(self.domain_of(link.url), link, via)
            if found is not None and found.refusal:
                self.refused[link.url] = Visit(
                    url=link.url, verdict=found.refusal, depth=link.depth, hops=link.hops, via=via
                )

    def _room(self, site: Site) -> int:
        limits = self.config.limits
        return max(0, min(limits.pages_per_domain_and_round, limits.pages_per_domain - site.requests))

    # --- the frontier -------------------------------------------------------------------------------

    def offer(self, domain: str, found: Found, via: str) -> Found | None:
        """Admits a URL of `domain` that nobody has seen, with its refusal if it has one; None if it was seen."""
        if not self.seen.add(_mark(found)):
            return None
        if found.kind == "page":
            found = found._replace(refusal=self._refusal(domain, found))
        self._admit(domain, found, via)
        return found

    def _refusal(self, domain: str, found: Found) -> str:
        if found.hops > self.config.scope.max_redirects:
            return "too_many_redirects"
        parts = url_parts(found.url)
        refusal = self._scope.refuses(found.url, parts, found.depth) or self._traps.refuses(found.url, parts)
        return refusal or self.site(domain).patterns.admits(parts)

    def _admit(self, domain: str, found: Found, via: str) -> None:
        if found.refusal:
            self.stats["refused"] += 1
        else:
            self.put(domain, QueuedUrl(found.url, found.depth, found.hops, via, found.kind))

    def put(self, domain: str, entry: QueuedUrl) -> None:
        """Queues a URL: in memory if it may get its turn in this round, else in the overflow."""
        queue = self.site(domain).queue
        if queue.num_behind == 0 and len(queue.urls) < 2 * queue.room + 16:
            queue.urls.append(entry)
        else:
            queue.num_behind += 1
            self.overflow.append(domain, entry)

    def site(self, domain: str) -> Site:
        """The site of a domain, a new one if need be."""
        site = self.sites.get(domain)
        if site is None:
            site = self.sites[domain] = Site.new(domain, self.config)
            site.queue.room = self._room(site)
        return site

    def domain_of(self, url: str) -> str:
        """The registrable domain of a canonical URL."""
        host = url.split("/", 3)[2]
        domain = self._domains.get(host)
        if domain is None:
            if len(self._domains) > _NUM_DOMAINS:
                self._domains.clear()
            domain = self._domains[host] = registrable_domain(url)
        return domain

    def sort(self, site: Site, links: Iterable[Found], via: str) -> tuple[tuple[Found, ...], tuple[Found, ...]]:
        """The new ones among the links of a page: those of its own site, admitted or refused, and those to other sites."""
        own, others = [], []
        for link in links:
            domain = self.domain_of(link.url)
            if domain == site.domain:
                found = self.offer(domain, link, via)
                if found is not None:
                    own.append(found)
            elif _leaves(self._left, link):
                others.append(link)
        return tuple(own), tuple(others)

    # --- events ---------------------------------------------------------------------------------------

    def replay(self, event: Event) -> None:
        """Takes in an event of a killed attempt as if it had happened now."""
        if isinstance(event, RobotsVisit):
            self.learn(event)
            return
        if self.refused.pop(event.url, None) is not None:
            return
        site = self.site(self.domain_of(event.url))
        site.queue.take(event.url)
        for found in event.found:
            self.seen.add(_mark(found))
            if found.kind == "page" and found.refusal in _COUNTED:
                site.patterns.admits(url_parts(found.url))
            self._admit(site.domain, found, event.url)
        for link in event.sent:
            _leaves(self._left, link)
        self.apply(site, event)

    def apply(self, site: Site, visit: Visit) -> None:
        """What a visit changes. The URLs that it found are in the frontier already."""
        self.sent += [Sent(link, visit.url) for link in visit.sent]
        self.stats[f"verdict/{visit.verdict}"] += 1
        site.num_visits += 1
        if visit.requested and visit.kind == "page":
            site.requests += 1
            site.requests_now += 1
        if visit.kind == "sitemap":
            site.num_sitemaps += 1
        if visit.verdict == "retry":
            wait = self.config.politeness.retry_seconds * 2.0**visit.tries
            entry = QueuedUrl(
                visit.url, visit.depth, visit.hops, visit.via, visit.kind, visit.tries + 1, visit.at + wait, "retry"
            )
            site.queue.held.append(entry)
        if visit.verdict in FINISHED:
            self._note_payload(site, visit)

    def _note_payload(self, site: Site, visit: Visit) -> None:
        if visit.digest in site.digests:
            site.patterns.same_payload(url_parts(visit.url))
        site.digests.add(visit.digest)
        if visit.digest not in self.payloads:
            self.payloads[visit.digest] = Stored(
                visit.url, warc_date(visit.at), visit.file, visit.offset, visit.warc_digest
            )

    def learn(self, visit: RobotsVisit) -> Policy:
        """Takes in what an origin said, and queues the sitemaps that its robots.txt names, as far as they are its site's."""
        site = self.site(visit.domain)
        policy = site.learn(visit)
        self.stats[f"robots/{visit.access}"] += 1
        for reference in policy.robots.sitemaps[: self.config.limits.sitemaps] if self.config.sitemaps else ():
            try:
                url = canonical_url(reference, visit.origin + "/")
            except ValueError:
                continue
            if self.domain_of(url) == site.domain:
                self.offer(site.domain, Found(url, 0, 0, "sitemap"), visit.origin + "/robots.txt")
        return policy

    # --- what is left ---------------------------------------------------------------------------------

    def rest(self) -> Iterator[dict[str, Any]]:
        """Every URL that still waits, as rows of the queue of the next round, with the reason."""
        for domain in sorted(self.sites):
            site = self.sites[domain]
            for entry in (*site.queue.urls, *site.queue.held):
                yield entry._replace(reason=entry.reason or site.reason).row(domain)
        for row in self.overflow.drain():
            site = self.sites[row["domain"]]
            yield {**row, "reason": row["reason"] or site.reason}


def read_incoming(path: str, number: int) -> Iterator[Sent]:
    """The links in a file that go to the shard with this number."""
    for row in read_rows(path):
        if row["shard"] == number:
            yield Sent(Found(row["url"], row["depth"], row["hops"]), row["via"])


def link_rows(sent: Iterable[Sent], domain_of: Any, num_shards: int) -> list[dict[str, Any]]:
    """Links as rows of `LINKS`, by shard and URL."""
    rows = [
        {
            "shard": shard_of(domain_of(link.url), num_shards),
            "url": link.url,
            "depth": link.depth,
            "hops": link.hops,
            "via": via,
        }
        for link, via in sent
    ]
    return sorted(rows, key=lambda row: (row["shard"], row["url"], row["depth"], row["via"]))


def _mark(found: Found) -> bytes:
    return fingerprint(found.url if found.kind == "page" else f"{found.kind}:{found.url}")


def _leaves(left: set[bytes], link: Found) -> bool:
    """Whether a link to another site is sent for the first time in this shard and round."""
    mark = fingerprint(f"{link.depth}:{link.url}")
    if mark in left:
        return False
    left.add(mark)
    return True
