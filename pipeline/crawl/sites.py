"""What a shard remembers of each registrable domain from round to round."""

import asyncio
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from pipeline import storage
from pipeline.atomic import AtomicFile, FileEntry
from pipeline.crawl import optout, robots
from pipeline.crawl.config import CrawlConfig
from pipeline.crawl.ledger import RobotsVisit
from pipeline.crawl.politeness import Pace, likely_time
from pipeline.crawl.queues import SiteQueue
from pipeline.crawl.traps import PatternCounter


class Policy:
    """What an origin (scheme, host, port) allows, from its robots.txt and tdmrep.json."""

    def __init__(self, visit: RobotsVisit) -> None:
        self.visit = visit
        content = visit.content.encode("latin-1") if visit.access == "parse" else b""
        self.robots = robots.parse(content)
        self.tdm = optout.parse_tdm_rules(visit.tdm.encode("latin-1"))

    def refuses(self, target: str, config: CrawlConfig) -> tuple[str, str]:
        """The verdict that keeps `target` from being fetched, and its detail; two empty texts if it may be."""
        agent = config.agent_token
        if self.visit.access == "disallow" or not self.robots.allows(agent, target):
            return "robots", ""
        signal = optout.robots_signal(self.robots, agent, target, config.opt_out)
        signal = signal or optout.tdm_signal(self.tdm, target, config.opt_out)
        return ("opt_out", signal) if signal else ("", "")


@dataclass(slots=True, kw_only=True)
class Site:
    """One registrable domain: its queue, its pace, its policies."""

    domain: str
    config: CrawlConfig
    queue: SiteQueue
    pace: Pace
    patterns: PatternCounter
    requests: int = 0  # for pages, in the whole crawl
    requests_now: int = 0  # in this round
    failed_rounds: int = 0  # in a row, each ended by strikes
    num_sitemaps: int = 0
    reason: str = ""  # why its URLs still wait at the end of a round; empty if only time was short
    num_visits: int = 0  # in this round
    digests: set[str] = field(default_factory=set)  # of the payloads of this round
    visits: dict[str, RobotsVisit] = field(default_factory=dict)
    policies: dict[str, Policy] = field(default_factory=dict)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)  # around requests for policies

    @classmethod
    def new(cls, domain: str, config: CrawlConfig) -> "Site":
        """A site that nobody has asked yet."""
        return cls(
            domain=domain,
            config=config,
            queue=SiteQueue(0),
            pace=Pace(config=config.politeness),
            patterns=PatternCounter(config.traps),
        )

    @property
    def given_up(self) -> bool:
        """Whether the site failed in so many rounds that it is not asked again."""
        return self.failed_rounds >= self.config.politeness.tries

    def end_round(self) -> None:
        """Says why URLs still wait, and forgives the strikes, but remembers that there were too many."""
        if self.pace.too_slow:
            self.reason = "crawl_delay"
        elif self.requests >= self.config.limits.pages_per_domain:
            self.reason = "budget"
        elif self.pace.retired:
            self.reason = "strikes"
        if self.pace.retired:
            pause = self.config.politeness.retry_seconds * 2.0**self.failed_rounds
            self.failed_rounds += 1
            self.pace.next_allowed += pause
        self.pace.strikes = 0

    def learn(self, visit: RobotsVisit) -> Policy:
        """Takes in what an origin said."""
        self.visits[visit.origin] = visit
        self.policies[visit.origin] = policy = Policy(visit)
        self._slow_down(policy.robots)
        return policy

    def slow_down(self, content: bytes) -> None:
        """Takes in the delay that a robots.txt asks for, before anything else is asked."""
        self._slow_down(robots.parse(content))

    def _slow_down(self, parsed: robots.Robots) -> None:
        asked = parsed.crawl_delay(self.config.agent_token)
        self.pace.crawl_delay = max(self.pace.crawl_delay, asked or 0.0)
        self.pace.wait_longer()

    def policy(self, origin: str, now: float) -> Policy | None:
        """What the origin said, if that is known and still fresh. A visit that lies far ahead is of a clock that was wrong."""
        visit = self.visits.get(origin)
        if visit is None or (visit.access != "defer" and abs(now - visit.at) > self.config.robots_cache_seconds):
            return None
        retry_at = likely_time(visit.retry_at, now, self.config.politeness)
        if visit.access == "defer" and now >= retry_at and visit.tries < self.config.politeness.tries:
            return None
        if origin not in self.policies:
            self.policies[origin] = Policy(visit)
        return self.policies[origin]

    def line(self) -> bytes:
        """As a line of JSON."""
        value = {
            "domain": self.domain,
            "requests": self.requests,
            "failed_rounds": self.failed_rounds,
            "num_sitemaps": self.num_sitemaps,
            "crawl_delay": self.pace.crawl_delay,
            "latency": self.pace.latency,
            "next_allowed": self.pace.next_allowed,
            "patterns": dict(self.patterns.counts),
            "visits": [asdict(visit) for _, visit in sorted(self.visits.items())],
        }
        return json.dumps(value, separators=(",", ":"), sort_keys=True).encode() + b"\n"

    @classmethod
    def of_line(cls, line: bytes, config: CrawlConfig) -> "Site":
        """The site of a line."""
        value = json.loads(line)
        site = cls.new(value["domain"], config)
        site.requests, site.failed_rounds, site.num_sitemaps = (
            value["requests"],
            value["failed_rounds"],
            value["num_sitemaps"],
        )
        site.pace.crawl_delay, site.pace.latency = value["crawl_delay"], value["latency"]
        site.pace.next_allowed = value["next_allowed"]
        site.patterns = PatternCounter(config.traps, value["patterns"])
        for visit in value["visits"]:
            site.visits[visit["origin"]] = RobotsVisit(**visit)
        return site


def write_sites(path: str, sites: Iterable[Site]) -> FileEntry:
    """Writes sites as JSON lines."""
    with AtomicFile(path) as file:
        for site in sites:
            file.write(site.line())
    return file.entry(num_records=0)


def read_sites(path: str, config: CrawlConfig) -> dict[str, Site]:
    """The sites in a file, by domain."""
    with storage.open_read(path) as file:
        sites = (Site.of_line(line, config) for line in file)
        return {site.domain: site for site in sites}
