"""Addresses: exact hosts, domains with sub-domains, suffixes, listed URLs, words; in any spelling of the same host."""

from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.filter.config import FilterConfig, UrlConfig
from pipeline.filter.stage import FilterUrls
from pipeline.filter.urls import load_rules
from pipeline.records import Page, Rejection


@pytest.fixture
def lists(tmp_path: Path) -> str:
    """A folder in the UT1 layout."""
    for path, lines in {
        "adult/domains": "bad.example\nBücher.example\n",
        "adult/urls": "mixed.example/forum/adult\nhttp://WWW.other.example/x/\n",
        "gambling/domains": "\ufeff*.star.example\r\n# comment\n\nbet.example\n",
    }.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(lines, encoding="utf-8")
    return str(tmp_path)


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("https://bad.example/", "domain"),
        ("https://name:word@bad.example/", "domain"),  # credentials hide no host
        ("https://bad.example@good.example/", None),
        ("HTTP://WWW.BAD.EXAMPLE/Page", "domain"),
        ("https://deep.under.bad.example/x?y", "domain"),  # every sub-domain, not only the first
        ("https://bad.example.:443/", "domain"),
        ("https://notbad.example/", None),  # no substring of a label
        ("https://bad.example.org/", None),
        ("https://xn--bcher-kva.example/", "domain"),
        ("https://BÜCHER.example/", "domain"),
        ("https://mixed.example/", None),
        ("https://www.mixed.example/forum/adult/thread/1", "url"),
        ("https://mixed.example/forum/adults", None),  # whole segments
        ("https://mixed.example/forum/adult?page=2", "url"),
        ("https://other.example/x", "url"),
        ("https://exact.example/", "host"),
        ("https://sub.exact.example/", None),
        ("https://anything.XXX/", "suffix"),
        ("https://fine.example/free-CASINO-bonus", "word"),
        ("https://fine.example/casinos", None),
        ("https://fine.example/c%61sino", "word"),
        ("https://fine.example/gl%C3%BCcksspiel-jetzt", "word"),  # GLÜCKSSPIEL, as paths write it
        ("https://xn--glcksspiel-beb.example/", "word"),
        ("https://xn--a.example/", None),  # no valid punycode
        ("https://fine.example/cheap/pills", "soft_words"),
        ("https://fine.example/cheap/books", None),
        ("https://good.bad.example/", None),  # allowed
        ("https://bet.example/", "domain"),
        ("https://a.star.example/", "domain"),  # the first line of a file with a byte order mark
        ("https://www.middlesex.example/essex", None),  # no word inside a word
        ("http:\\\\bad。example\\", "domain"),  # as browsers read it
        ("file:///tmp/x.html", None),
        ("not a url", None),
    ],
)
def test_addresses(lists: str, url: str, rule: str | None) -> None:
    rules = load_rules(
        UrlConfig(
            lists=(lists,),
            exact_hosts=("Exact.example",),
            suffixes=("*.xxx",),
            words=("Casino", "Glücksspiel"),
            soft_words=("cheap", "pills"),
            allow=("good.bad.example",),
        )
    )
    refused = rules.refuses(url)
    assert (refused.rule if refused else None) == rule


def test_categories_are_chosen(lists: str) -> None:
    rules = load_rules(UrlConfig(lists=(lists,), categories=("adult",)))
    assert rules.refuses("https://bet.example/") is None
    with pytest.raises(InputError, match="no CATEGORY/domains"):
        load_rules(UrlConfig(lists=(lists,), categories=("absent",)))


def test_a_refused_page_is_a_rejection(lists: str) -> None:
    judge = FilterUrls(FilterConfig(urls=UrlConfig(lists=(lists,))))
    judge.setup()
    verdict = judge.judge(Page(id="1", url="https://a.bad.example/", payload=b""))
    assert isinstance(verdict, Rejection)
    assert (verdict.reason, verdict.detail) == ("urls.domain", "bad.example (adult)")
    page = Page(id="2", url="https://fine.example/", payload=b"")
    assert judge.judge(page) is page


def test_every_entry_of_a_real_list_is_refused(shared_data: Path, tmp_path: Path) -> None:
    from pipeline.jsonl import read_records

    rows = [
        row
        for _, row in zip(
            range(4000), read_records(str(shared_data / "url_blocklists/ut1_sample.jsonl.zst")), strict=False
        )
    ]
    for kind in ("domain", "url"):
        (tmp_path / "list").mkdir(exist_ok=True)
        entries = [row["text"] for row in rows if row["kind"] == kind]
        (tmp_path / "list" / f"{kind}s").write_text("\n".join(entries), encoding="utf-8")
    rules = load_rules(UrlConfig(lists=(str(tmp_path),)))
    missed = [row["text"] for row in rows if rules.refuses(f"http://{row['text']}") is None]
    assert len(missed) <= len(rows) // 500, missed[:10]
