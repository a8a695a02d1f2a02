"""What a shard knows: its sites, their queues, all URLs ever seen. No network.

Everything that happens in a crawl is an event, and `ShardState.apply` is all that an event changes. Events
come from the network or from the ledger of a killed attempt: what was done once is not done again and
leads to the same state.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.crawl.archive import Stored
from pipeline.crawl.config import CrawlConfig
from pipeline.crawl.frontier import Seen, Spool, fingerprint, shard_of
from pipeline.crawl.guard import AddressGuard
from pipeline.crawl.ledger import Event, Found, RobotsVisit, Visit
from pipeline.crawl.politeness import likely_time
from pipeline.crawl.queues import QueuedUrl, Turn, UrlQueues
from pipeline.crawl.scope import Scope
from pipeline.crawl.sites import Policy, Site, read_sites
from pipeline.crawl.traps import TrapRules
from pipeline.crawl.warc import warc_date
from pipeline.places import join
from pipeline.tables import read_batches, read_rows
from pipeline.urls import canonical_url, registrable_domain, url_parts

LINKS = pa.schema(
    [("shard", pa.int32()), ("url", pa.string()), ("depth", pa.int32()), ("hops", pa.int32()), ("via", pa.string())]
)
_REFUSED = pa.schema(
    [("url", pa.string()), ("verdict", pa.string()), ("depth", pa.int32()), ("hops", pa.int32()), ("via", pa.string())]
)
FINISHED = frozenset({"page", "not_modified"})
_COUNTED = frozenset({"", "trap/calendar", "trap/parameter_values"})
SEED_SITEMAP_DEPTH = -1  # one link above the pages that it lists, which are seeds
_NUM_DOMAINS = 100_000
_NUM_MET = 50_000
_BATCH_ROWS = 4096


class Sent(NamedTuple):
    """A link to another site: it is taken up there in the next round."""

    link: Found
    via: str


class ShardState:
    """The frontier of one shard. What waits, comes in or leaves is on disk; of what was seen, 16 bytes a URL are in memory."""

    def __init__(self, config: CrawlConfig, seeds: Iterable[str]) -> None:
        self.config = config
        self.sites: dict[str, Site] = {}
        self.seen = Seen()
        self.sent = Spool(LINKS)
        self.queues = UrlQueues()
        self.payloads: dict[str, Stored] = {}
        self.stats: Counter[str] = Counter()
        self._refused = Spool(_REFUSED)  # of the URLs that came in
        self._noted = Seen()  # those of them that are in the ledger of a killed attempt
        self._left = Seen()
        self._met: dict[str, int] = {}  # the least depth of URLs that were linked to lately
        self._domains: dict[str, str] = {}
        self._traps = TrapRules(config.traps)
        self._scope = Scope(config.scope, seeds, AddressGuard(config.allow_private_hosts, config.ports))

    # --- loading ------------------------------------------------------------------------------------

    def load(self, folder: str, shard: str, now: float) -> None:
        """Takes over what this shard knew after the previous round. What is not due `now` waits for another one."""
        self.seen.load(join(folder, f"{shard}.seen"))
        self.sites = read_sites(join(folder, f"{shard}.sites.jsonl"), self.config)
        for site in self.sites.values():
            site.queue.room = self._room(site)
            site.pace.next_allowed = likely_time(site.pace.next_allowed, now, self.config.politeness)
        for row in read_rows(join(folder, f"{shard}.queue.parquet")):
            domain = row.pop("domain")
            row["reason"] = "" if row["reason"] == "budget" else row["reason"]  # it may have become larger
            row["not_before"] = likely_time(row["not_before"], now, self.config.politeness)
            self.put(domain, QueuedUrl(**row), held=row["not_before"] > now)

    def receive(self, incoming: Iterable[Sent]) -> None:
        """Takes up links from other sites. Which of several links to a URL counts does not depend on their order."""
        links = ((link.depth, link.url, link.hops, via) for link, via in incoming)
        for depth, url, hops, via in self.queues.sorted_links(links):
            found = self.offer(self.domain_of(url), Found(url, depth, hops), via)
            if found is not None:
                self._note_refusal(found, via)

    def readmit(self, refused: Iterable[Sent]) -> None:
        """Judges URLs again that were refused for their depth alone, now that the crawl goes deeper."""
        for link, via in refused:
            self._note_refusal(self._judged(self.domain_of(link.url), link, via), via)

    def _note_refusal(self, found: Found, via: str) -> None:
        url, depth, hops, _, refusal = found
        if refusal:
            self._refused.append({"url": url, "verdict": refusal, "depth": depth, "hops": hops, "via": via})

    def refused(self) -> Iterator[Visit]:
        """The verdicts on URLs that came in, were not admitted and are in no ledger yet. They have no time."""
        for row in self._refused.drain():
            if self._noted.add(fingerprint(row["url"])):
                yield Visit(**row)

    def _room(self, site: Site) -> int:
        limits = self.config.limits
        return max(0, min(limits.pages_per_domain_and_round, limits.pages_per_domain - site.requests))

    # --- the frontier -------------------------------------------------------------------------------

    def offer(self, domain: str, found: Found, via: str) -> Found | None:
        """Admits a URL of `domain` that nobody has seen, with its refusal if it has one; None if it was seen."""
        return self._judged(domain, found, via) if self.seen.add(_mark(found)) else None

    def _judged(self, domain: str, found: Found, via: str) -> Found:
        if found.kind == "page":
            url, depth, hops, kind, _ = found
            found = Found(url, depth, hops, kind, self._refusal(domain, found))
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

    def put(self, domain: str, entry: QueuedUrl, *, held: bool = False) -> None:
        """Queues a URL; one that is held, for a later round."""
        queue = self.site(domain).queue
        queue.num_ready += not held
        queue.num_held += held
        self.queues.put(domain, entry, held=held)

    def next_turn(self, site: Site, max_depth: int | None) -> Turn | None:
        """Takes the next URL of a site out of its queue."""
        turn = self.queues.pop(site.domain, max_depth) if site.queue.num_ready else None
        site.queue.num_ready -= turn is not None
        return turn

    def put_back(self, site: Site, turn: Turn) -> None:
        """Gives a URL that had no luck its place again."""
        site.queue.num_ready += 1
        self.queues.put_back(site.domain, turn)

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

    def not_met(self, urls: Iterable[str], depth: int) -> list[str]:
        """Those of `urls` that no page at this depth or above has just linked to: the pages of a site repeat each other's links."""
        met = self._met
        new = [url for url in urls if met.get(url, depth + 1) > depth]
        if len(met) > _NUM_MET:
            met.clear()
        met.update(dict.fromkeys(new, depth))
        return new

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
            self.site(event.domain).pace.recall(event.strikes, event.pause_until)
            return
        if not event.at:  # refused as it came in
            self._noted.add(fingerprint(event.url))
            return
        site = self.site(self.domain_of(event.url))
        site.queue.num_ready -= self.queues.take(site.domain, event.kind, event.url, event.depth)
        for found in event.found:
            self.seen.add(_mark(found))
            if found.kind == "page" and found.refusal in _COUNTED:
                site.patterns.admits(url_parts(found.url))
            self._admit(site.domain, found, event.url)
        for link in event.sent:
            _leaves(self._left, link)
        if event.requested:
            site.pace.recall(event.strikes, event.pause_until)
        self.apply(site, event)

    def apply(self, site: Site, visit: Visit) -> None:
        """What a visit changes. The URLs that it found are in the frontier already."""
        for link in visit.sent:
            self.sent.append({"url": link.url, "depth": link.depth, "hops": link.hops, "via": visit.url})
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
            self.put(site.domain, entry, held=True)
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
        for row in self.queues.rows():
            row["reason"] = row["reason"] or self.sites[row["domain"]].reason
            yield row

    def close(self) -> None:
        """Gives the disk back."""
        self.queues.close()


def read_incoming(path: str, number: int) -> Iterator[Sent]:
    """The links in a file that go to the shard with this number."""
    for batch in read_batches(path, batch_rows=_BATCH_ROWS):
        for row in batch.filter(pc.equal(batch["shard"], number)).to_pylist():
            yield Sent(Found(row["url"], row["depth"], row["hops"]), row["via"])


def link_rows(state: ShardState, num_shards: int) -> Iterator[dict[str, Any]]:
    """The links that a shard sends, as rows of `LINKS` with the shard that they go to."""
    for row in state.sent.drain():
        yield {**row, "shard": shard_of(state.domain_of(row["url"]), num_shards)}


def _mark(found: Found) -> bytes:
    return fingerprint(found.url if found.kind == "page" else f"{found.kind}:{found.url}")


def _leaves(left: Seen, link: Found) -> bool:
    """Whether a link to another site is sent for the first time in this shard and round."""
    return left.add(fingerprint(f"{link.depth}:{link.url}"))
