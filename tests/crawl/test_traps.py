import pytest

from pipeline.crawl.config import TrapsConfig
from pipeline.crawl.traps import PatternCounter, TrapRules, pattern_of
from pipeline.urls import canonical_url, url_parts

CONFIG = TrapsConfig(max_urls_per_path=3, max_urls_per_calendar=2, max_same_payload=2)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/2024/05/17/a-post.html", ""),
        ("/a/b/c/d/e/f/g.html?x=1&y=2", ""),
        ("/" + "a" * 2100, "trap/url_length"),
        ("/" + "/".join("abcdefghijklmnopqrstuvw"), "trap/path_segments"),
        ("/a/b/a/b/a/b/", "trap/repeated_path"),
        ("/x/x/x/", "trap/repeated_path"),
        ("/x/x/", ""),
        ("/1/1/1/", ""),  # numbers may repeat a little
        ("/1/1/1/1/1/", "trap/repeated_path"),
        ("/p?PHPSESSID=1", "trap/session_id"),
        ("/p;jsessionid=1A", "trap/session_id"),
        ("/(S(abcdefghijklmnopqrstuvwx))/p.aspx", "trap/session_id"),
        ("/p?aside=1", ""),
        ("/p?a=1&b=2&c=3&d=4&e=5&f=6&g=7&h=8&i=9", "trap/parameters"),
        ("/p?a=1&a=2&a=3", "trap/repeated_parameter"),
        ("/p?a[]=1&a[]=2&a[]=3", ""),
        ("/calendar/1824-05", "trap/calendar_year"),
        ("/cal?year=2999&month=1", "trap/calendar_year"),
        ("/cal?year=2024&month=1", ""),
        ("/battles/1066-10-14.html", ""),  # a date is no calendar
        ("/events/2099/01/", "trap/calendar_year"),
    ],
)
def test_rules(path: str, reason: str) -> None:
    url = canonical_url("http://example.com" + path)
    assert TrapRules(TrapsConfig()).refuses(url, url_parts(url)) == reason


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/calendar/2024/05", "calendar"),
        ("/x?date=2024-05-01", "calendar"),
        ("/x?view=month&at=2024-05", "calendar"),
        ("/2024/05/", ""),  # an archive of a blog
        ("/2024/05/17/post", ""),
        ("/x?id=7", "query"),
    ],
)
def test_patterns(path: str, kind: str) -> None:
    assert pattern_of(url_parts("http://example.com" + path)).kind == kind


def admitted(paths: list[str]) -> list[str]:
    counter = PatternCounter(CONFIG)
    return [counter.admits(url_parts("http://example.com" + path)) for path in paths]


def test_values_of_parameters_are_counted_by_path_and_names() -> None:
    assert admitted([f"/p?id={number}" for number in range(5)]) == [
        "",
        "",
        "",
        "trap/parameter_values",
        "trap/parameter_values",
    ]
    assert admitted(["/p?a=1", "/p?b=1", "/q?a=1", "/p?a=2&b=1", "/p?a=2"]) == [""] * 5


def test_dates_are_counted() -> None:
    assert admitted(["/calendar/2024/01", "/calendar/2024/02", "/calendar/2024/03"]) == ["", "", "trap/calendar"]
    assert admitted([f"/2024/01/{day:02d}/post" for day in range(1, 20)]) == [""] * 19


def test_same_bytes_under_many_urls() -> None:
    counter = PatternCounter(CONFIG)
    parts = url_parts("http://example.com/item/1")
    for _ in range(3):
        assert not counter.is_endless(parts)
        counter.same_payload(parts)
    assert counter.is_endless(url_parts("http://example.com/item/99"))
    assert counter.admits(url_parts("http://example.com/item/5")) == "trap/same_payload"
    assert not counter.is_endless(url_parts("http://example.com/other/1"))


def test_counts_survive_as_json() -> None:
    counter = PatternCounter(CONFIG)
    counter.admits(url_parts("http://example.com/p?id=1"))
    assert PatternCounter(CONFIG, dict(counter.counts)).counts == counter.counts
