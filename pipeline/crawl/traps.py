"""Rules against sites that go on for ever. Each is named after what it found; the name goes into the ledger.

`TrapRules` judges a URL by itself; `PatternCounter` counts, for one site, the URLs that differ only in
dates, numbers or values of parameters, and those that gave the same bytes again and again.
"""

import re
from collections import Counter
from typing import NamedTuple

from pipeline.crawl.config import TrapsConfig
from pipeline.urls import UrlParts

_DATE = re.compile(r"(?<!\d)(\d{4})[-/_.](0?[1-9]|1[0-2])(?:[-/_.](0?[1-9]|[12]\d|3[01]))?(?!\d)")
_YEAR_VALUE = re.compile(r"(?:^|&)(?:year|yr|jahr|annee)=(\d{1,6})(?:&|$)", re.IGNORECASE)
_CALENDAR_WORDS = re.compile(
    r"calendar|kalender|calendrier|agenda|events?(?:/|$)|month|tribe-bar-date|ical", re.IGNORECASE
)
_CALENDAR_KEYS = frozenset(
    (
        "date",
        "day",
        "month",
        "year",
        "week",
        "cal_date",
        "startdate",
        "start_date",
        "enddate",
        "month_year",
        "yr",
        "mo",
        "tribe-bar-date",
    )
)
_PATH_SESSION = re.compile(r";(?:jsessionid|phpsessid|sid)=|/\(S\([a-z0-9]{24}\)\)/", re.IGNORECASE)
_DIGITS = re.compile(r"\d+")
_NUM_PATTERNS = 20_000  # counted for one site; beyond it the rarest are forgotten


class Pattern(NamedTuple):
    """What URLs of one kind have in common. `kind` is `calendar`, `query` or empty."""

    kind: str
    text: str


class TrapRules:
    """Judges one URL; answers with the name of the rule, or with an empty text."""

    def __init__(self, config: TrapsConfig) -> None:
        self._config = config
        self._session_names = frozenset(config.session_parameters)

    def refuses(self, url: str, parts: UrlParts) -> str:
        """`trap/url_length`, `/path_segments`, `/repeated_path`, `/session_id`, `/parameters`, `/repeated_parameter` or `/calendar_year`."""
        if len(url) > self._config.max_url_length:
            return "trap/url_length"
        found = self._path(parts.path)
        if not found and parts.query:
            found = self._query(parts.query)
        if not found and self._is_far_date(parts):
            found = "calendar_year"
        return f"trap/{found}" if found else ""

    def _path(self, path: str) -> str:
        segments = [segment for segment in path.split("/") if segment]
        if len(segments) > self._config.max_path_segments:
            return "path_segments"
        if len(segments) > self._config.max_repeated_segments and self._repeats(segments):
            return "repeated_path"
        return "session_id" if _PATH_SESSION.search(path) else ""

    def _repeats(self, segments: list[str]) -> bool:
        """Whether a segment occurs too often; numbers and single letters may (dates, indices)."""
        segment, times = Counter(segments).most_common(1)[0]
        if times <= self._config.max_repeated_segments:
            return False
        return not segment.isdigit() or times > 2 * self._config.max_repeated_segments

    def _query(self, query: str) -> str:
        names = _names(query)
        if not self._session_names.isdisjoint(names):
            return "session_id"
        if len(names) > self._config.max_parameters:
            return "parameters"
        return "repeated_parameter" if _most(names) > self._config.max_repeated_segments else ""

    def _is_far_date(self, parts: UrlParts) -> bool:
        """Whether a calendar has gone far beyond any year that people write about."""
        text = f"{parts.path}?{parts.query}"
        years = [int(match[1]) for match in _YEAR_VALUE.finditer(parts.query)]
        if _CALENDAR_WORDS.search(text) or not _CALENDAR_KEYS.isdisjoint(_names(parts.query)):
            years += [int(match[1]) for match in _DATE.finditer(text)]
        return any(not self._config.first_year <= year <= self._config.last_year for year in years)


def _names(query: str) -> list[str]:
    return [part.partition("=")[0].lower() for part in query.split("&") if part]


def _most(names: list[str]) -> int:
    """How often the commonest parameter occurs; names that end in brackets are lists and may repeat."""
    return max(Counter(name for name in names if not name.endswith(("[]", "%5b%5d"))).values(), default=0)


def pattern_of(parts: UrlParts) -> Pattern:
    """The pattern that a URL is an instance of.

    A calendar page ends in a date or has one in its query: the rest of the URL is its pattern. A query
    makes a pattern of the path and the names of the parameters.
    """
    names = sorted(set(_names(parts.query)))
    ends_in_date = any(not parts.path[date.end() :].strip("/") for date in _DATE.finditer(parts.path))
    dated_query = not _CALENDAR_KEYS.isdisjoint(names) or _DATE.search(parts.query)
    if dated_query or (ends_in_date and _CALENDAR_WORDS.search(parts.path)):
        return Pattern("calendar", f"{parts.host}{_DIGITS.sub('0', parts.path)}?{'&'.join(names)}")
    if names:
        return Pattern("query", f"{parts.host}{parts.path}?{'&'.join(names)}")
    return Pattern("", f"{parts.host}{_DIGITS.sub('0', parts.path)}")


class PatternCounter:
    """Counts the URLs of one site by pattern. Kept between rounds as JSON."""

    def __init__(self, config: TrapsConfig, counts: dict[str, int] | None = None) -> None:
        self._config = config
        self.counts: Counter[str] = Counter(counts or {})

    def admits(self, parts: UrlParts) -> str:
        """Counts a new URL; `trap/calendar`, `trap/parameter_values` or `trap/same_payload` if there are too many like it."""
        pattern = pattern_of(parts)
        if self.counts["=" + pattern.text] > self._config.max_same_payload:
            return "trap/same_payload"
        if not pattern.kind:
            return ""
        if len(self.counts) > _NUM_PATTERNS:
            self.counts = Counter(dict(self.counts.most_common(_NUM_PATTERNS // 2)))
        self.counts[pattern.text] += 1
        calendar = pattern.kind == "calendar"
        limit = self._config.max_urls_per_calendar if calendar else self._config.max_urls_per_path
        if self.counts[pattern.text] > limit:
            return "trap/calendar" if calendar else "trap/parameter_values"
        return ""

    def same_payload(self, parts: UrlParts) -> None:
        """Notes that a URL gave the bytes of another one of the site."""
        self.counts["=" + pattern_of(parts).text] += 1

    def is_endless(self, parts: UrlParts) -> bool:
        """Whether URLs like this one gave the same bytes too often."""
        return self.counts["=" + pattern_of(parts).text] > self._config.max_same_payload
