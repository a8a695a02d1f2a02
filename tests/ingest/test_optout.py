"""Wishes not to be used for training, as archives and files hold them: the same pages are refused as in a crawl."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from jobs.engine import Engine
from jobs.ingest import ingest_run
from pipeline import jsonl
from pipeline.ingest.captures import Capture, Place
from pipeline.ingest.config import IngestConfig
from pipeline.ingest.optout import refused_by_wish
from pipeline.manifests import dataset_files
from pipeline.markup import as_utf8, page_metas
from pipeline.optout import PageOptOuts, meta_signal
from pipeline.streams import open_stream
from pipeline.tables import read_rows
from tests.crawl.crawling import config_for, crawled, rows_of
from tests.ingest.archives import archive, http, record
from tests.site.server import serving

WORDS = "<p>Some words that make a page.</p>"


def with_meta(meta: str) -> bytes:
    return f"<!doctype html><html><head>{meta}</head><body>{WORDS}</body></html>".encode()


PLAIN = with_meta("<title>x</title>")
# Headers, body, and the signal that keeps the page out; empty for a page that is kept.
PAGES: list[tuple[list[tuple[str, str]], bytes, str]] = [
    ([], PLAIN, ""),
    ([("X-Robots-Tag", "noai")], PLAIN, "header:noai"),
    ([("X-Robots-Tag", "max-snippet: 5, noarchive")], PLAIN, ""),
    ([("X-Robots-Tag", "otherbot: noindex")], PLAIN, ""),  # speaks to another crawler
    ([("X-Robots-Tag", "GPTBot: noindex")], PLAIN, "header:noindex"),  # speaks to those who gather training data
    ([("X-Robots-Tag", "noai"), ("X-Robots-Tag", "nosnippet")], PLAIN, "header:noai"),  # of two, both count
    ([("tdm-reservation", "1")], PLAIN, "header:tdm-reservation"),
    ([("tdm-reservation", "0")], PLAIN, ""),
    ([("Content-Signal", "search=yes, ai-train=no")], PLAIN, "header:content-signal:ai-train=no"),
    ([("Content-Usage", "train-ai=n")], PLAIN, "header:content-usage:train-ai=n"),
    ([], with_meta("<meta name=robots content=noai>"), "meta:noai"),
    ([], with_meta('<META CONTENT="NOINDEX, follow" data-x="a>b" NAME="Robots">'), "meta:noindex"),
    ([], with_meta('<meta name="tdm-reservation" content="1">'), "meta:tdm-reservation"),
    ([], with_meta('<meta name="robots" content="index">') + b"<style>a{display:none}</style>", ""),
    ([], with_meta('<meta name="description" content="none of it">'), ""),
    ([], with_meta('<!-- <meta name="robots" content="noindex"> -->'), ""),
    ([("Content-Type", "text/html")], "\ufeff".encode("utf-16-le") + with_meta("<meta name=robots content=noml>").decode().encode("utf-16-le"), "meta:noml"),
    ([("Content-Type", "text/plain")], b'About <meta name="robots" content="noai"> in a text', ""),
]  # fmt: skip


def response(number: int) -> bytes:
    headers, body, _ = PAGES[number]
    lines = ["HTTP/1.1 200 OK", *(f"{name}: {value}" for name, value in headers)]
    if not any(name == "Content-Type" for name, _ in headers):
        lines.append("Content-Type: text/html")
    block = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
    return record("response", f"http://example.com/{number}", block)


def ingested(folder: Path, **settings: object) -> tuple[set[str], dict[str, tuple[str, str]]]:
    """The URLs of the pages of an ingest, and reason and signal of each rejection by URL."""
    run = str(folder / f"run-{len(list(folder.glob('run-*')))}")
    config = IngestConfig(**settings)  # type: ignore[arg-type]
    manifest = ingest_run(run, config, Engine())
    pages = {row["url"] for path in dataset_files(f"{run}/pages") for row in read_rows(path)}
    rejected = [row for path in dataset_files(f"{run}/rejected/pages") for row in read_rows(path)]
    assert manifest.counts["read"] == len(pages) + len(rejected)
    return pages, {row["url"]: (row["reason"], row["detail"].rpartition(": ")[2]) for row in rejected}


def test_pages_of_an_archive_are_refused_by_header_and_by_meta_element(tmp_path: Path) -> None:
    (tmp_path / "a.warc.gz").write_bytes(archive(map(response, range(len(PAGES)))))
    pages, rejected = ingested(tmp_path, inputs=(f"{tmp_path}/a.warc.gz",))
    wanted = {f"http://example.com/{number}": signal for number, (_, _, signal) in enumerate(PAGES)}
    assert pages == {url for url, signal in wanted.items() if not signal}
    assert {reason for reason, _ in rejected.values()} == {"opt_out"}
    assert {url: detail for url, (_, detail) in rejected.items()} == {
        url: signal for url, signal in wanted.items() if signal
    }


def test_the_settings_say_which_wishes_count(tmp_path: Path) -> None:
    (tmp_path / "a.warc.gz").write_bytes(archive(map(response, range(len(PAGES)))))
    inputs = (f"{tmp_path}/a.warc.gz",)
    pages, rejected = ingested(tmp_path, inputs=inputs, respect_opt_outs=False)
    assert (len(pages), rejected) == (len(PAGES), {})
    _, rejected = ingested(tmp_path, inputs=inputs, opt_out=PageOptOuts(noindex=False))
    assert len(rejected) == sum(1 for _, _, signal in PAGES if signal and "noindex" not in signal)


def test_html_of_any_input_is_asked(tmp_path: Path) -> None:
    refusing, silent = with_meta("<meta name=robots content=noai>"), PLAIN
    (tmp_path / "in").mkdir()
    for name, body in (("refusing", refusing), ("silent", silent)):
        (tmp_path / f"in/{name}.html").write_bytes(body)
        line = json.dumps({"url": f"http://x/{name}", "html": body.decode()})
        (tmp_path / f"in/{name}.jsonl").write_text(line + "\n")
        resource = record("resource", f"http://x/resource-{name}", body, Content_Type="text/html")
        (tmp_path / f"in/{name}.warc").write_bytes(resource)
        arc = b"http://x/arc-%s 1.2.3.4 20080430204825 text/html %d\n" % (name.encode(), len(http(body)))
        (tmp_path / f"in/{name}.arc").write_bytes(arc + http(body) + b"\n")
    pages, rejected = ingested(tmp_path, inputs=(f"{tmp_path}/in",))
    assert len(pages) == len(rejected) == 4
    assert all("silent" in url for url in pages)
    assert all("refusing" in url for url in rejected)
    assert set(rejected.values()) == {("opt_out", "meta:noai")}


def test_a_refused_file_has_the_url_that_its_page_would_have(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name, body in (("no", with_meta("<meta name=robots content=noai>")), ("yes", PLAIN), ("empty", b" ")):
        (tmp_path / f"in/{name}.html").write_bytes(body)
    pages, rejected = ingested(tmp_path, inputs=(f"{tmp_path}/in",), base_url="https://example.org/x/")
    assert pages == {"https://example.org/x/yes.html"}
    assert {url: reason for url, (reason, _) in rejected.items()} == {
        "https://example.org/x/no.html": "opt_out",
        "https://example.org/x/empty.html": "empty",
    }


def test_a_crawl_and_the_ingest_of_the_same_answers_agree(tmp_path: Path) -> None:
    """Both are asked about every page of the table, so that a rule of one alone would show."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/":
            links = "".join(f'<a href="/{number}">{number}</a>' for number in range(len(PAGES)))
            return web.Response(text=links, content_type="text/html")
        if not request.path[1:].isdecimal():
            return web.Response(status=404)
        headers, body, _ = PAGES[int(request.path[1:])]
        fields = {"Content-Type": "text/html"} if not any(name == "Content-Type" for name, _ in headers) else {}
        response = web.Response(body=body, headers=fields)
        for name, value in headers:
            response.headers.add(name, value)
        if headers and headers[0][0] == "Content-Type":
            del response.headers["Content-Type"]
            response.headers["Content-Type"] = headers[0][1]
        return response

    with serving(answer) as server:
        crawled(tmp_path / "crawl", config_for(server, [server.url("/")]))
    by_crawl = {
        row["url"].rpartition("/")[2]: row["detail"]
        for row in rows_of(tmp_path / "crawl", "rejected/pages")
        if row["reason"] == "opt_out"
    }
    assert by_crawl == {str(number): signal for number, (_, _, signal) in enumerate(PAGES) if signal}


def _lines(path: Path) -> list[bytes]:
    with open_stream(str(path)) as stream:
        return [line.data for line in jsonl.lines(stream, limit=1 << 26) if line.data]


@pytest.mark.parametrize("name", ["article_extraction", "wcxb"])
def test_no_real_page_that_speaks_is_passed_over(shared_data: Path, name: str) -> None:
    """The look at the bytes that spares most pages a parser loses none."""
    config = PageOptOuts()
    for line in _lines(shared_data / f"html/{name}.jsonl.zst"):
        row = json.loads(line)
        payload = row["html"].encode("utf-8", "replace") if row.get("html") else b""
        capture = Capture(place=Place(kind="html", position=0), url="", payload=payload, media_type="text/html")
        signal = meta_signal(page_metas(as_utf8(payload, "")), "", config)
        refused = refused_by_wish(capture, config)
        assert (refused.detail if refused else "") == signal
        wishes = (("x-robots-tag", "noai"),)
        assert refused_by_wish(replace(capture, wishes=wishes), config) is not None
