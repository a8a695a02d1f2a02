"""How long a site is left alone between two requests, and when it is given up for a round.

Pure: every function gets the time, none asks for it. Times are seconds since the epoch, so that they
can be kept across a restart.
"""

import re
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

from pipeline.crawl.config import PolitenessConfig

_SECONDS = re.compile(r"([0-9]+(?:\.[0-9]*)?)\s*(?:s|secs?|seconds?)?(?:\s*,.*)?", re.IGNORECASE)


@dataclass(slots=True, kw_only=True)
class Pace:
    """The pace at which one registrable domain is asked."""

    config: PolitenessConfig
    crawl_delay: float = 0.0  # the longest that a robots.txt of the domain asked for
    latency: float = 0.0  # of the last response
    next_allowed: float = 0.0
    strikes: int = 0
    last_event: float = 0.0  # the last start or end of a request

    @property
    def delay(self) -> float:
        """The seconds between two requests: what we owe, what the site asks, what its response time suggests."""
        suggested = min(self.config.latency_factor * self.latency, self.config.max_delay_seconds)
        return max(self.config.delay_seconds, self.crawl_delay, suggested)

    @property
    def too_slow(self) -> bool:
        """Whether the site asks for more time than we are ready to take: it is deferred, not hurried."""
        return self.crawl_delay > self.config.max_crawl_delay_seconds

    @property
    def retired(self) -> bool:
        """Whether the site failed so often in a row that it is left alone for the round."""
        return self.strikes >= self.config.strikes

    def started(self, now: float) -> None:
        """Notes the start of a request."""
        self.last_event = now
        self.next_allowed = max(self.next_allowed, now + self.delay)

    def finished(self, now: float, latency: float) -> None:
        """Notes the end of a request; with one connection, the delay lies between this and the next start."""
        self.latency = latency
        self.last_event = now
        if self.config.connections_per_domain == 1:
            self.next_allowed = max(self.next_allowed, now + self.delay)

    def wait_longer(self) -> None:
        """Applies a delay that has just become known to the wait that is under way."""
        if self.last_event:
            self.next_allowed = max(self.next_allowed, self.last_event + self.delay)

    def succeeded(self) -> None:
        """Forgets the strikes."""
        self.strikes = 0

    def failed(self, now: float) -> None:
        """Notes an error of the network or the server."""
        self.strikes += 1
        self.next_allowed = max(self.next_allowed, now + self.delay)

    def recall(self, strikes: int, pause_until: float) -> None:
        """Takes over what a failure in an attempt that was killed had led to."""
        self.strikes = strikes
        self.next_allowed = max(self.next_allowed, pause_until)

    def overloaded(self, now: float, retry_after: float | None) -> None:
        """Notes a 429 or 503: waits as long as the site asks, or twice as long at each strike."""
        pause = self.config.backoff_seconds * 2.0**self.strikes if retry_after is None else retry_after
        self.strikes += 1
        if pause > self.config.max_retry_after_seconds:
            pause, self.strikes = self.config.max_retry_after_seconds, max(self.strikes, self.config.strikes)
        self.next_allowed = max(self.next_allowed, now + max(pause, self.delay))


def likely_time(moment: float, now: float, config: PolitenessConfig) -> float:
    """The time until which something waits; `now` where that lies further ahead than we ever wait: an earlier clock was wrong."""
    longest = max(
        config.delay_seconds,
        config.max_delay_seconds,
        config.max_crawl_delay_seconds,
        config.max_retry_after_seconds,
        config.retry_seconds * 2.0**config.tries,
    )
    return moment if moment <= now + longest else now


def retry_after_seconds(value: str, now: float) -> float | None:
    """The wait that a Retry-After header asks for, from seconds or from a date; None if it says neither.

    Sites write seconds with a unit, too, or with decimals; of two headers with seconds the first counts.
    """
    text = value.strip()
    seconds = _SECONDS.fullmatch(text)
    if seconds:
        return float(seconds[1][:12])
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, date.timestamp() - now)
