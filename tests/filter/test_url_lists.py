"""Lists in every form in which they are published: what is a domain, what is left out, and that it is said."""

from pathlib import Path

import pytest

from jobs.curate import _warnings
from pipeline.errors import InputError
from pipeline.filter.config import FilterConfig, UrlConfig
from pipeline.filter.url_lists import CONDITION, ELEMENT, EXCEPTION, OTHER, PATH, addresses_of_line, domains_of_line
from pipeline.filter.urls import FilterUrls, lists_sha256, load_rules
from pipeline.records import Page
from pipeline.stage import JudgeShard, Outputs
from pipeline.steps import Shard


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", ()),
        ("! Title: a list", ()),
        ("[Adblock Plus 2.0]", ()),
        ("# a comment about bad.example", ()),
        ("#bad.example", ()),
        ("#########", ()),
        ("## A heading ##", ()),
        ("bad.example", ("bad.example",)),
        ("  bad.example\r", ("bad.example",)),
        ("bad.example # why", ("bad.example",)),
        ("bad.example.", ("bad.example",)),
        ("*.bad.example", ("bad.example",)),
        (".bad.example", ("bad.example",)),
        ("http://Bad.example/", ("Bad.example",)),
        ("bad.example:8080", ("bad.example:8080",)),
        ("bücher.example", ("bücher.example",)),
        ("bad。example", ("bad。example",)),
        ("192.0.2.7", ("192.0.2.7",)),
        ("[2001:db8::1]", ("[2001:db8::1]",)),
        ("0.0.0.0 bad.example", ("bad.example",)),
        ("127.0.0.1\tbad.example www.bad.example # both", ("bad.example", "www.bad.example")),
        ("::1 bad.example", ("bad.example",)),
        ("192.0.2.1 bad.example", ("bad.example",)),
        ("127.0.0.1 localhost", ()),
        ("127.0.0.1 localhost.localdomain", ()),
        ("fe80::1%lo0 localhost", ()),
        ("0.0.0.0 0.0.0.0", ()),
        ("||bad.example^", ("bad.example",)),
        ("||bad.example^|", ("bad.example",)),
        ("||*.bad.example^", ("bad.example",)),
        ("||bad.example^$document,important", ("bad.example",)),
        ("||192.0.2.7^$all", ("192.0.2.7",)),
        ("||bad.example^$third-party", CONDITION),
        ("||bad.example^$document,domain=other.example", CONDITION),
        ("||bad.example^$badfilter", CONDITION),
        ("||bad.example", PATH),  # also bad.example.org
        ("||bad*.example^", PATH),
        ("||bad.example/ads^", PATH),
        ("bad.example/ads/", PATH),
        ("http://bad.example/ads/", PATH),
        ("|http://bad.example|", PATH),
        ("/ads/*", PATH),
        ("-ad-300x250.", PATH),
        ("-ad.js", PATH),
        ("&ad_box=", PATH),
        ("@@||good.example^", EXCEPTION),
        ("@@http://good.example/", EXCEPTION),
        ("good.example##.ad", ELEMENT),
        ("good.example,other.example#@#.ad", ELEMENT),
        ("good.example#?#div:has(.ad)", ELEMENT),
        ("##.ad", ELEMENT),
        ("###ad", ELEMENT),
        ("good.example##ad # more", ELEMENT),
        ("address=/bad.example/0.0.0.0", PATH),
        ("bad.example other.example", OTHER),
        ("bad", OTHER),  # all of a top-level domain
        ("bad.example^$third-party", OTHER),
    ],
)
def test_lines_of_domains(line: str, expected: tuple[str, ...] | str) -> None:
    entries, left_out = domains_of_line(line)
    assert (left_out or entries) == expected
    assert not (left_out and entries)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("! comment", ()),
        ("# comment", ()),
        ("mixed.example/forum/adult", ("mixed.example/forum/adult",)),
        ("http://mixed.example/a?b=1#c", ("http://mixed.example/a?b=1#c",)),
        ("||mixed.example/ads^", PATH),
        ("||mixed.example^", OTHER),
        ("@@mixed.example/a", EXCEPTION),
        ("mixed.example##.ad", ELEMENT),
        ("0.0.0.0 mixed.example", OTHER),
    ],
)
def test_lines_of_addresses(line: str, expected: tuple[str, ...] | str) -> None:
    entries, left_out = addresses_of_line(line)
    assert (left_out or entries) == expected


LIST = "[Adblock Plus]\n! a list\n||bad.example^\n0.0.0.0 worse.example\ngood.example##.ad\nfine.example/ads/\n@@||bad.example^\n/ads/*\n"


@pytest.fixture
def urls(tmp_path: Path) -> UrlConfig:
    (tmp_path / "ads.txt").write_text(LIST)
    return UrlConfig(lists=(str(tmp_path / "ads.txt"),))


@pytest.mark.parametrize(
    ("url", "matched"),
    [
        ("https://www.bad.example/x", "bad.example (ads)"),
        ("https://worse.example/", "worse.example (ads)"),
        ("https://good.example/", None),
        ("https://fine.example/ads/", None),
        ("https://any.ads/", None),
    ],
)
def test_a_file_is_a_list(urls: UrlConfig, url: str, matched: str | None) -> None:
    refused = load_rules(urls).refuses(url)
    assert (refused.matched if refused else None) == matched


def test_a_list_that_is_missing() -> None:
    with pytest.raises(InputError, match=r"absent\.txt"):
        load_rules(UrlConfig(lists=("/absent.txt",)))


def test_what_was_left_out_is_said_once(urls: UrlConfig, tmp_path: Path) -> None:
    said: list[list[str]] = []
    page = Page(id="0" * 32, url="https://bad.example/", payload=b"")
    for name in ("part-0", "part-1"):
        judge = JudgeShard(
            read=lambda _: [page], judges=(FilterUrls(FilterConfig(urls=urls)),), kept="kept", rejected="rejected"
        )
        judge.setup()
        judge.process(Shard(name=name, work=None), Outputs(str(tmp_path), name, remark=said.append))
    assert len(said) == 2
    assert _warnings(said) == [
        "filter: 4 lines of filter.urls.lists are no rule about a whole domain and were left out "
        "(paths or parts of addresses: 2, elements of pages: 1, exceptions: 1)"
    ]


def test_nothing_is_said_of_plain_lists(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("# comment\nbad.example\n")
    judge = FilterUrls(FilterConfig(urls=UrlConfig(lists=(str(tmp_path / "plain"),))))
    assert judge.warnings == []
    judge.setup()
    assert judge.warnings == []


def test_other_lists_are_another_step(urls: UrlConfig) -> None:
    before = lists_sha256(urls)
    assert lists_sha256(urls) == before
    Path(urls.lists[0]).write_text(LIST + "another.example\n")
    assert lists_sha256(urls) != before
