import json
import tarfile
import time
from pathlib import Path

import ada_url
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pipeline.crawl import robots
from pipeline.crawl.robots import Access, access, parse, pattern_matches

# The vectors of google/robotstxt that we answer otherwise, by robots.txt and URL: they compare raw octets
# with escaped ones, while RFC 9309, 2.2.2, says to compare with both escaped; the second answer is the RFC's.
DIFFERENT = {
    ("Allow: /foo/bar/ツ", "/foo/bar/%E3%83%84"),
    ("Allow: /foo/bar/%E3%83%84", "/foo/bar/%E3%83%84"),
    ("Allow: /foo/bar/%62%61%7A", "/foo/bar/baz"),
}


def allows(content: str, agent: str, target: str) -> bool:
    return parse(content.encode()).allows(agent, target)


@pytest.mark.parametrize(
    ("content", "agent", "target", "allowed"),
    [
        ("User-agent: *\nDisallow: /x", "bot", "/x/y", False),
        ("User-agent: *\nDisallow:", "bot", "/x", True),
        (
            "User-agent: bot\nDisallow: /a\n\nUser-agent: *\nDisallow: /",
            "bot",
            "/b",
            True,
        ),  # a group of its own replaces that for all
        (
            "User-agent: bot\nDisallow: /a\nUser-agent: BOT/2.0\nDisallow: /b",
            "bot",
            "/b",
            False,
        ),  # groups merge, case and version do not matter
        ("User-agent: bot\nUser-agent: other\nDisallow: /a", "bot", "/a", False),
        (
            "User-agent: bot\nUnknown: x\nUser-agent: other\nDisallow: /a",
            "bot",
            "/a",
            False,
        ),  # unknown lines part nothing
        ("User-agent: *\nCrawl-delay: 10\nUser-agent: bad\nDisallow: /", "bot", "/a", True),  # crawl-delay does
        ("Disallow: /\nUser-agent: bot\nAllow: /", "bot", "/a", True),  # rules before any group address nobody
        ("User-agent: *\nDisallow: /a\nAllow: /a/b", "bot", "/a/b/c", True),  # the longest match decides
        ("User-agent: *\nDisallow: /a\nAllow: /a", "bot", "/a", True),  # allow wins a tie
        ("User-agent: *\nAllow: /p\nDisallow: /*.htm", "bot", "/p.htm", False),
        ("User-agent: *\nDisallow: /*.php$", "bot", "/x.php?y", True),
        ("User-agent: *\nDisallow: /*.php$", "bot", "/x.php", False),
        ("User-agent: *\nDisallow: /*a*b*c", "bot", "/xaxxbxxc", False),
        ("User-agent: *\nDisallow: /a%2Ab", "bot", "/a*b", False),
        ("User-agent: *\nDisallow: /%7ejoe", "bot", "/~joe/x", False),
        ("User-agent: *\nDisallow: /한", "bot", "/%ED%95%9C", False),
        ("User-agent: *\nDisallow: /two words/", "bot", "/two%20words/x", False),  # what a URL can only hold escaped
        ('User-agent: *\nDisallow: /a"<{b}>', "bot", "/a%22%3C%7bb%7d%3E", False),
        ("User-agent: *\nDisallow: /a%7Cb", "bot", "/a|b", False),
        ("User-agent: *\nDisallow: /a|b", "bot", "/a%7cb", False),
        ("User-agent: *\nDisallow: /a%2Fb", "bot", "/a/b", True),  # an escaped reserved character is another one
        ("User-agent: *\nDisallow: /", "bot", "/robots.txt", True),
        ("\ufeffUser-agent: *\r\rDisallow: /a # why\r\n", "bot", "/a", False),
        ("User-agent *\nDissalow /a", "bot", "/a", False),  # colons and spelling as Google forgives them
        ("<!doctype html><html>not found</html>", "bot", "/a", True),
    ],
)
def test_rules(content: str, agent: str, target: str, allowed: bool) -> None:
    assert allows(content, agent, target) is allowed


@pytest.mark.parametrize(
    ("status", "expected"),
    [(200, "parse"), (204, "parse"), (301, "allow"), (400, "allow"), (401, "allow"), (403, "allow"), (404, "allow"), (410, "allow"),
     (429, "defer"), (500, "defer"), (503, "defer"), (None, "defer")],
)  # fmt: skip
def test_what_a_status_means(status: int | None, expected: Access) -> None:
    assert access(status) == expected


def test_forbidden_may_mean_disallowed() -> None:
    assert access(403, forbidden="disallow") == "disallow"
    assert access(404, forbidden="disallow") == "allow"


def test_crawl_delay_of_the_right_group() -> None:
    parsed = parse(b"User-agent: bot\nCrawl-delay: 2.5\nUser-agent: *\nCrawl-delay: 10\nCrawl-delay: x\n")
    assert parsed.crawl_delay("bot") == 2.5
    assert parsed.crawl_delay("other") == 10


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("10", 10.0),
        ("10 seconds", 10.0),  # a number counts, whatever stands behind it
        ("10s", 10.0),
        ("1,5", 1.5),
        (".5", 0.5),
        ("5-10", 5.0),
        ("-1", None),
        ("none", None),
        ("inf", None),
        ("9" * 400, None),
    ],
)
def test_crawl_delay(value: str, seconds: float | None) -> None:
    assert parse(f"User-agent: *\nCrawl-delay: {value}\n".encode()).crawl_delay("bot") == seconds


@pytest.mark.parametrize(
    ("line", "target", "allowed"),
    [
        ("Disallow: /voilà".encode(), "/voil%C3%A0", False),
        (
            "Disallow: /voilà".encode(),
            "/voil%C3%A9",
            True,
        ),  # the last octet of `à` alone is a no-break space in Latin-1
        ("Disallow:\xa0/x\xa0".encode(), "/x/y", False),
        (b"Disallow: /x\xa0", "/x/y", False),
        ("\ufeffDisallow: /x".encode(), "/x", False),  # files put together, each with a mark
    ],
)
def test_blanks_around_values(line: bytes, target: str, allowed: bool) -> None:
    assert parse(b"User-agent: *\n" + line).allows("bot", target) is allowed


def test_utf_16_with_a_mark() -> None:
    assert not parse("\ufeffUser-agent: *\nDisallow: /a".encode("utf-16-le")).allows("bot", "/a")


def test_google_vectors(shared_data: Path) -> None:
    num_cases = 0
    for line in (shared_data / "vectors/robots/google_robotstxt_cases.jsonl").read_text("utf-8").splitlines():
        case = json.loads(line)
        target = target_of(case["url"])
        known = any(rule in case["robots_txt"].splitlines() and target == path for rule, path in DIFFERENT)
        if not (known and not case["allowed"]):
            assert allows(case["robots_txt"], case["user_agent"], target) is case["allowed"], case
        num_cases += 1
    assert num_cases >= 142


def target_of(url: str) -> str:
    """Path and query; the vectors hold texts that are no URLs, too."""
    try:
        parsed = ada_url.URL(url)
    except ValueError:
        return "/" + url.partition("://")[2].partition("/")[2]
    return parsed.pathname + parsed.search


def test_real_files_never_raise(shared_data: Path) -> None:
    num_files = 0
    packed = (shared_data / "vectors/robots/protego_real_robots_txt.tar.zst").open("rb")
    with zstandard.ZstdDecompressor().stream_reader(packed) as raw, tarfile.open(fileobj=raw, mode="r|") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            if file is None:
                continue
            parsed = parse(file.read())
            parsed.allows("testbot", "/some/path.html?x=1")
            parsed.crawl_delay("testbot")
            parsed.agent_that_is_refused(("GPTBot", "CCBot"), "/some/path.html")
            num_files += 1
    assert num_files >= 4000


@given(st.binary(max_size=300))
def test_any_bytes_can_be_parsed(content: bytes) -> None:
    parse(b"User-agent: *\nDisallow: " + content).allows("bot", "/x")


def slow_match(pattern: str, target: str) -> bool:
    """The obvious matcher: exponential, and right."""
    if not pattern:
        return True
    if pattern == "$":
        return not target
    if pattern[0] == "*":
        return any(slow_match(pattern[1:], target[start:]) for start in range(len(target) + 1))
    return target[:1] == pattern[0] and slow_match(pattern[1:], target[1:])


@given(st.text("ab*", max_size=7), st.booleans(), st.text("ab", max_size=9))
def test_matches_as_the_obvious_matcher(pattern: str, anchored: bool, target: str) -> None:
    pattern = "/" + pattern + "$" * anchored
    assert pattern_matches(pattern, "/" + target) == slow_match(pattern, "/" + target)


def test_worst_file_is_dealt_with_quickly() -> None:
    content = b"User-agent: *\n" + b"".join(b"Disallow: /*a*a*a*a*a*a*a*b%d\n" % number for number in range(15_000))
    started = time.process_time()
    parse(content).allows("bot", "/" + "a" * 2000)
    assert time.process_time() - started < 3.0


def test_number_of_rules_is_bounded() -> None:
    parsed = parse(b"User-agent: *\n" + b"Disallow: /x\n" * 30_000)
    assert sum(len(group.rules) for group in parsed.groups) == robots._NUM_RULES
