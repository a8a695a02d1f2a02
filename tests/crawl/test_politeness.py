from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from pipeline.crawl.config import PolitenessConfig
from pipeline.crawl.politeness import Pace, likely_time, retry_after_seconds

NOW = 1_700_000_000.0
CONFIG = PolitenessConfig(
    delay_seconds=5.0,
    latency_factor=5.0,
    max_delay_seconds=60.0,
    backoff_seconds=30.0,
    max_retry_after_seconds=3600.0,
    strikes=3,
)


@pytest.mark.parametrize(
    ("crawl_delay", "latency", "delay"),
    [
        (0.0, 0.1, 5.0),  # our own
        (20.0, 0.1, 20.0),  # what the site asks
        (0.0, 3.0, 15.0),  # five times its response time
        (0.0, 100.0, 60.0),  # which is bounded
        (100.0, 100.0, 100.0),  # what the site asks is not
    ],
)
def test_delay_is_the_longest_of_three(crawl_delay: float, latency: float, delay: float) -> None:
    assert Pace(config=CONFIG, crawl_delay=crawl_delay, latency=latency).delay == delay


def test_delay_counts_from_the_end_of_a_request() -> None:
    pace = Pace(config=CONFIG)
    pace.started(NOW)
    pace.finished(NOW + 0.5, latency=0.5)
    assert pace.next_allowed == NOW + 5.5


def test_with_several_connections_it_counts_from_the_start() -> None:
    pace = Pace(config=PolitenessConfig(delay_seconds=5.0, connections_per_domain=2))
    pace.started(NOW)
    pace.finished(NOW + 4.0, latency=0.5)
    assert pace.next_allowed == NOW + 5.0


def test_pauses_double_and_strikes_retire() -> None:
    pace = Pace(config=CONFIG)
    waits = []
    for _ in range(3):
        pace.next_allowed = 0.0
        pace.overloaded(NOW, None)
        waits.append(pace.next_allowed - NOW)
    assert waits == [30.0, 60.0, 120.0]
    assert pace.retired


def test_success_forgives() -> None:
    pace = Pace(config=CONFIG, strikes=2)
    pace.succeeded()
    assert pace.strikes == 0


def test_longer_pause_than_we_take_retires_at_once() -> None:
    pace = Pace(config=CONFIG)
    pace.overloaded(NOW, retry_after=86_400.0)
    assert pace.retired
    assert pace.next_allowed == NOW + 3600.0


def test_retry_after_is_never_shortened() -> None:
    pace = Pace(config=CONFIG)
    pace.overloaded(NOW, retry_after=200.0)
    assert pace.next_allowed == NOW + 200.0


def test_delay_that_becomes_known_late_counts_from_the_last_request() -> None:
    pace = Pace(config=CONFIG)
    pace.finished(NOW, latency=0.0)
    pace.crawl_delay = 30.0
    pace.wait_longer()
    assert pace.next_allowed == NOW + 30.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        (format_datetime(datetime.fromtimestamp(NOW + 90, UTC), usegmt=True), 90.0),
        (format_datetime(datetime.fromtimestamp(NOW - 90, UTC), usegmt=True), 0.0),
        ("Tue, 14 Nov 2023 22:14:50 GMT", 90.0),
        ("Tuesday, 14-Nov-23 22:14:50 GMT", 90.0),  # as RFC 850
        ("Tue Nov 14 22:14:50 2023", 90.0),  # as asctime
        ("Tue, 14 Nov 2023 23:14:50 +0100", 90.0),
        ("120, 120", 120.0),  # sent twice
        ("1.5", 1.5),
        ("30 seconds", 30.0),
        ("10s", 10.0),
        ("2 minutes", None),
        ("soon", None),
        ("-5", None),
        ("", None),
        ("9" * 400, 999_999_999_999.0),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    assert retry_after_seconds(value, NOW) == seconds


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (0.0, 0.0),
        (NOW - 9.0, NOW - 9.0),
        (NOW + 3600.0, NOW + 3600.0),  # the longest Retry-After
        (NOW + 3601.0, NOW),
        (2 * NOW, NOW),
    ],
)
def test_no_site_waits_for_a_clock_that_was_ahead(moment: float, expected: float) -> None:
    assert likely_time(moment, NOW, CONFIG) == expected
