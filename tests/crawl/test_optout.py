import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.crawl.config import OptOutConfig
from pipeline.crawl.optout import forbids_following, parse_tdm_rules, robots_signal, tdm_signal
from pipeline.crawl.robots import parse
from pipeline.optout import header_rules, header_signal, meta_rules, meta_signal

ALL = OptOutConfig()
NONE = OptOutConfig(
    robots_agents=(),
    content_signal=False,
    content_usage=False,
    noai=False,
    noml=False,
    noindex=False,
    nofollow=False,
    tdm_reservation=False,
)


@pytest.mark.parametrize(
    ("robots", "target", "signal"),
    [
        ("User-agent: GPTBot\nDisallow: /", "/x", "robots:GPTBot"),
        ("User-agent: gptbot\nDisallow: /a", "/x", ""),
        ("User-agent: AI2Bot\nDisallow: /", "/x", "robots:AI2Bot"),  # a name with a digit
        ("User-agent: *\nDisallow: /a\nUser-agent: Google-Extended\nAllow: /", "/x", ""),
        ("User-agent: *\nContent-Signal: search=yes, ai-train=no\nAllow: /", "/x", "content-signal:ai-train=no"),
        ("User-agent: *\nContent-Signal: search=yes,ai-train=yes\nAllow: /", "/x", ""),
        ("User-agent: *\nContent-Signal: ai-input=no\nAllow: /", "/x", ""),  # silence on training is no objection
        ("User-agent: testbot\nAllow: /\nUser-agent: *\nContent-Signal: ai-train=no", "/x", ""),  # not said to us
        (
            "User-agent: *\nContent-Signal: /a/ ai-train=no\nContent-Signal: /a/b/ ai-train=yes",
            "/a/x",
            "content-signal:ai-train=no",
        ),
        ("User-agent: *\nContent-Signal: /a/ ai-train=no\nContent-Signal: /a/b/ ai-train=yes", "/a/b/x", ""),
        ("User-agent: *\nContent-Usage: train-ai=n\nAllow: /", "/x", "content-usage:train-ai=n"),
        ("User-agent: *\nContent-Usage: /a train-ai=n\nAllow: /", "/x", ""),
        ("User-agent: *\nContent-Usage: train-ai=y\nAllow: /", "/x", ""),
        ("User-agent: *\nContent-Usage: train-genai=n\nAllow: /", "/x", "content-usage:train-genai=n"),
        ("User-agent: *\nContent-Usage: train-ai=y, train-genai=n\nAllow: /", "/x", "content-usage:train-genai=n"),
        ("User-agent: *\nContent-Usage: train-genai=y\nAllow: /", "/x", ""),
        (
            "Content-Signal: ai-train=no\nUser-agent: *\nAllow: /",
            "/x",
            "content-signal:ai-train=no",
        ),  # before any group
        ("User-agent: *\nAllow: /\nUser-agent: CCBot\nContent-Signal: ai-train=no", "/x", "content-signal:ai-train=no"),
        ("User-agent: *\nContent-Signal: ai-train=yes\nUser-agent: GPTBot\nContent-Usage: /a train-ai=n", "/x", ""),
        (
            "User-agent: *\nContent-Signal: ai-train=yes\nContent-Signal: ai-train=no",
            "/x",
            "content-signal:ai-train=no",
        ),
    ],
)
def test_robots_signals(robots: str, target: str, signal: str) -> None:
    assert robots_signal(parse(robots.encode()), "testbot", target, ALL) == signal
    assert robots_signal(parse(robots.encode()), "testbot", target, NONE) == ""


@pytest.mark.parametrize(
    ("headers", "signal"),
    [
        ([("x-robots-tag", "noai")], "header:noai"),
        ([("x-robots-tag", "noarchive"), ("x-robots-tag", "NOINDEX , nofollow")], "header:noindex"),
        ([("x-robots-tag", "none")], "header:noindex"),
        ([("x-robots-tag", "googlebot: noindex, noai")], ""),
        ([("x-robots-tag", "googlebot: noindex, testbot: noml")], "header:noml"),
        ([("x-robots-tag", "GPTBot: noindex")], "header:noindex"),  # one of the AI agents: said to us, too
        ([("x-robots-tag", "unavailable_after: 25 Jun 2030 15:00:00 PST, noml")], "header:noml"),
        ([("x-robots-tag", "max-snippet: 20, noindex")], "header:noindex"),
        ([("tdm-reservation", "1")], "header:tdm-reservation"),
        ([("tdm-reservation", "0")], ""),
        ([("content-usage", "train-ai=n")], "header:content-usage:train-ai=n"),
        ([("content-usage", "search=n, train-ai=y")], ""),
        ([("content-usage", "search=y, train-genai=n")], "header:content-usage:train-genai=n"),
        ([("content-usage", "train-genai=y")], ""),
        ([("content-usage", "train-ai=no")], "header:content-usage:train-ai=n"),
        ([("content-signal", "ai-train=n")], "header:content-signal:ai-train=no"),
        ([("x-robots-tag", "noai, googlebot: index")], "header:noai"),
        ([("x-robots-tag", "googlebot: noindex"), ("x-robots-tag", "noai")], "header:noai"),
        ([("x-robots-tag", "googlebot: index, *: noai, bingbot: all")], "header:noai"),
        ([("x-robots-tag", "max-image-preview:large, max-snippet:-1, noml")], "header:noml"),
        ([("content-usage", "train-ai=y, train-ai=n")], "header:content-usage:train-ai=n"),  # two headers, joined
        ([("content-usage", "train-ai = N;note=x")], "header:content-usage:train-ai=n"),
        ([("content-signal", "search=yes, ai-train=no")], "header:content-signal:ai-train=no"),
        ([("content-signal", "search=no, ai-train=yes")], ""),
        ([("tdm-reservation", "1, 1")], "header:tdm-reservation"),
        ([("tdm-reservation", "10")], ""),
        ([("x-robots-tag", "nofollow noml")], "header:noml"),  # as in a meta element, though commas are the rule
        ([("x-robots-tag", "noarchive; noai")], "header:noai"),
        ([("x-robots-tag", "otherbot/1.0: noindex, noai")], ""),
        ([("x-robots-tag", "TestBot/2.0 : noindex")], "header:noindex"),
        ([("x-robots-tag", "*: noai")], "header:noai"),
        ([("x-robots-tag", "otherbot: nofollow, *: noai")], "header:noai"),
        ([("x-robots-tag", "unavailable_after: Saturday, 23-Jun-07 15:00:00 EST, noai")], "header:noai"),
        ([], ""),
    ],
)
def test_header_signals(headers: list[tuple[str, str]], signal: str) -> None:
    assert header_signal(headers, "testbot", ALL) == signal
    assert header_signal(headers, "testbot", NONE) == ""


@pytest.mark.parametrize(
    ("metas", "signal", "follows"),
    [
        ([("robots", "noindex")], "meta:noindex", True),
        ([("ROBOTS", "NoAI, NoImageAI")], "meta:noai", True),
        ([("robots", "none")], "meta:noindex", False),
        ([("robots", "nofollow")], "", False),
        ([("testbot", "noindex nofollow")], "meta:noindex", False),
        ([("googlebot", "noindex,nofollow")], "", True),
        ([("tdm-reservation", "1")], "meta:tdm-reservation", True),
        ([(" Robots ", "noindex;nofollow")], "meta:noindex", False),
        ([("description", "noindex")], "", True),
    ],
)
def test_meta_signals(metas: list[tuple[str, str]], signal: str, follows: bool) -> None:
    assert meta_signal(metas, "testbot", ALL) == signal
    assert forbids_following(meta_rules(metas, "testbot", ALL), ALL) is not follows
    assert meta_signal(metas, "testbot", NONE) == ""
    assert not forbids_following(meta_rules(metas, "testbot", NONE), NONE)


def test_rules_for_other_crawlers_count_on_wish() -> None:
    wish = OptOutConfig(other_agents=True)
    assert header_rules([("x-robots-tag", "googlebot: noindex")], "testbot", wish) == {"noindex"}
    assert meta_signal([("bingbot", "noindex")], "testbot", wish) == "meta:noindex"
    assert meta_signal([("description", "noindex")], "testbot", wish) == ""


def test_tdm_rules_in_order() -> None:
    rules = parse_tdm_rules(
        b'[{"location": "/free/", "tdm-reservation": 0}, {"location": "/*.jpg$", "tdm-reservation": 1}, {"location": "/", "tdm-reservation": 1}]'
    )
    assert tdm_signal(rules, "/free/x", ALL) == ""
    assert tdm_signal(rules, "/x.jpg", ALL) == "tdmrep.json"
    assert tdm_signal(rules, "/y", ALL) == "tdmrep.json"
    assert tdm_signal(rules, "/y", NONE) == ""


def test_a_reservation_in_quotes_is_one() -> None:
    rules = parse_tdm_rules(b'[{"location": "/a", "tdm-reservation": "1"}, {"location": "/", "tdm-reservation": "0"}]')
    assert [(rule.location, rule.reserved) for rule in rules] == [("/a", True), ("/", False)]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'[{"location": 1}]', b'{"location": "/", "tdm-reservation": "yes"}', b"[" * 100_000],
)
def test_what_is_not_by_the_protocol_says_nothing(content: bytes) -> None:
    assert parse_tdm_rules(content) == []


@given(st.text(max_size=60))
def test_any_header_can_be_read(value: str) -> None:
    header_signal([("x-robots-tag", value), ("content-usage", value), ("tdm-reservation", value)], "testbot", ALL)
