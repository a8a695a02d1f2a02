"""Archives: what is a page, where records lie, what damage costs; warcio as the oracle."""

import gzip
import hashlib
import io
import random
from collections import Counter
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.ingest.captures import Capture, Found, Other, Refusal, usable_media_type
from pipeline.ingest.config import MAX_PAGE_BYTES, PageRules
from pipeline.ingest.starts import next_start
from pipeline.ingest.warc import found_at, found_in_archive
from pipeline.streams import ByteStream
from tests.ingest.archives import COMPRESSORS, archive, crawl, html, http, record, response

WARC_COMPRESSIONS = ["", "gzip", "zstd", "lz4"]


def found(data: bytes, rules: PageRules | None = None, *, start: int = 0, end: int | None = None) -> list[Found]:
    return list(found_in_archive(io.BytesIO(data), rules or PageRules(), start=start, end=end))


def only(data: bytes, rules: PageRules | None = None) -> Found:
    (one,) = found(data, rules)
    return one


def reasons(results: list[Found]) -> list[str]:
    return [
        each.reason if isinstance(each, Refusal) else "page" if isinstance(each, Capture) else each.kind
        for each in results
    ]


@pytest.mark.parametrize(
    ("data", "outcome"),
    [
        (response(1), "page"),
        (record("response", "http://a/", http(html(1), status="404 Not Found")), "http_status"),
        (record("response", "http://a/", http(b"x", status="304 Not Modified")), "http_status"),
        (record("response", "http://a/", http(b"\x89PNG", content_type="image/png")), "media_type"),
        (record("response", "http://a/", http(html(1), content_type="Application/XHTML+XML; charset=x")), "page"),
        (record("response", "http://a/", http(b"words", content_type="text/plain")), "page"),
        (record("response", "http://a/", http(html(1), content_type="")), "page"),  # recognised by its first bytes
        (record("response", "http://a/", http(b"?", content_type="")), "media_type"),
        (record("response", "http://a/", http(html(1), content_type="unknown/unknown")), "page"),
        (record("response", "http://a/", http(b"<?xml version='1.0'?><html><p>a", content_type="text/xml")), "page"),
        (record("response", "http://a/", http(b"<?xml version='1.0'?><rss>", content_type="text/xml")), "media_type"),
        (record("response", "HTTP://A/", http(html(1))), "page"),
        (record("response", "http://a/", b"HTTP/1.1 100 Continue\r\n\r\n" + http(html(1))), "page"),
        (record("response", "http://a/", http(b"", status="103 Early Hints") * 2 + http(html(1))), "page"),
        (record("response", "http://a/", http(b"", status="101 Switching Protocols")), "http_status"),
        (record("response", "http://a/", http(b" \r\n ")), "empty"),
        (record("response", "http://a/", http(html(1)), WARC_Truncated="length"), "truncated"),
        (record("response", "http://a/", b"no http at all"), "malformed"),
        (record("response", "http://a/", http(gzip.compress(html(1))[:-20], Content_Encoding="gzip")), "malformed"),
        (record("response", "http://a/", http(b"x" * 5000)), "too_large"),
        (record("response", "http://a/", http(gzip.compress(b"x" * 5000), Content_Encoding="gzip")), "too_large"),
        (record("response", "<http://a/>", http(html(1))), "page"),  # Wget's brackets
        (record("resource", "http://a/", html(1), Content_Type="text/html"), "page"),
        (record("resource", "http://a/", b"{}", Content_Type="application/json"), "media_type"),
        (record("conversion", "http://a/", b"words", Content_Type="text/plain"), "page"),
        (record("resource", "metadata://gnu.org/wget", b"x", Content_Type="text/plain"), "resource_not_of_the_web"),
        (record("response", "dns:example.com", b"x"), "response_not_of_the_web"),
        (record("warcinfo", "", b"x"), "warcinfo"),
        (record("request", "http://a/", b"GET / HTTP/1.1\r\n\r\n"), "request"),
        (record("revisit", "http://a/", http(b"")), "revisit"),
        (record("response", "http://a/", http(html(1)), length=1 << 40), "truncated_file"),
        (b"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: many\r\n\r\n", "malformed"),
        (b"WARC/1.0\r\nWARC-Type: response\r\n", "truncated_file"),
        (b"this is no archive\n", "malformed"),
    ],
)
def test_each_record_is_one_thing(data: bytes, outcome: str) -> None:
    rules = PageRules(max_page_bytes=2000)
    assert reasons([only(data, rules)]) == [outcome]
    assert reasons([only(gzip.compress(data), rules)]) == [outcome]


def test_a_capture_holds_all_that_is_known() -> None:
    body = gzip.compress(html(7))
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    block = http(
        chunked, content_type="text/html; charset=Latin-1", Transfer_Encoding="chunked", Content_Encoding="gzip"
    )
    data = COMPRESSORS["gzip"](record("response", "http://example.com/a b", block))
    capture = only(data)
    assert isinstance(capture, Capture)
    assert (capture.url, capture.payload) == ("http://example.com/a%20b", html(7))
    assert (capture.media_type, capture.charset, capture.date) == ("text/html", "latin-1", "2026-01-02T03:04:05Z")
    assert (capture.place.kind, capture.place.position, capture.place.length) == ("warc", 0, len(data))


@pytest.mark.parametrize("compression", WARC_COMPRESSIONS)
def test_places_lead_back_to_the_records(compression: str) -> None:
    data = archive(crawl(range(30)), compression)
    pages = [each for each in found(data) if isinstance(each, Capture)]
    assert [page.payload for page in pages] == [html(number) for number in range(30)]
    for page in random.Random(0).sample(pages, 10):
        stream = ByteStream(io.BytesIO(data), compression=compression, start=page.place.position)
        again = found_at(stream, PageRules())
        assert isinstance(again, Capture)
        assert again.payload == page.payload
        if compression:
            piece = data[page.place.position : page.place.position + page.place.length]
            assert isinstance(only(piece), Capture)


def test_records_inside_one_member_are_counted_from_the_start_of_the_stream() -> None:
    records = crawl(range(5))
    pages = [each for each in found(gzip.compress(b"".join(records))) if isinstance(each, Capture)]
    assert [page.place.kind for page in pages] == ["warc_stream"] * 5
    assert [page.place.position for page in pages] == [len(b"".join(records[: 2 + 3 * number])) for number in range(5)]


@pytest.mark.parametrize("compression", WARC_COMPRESSIONS)
@given(edges=st.lists(st.floats(0, 1), min_size=1, max_size=6))
@settings(max_examples=25, deadline=None)
def test_ranges_together_hold_each_record_once(compression: str, edges: list[float]) -> None:
    data = archive(crawl(range(12)), compression)
    whole = found(data)
    cuts = sorted({0, *(int(edge * len(data)) for edge in edges)})
    parts = [found(data, start=start, end=end) for start, end in zip(cuts, [*cuts[1:], None], strict=True)]
    assert [each for part in parts for each in part] == whole


@pytest.mark.parametrize("compression", ["gzip", "zstd", "lz4"])
def test_a_damaged_member_costs_its_record_and_no_other(compression: str) -> None:
    members = [COMPRESSORS[compression](response(number, size=3000)) for number in range(5)]
    broken = bytearray(members[2])
    broken[8:40] = bytes(32)
    results = found(b"".join([*members[:2], bytes(broken), *members[3:]]))
    pages = [each.url for each in results if isinstance(each, Capture)]
    assert pages == [f"http://example.com/{number}" for number in (0, 1, 3, 4)]
    (damage,) = [each for each in results if isinstance(each, Refusal)]
    assert damage.reason == "unreadable_file"
    assert damage.place.position == len(members[0]) + len(members[1])


@pytest.mark.parametrize("compression", WARC_COMPRESSIONS)
@given(cut=st.floats(0.02, 0.99))
@settings(max_examples=25, deadline=None)
def test_a_cut_file_gives_what_it_held_and_one_refusal(compression: str, cut: float) -> None:
    members = [COMPRESSORS[compression](response(number)) for number in range(6)]
    data = b"".join(members)
    length = int(len(data) * cut)
    results = found(data[:length])
    edges = [len(b"".join(members[:number])) for number in range(7)]
    whole = max(number for number, edge in enumerate(edges) if edge <= length + (4 if not compression else 0))
    pages = [each.url for each in results if isinstance(each, Capture)]
    assert pages == [f"http://example.com/{number}" for number in range(len(pages))]
    assert len(pages) in (whole, whole + 1)  # a record is whole even if the checksum behind it is not
    refused = [each.reason for each in results if isinstance(each, Refusal)]
    if length not in edges and compression:
        assert refused in (["truncated_file"], ["unreadable_file"])  # a few bytes are not enough to be a member
    assert len(refused) <= 1


def test_rubbish_between_plain_records_is_passed_over() -> None:
    data = response(1) + b"rubbish\nmore rubbish\n\n" + response(2)
    assert reasons(found(data)) == ["page", "malformed", "page"]


@pytest.mark.parametrize("compression", ["", "gzip"])
def test_an_archive_inside_an_archive_is_not_read_in_parts(compression: str) -> None:
    inside = archive(crawl(range(5), size=3000), compression)
    body = http(b"\n\r\n" + inside + random.Random(0).randbytes(3000), content_type="application/warc")
    outside = record("response", "http://a/", body)
    # stored, not deflated: the members inside can be seen from outside
    member = gzip.compress(outside, 0, mtime=0) if compression else outside
    data = b"".join([COMPRESSORS[compression](response(1)), member, COMPRESSORS[compression](response(2))])
    assert reasons(found(data)) == ["page", "media_type", "page"]
    middle = data.index(inside) + 10
    first, second = found(data, end=middle), found(data, start=middle)
    assert reasons(first) == ["page", "media_type", "unreadable_file"]
    assert reasons(second)[-1] == "page"
    assert isinstance(first[-1], Refusal)
    assert "split_bytes = 0" in first[-1].detail


def test_arc_records_are_read() -> None:
    body = http(html(1))
    head = b"1 0 InternetArchive\nURL IP-address Archive-date Content-type Archive-length\n"
    data = b"filedesc://x.arc 0.0.0.0 20080430204825 text/plain %d\n%b\n" % (len(head), head)
    data += b"http://a/b c 1.2.3.4 20080430204826 text/html %d\n%b\n" % (len(body), body)
    data += b"dns:a 1.2.3.4 20080430204826 text/dns 3\nabc\n"
    data += b"http://a/2 1.2.3.4 20080430204826 text/html 200 - - 99 x.arc %d\n%b\n" % (len(body), body)  # version 2
    data += b"http://a/3 1.2.3.4 20080430204826 text/html; charset=x %d\n%b\n" % (len(body), body)
    data += b"http://a/4 1.2.3.4 20080430204826  %d\n%b\n" % (len(body), body)  # no type
    results = found(data)
    assert reasons(results) == ["arc_filedesc", "page", "arc_dns", "page", "page", "page"]
    first = results[1]
    assert isinstance(first, Capture)
    assert (first.url, first.date) == ("http://a/b%20c", "2008-04-30T20:48:26Z")


def test_zstd_with_a_dictionary_is_read_in_ranges() -> None:
    records = crawl(range(20))
    dictionary = zstandard.train_dictionary(2048, records * 5)
    content = dictionary.as_bytes()
    compressor = zstandard.ZstdCompressor(dict_data=dictionary)
    data = (
        b"\x5d\x2a\x4d\x18" + len(content).to_bytes(4, "little") + content + b"".join(map(compressor.compress, records))
    )
    whole = found(data)
    assert reasons(whole).count("page") == 20
    middle = len(data) // 2
    assert found(data, end=middle) + found(data, start=middle) == whole


def test_a_gzip_magic_inside_a_body_begins_no_record() -> None:
    inner = gzip.compress(b"x" * 50)
    data = archive([response(1), record("response", "http://a/", http(inner * 100)), response(2)], "")
    start = data.index(inner)
    assert next_start(io.BytesIO(data), "gzip", start, None) is None


def known_differences() -> dict[str, str]:
    """Files where warcio reads fewer or other pages than we do, and why."""
    return {
        "badexample.arc.gz": "warcio wants a member for each record",
        "example.txt.warc.gz": "no Content-Type and not HTML: we refuse it",
        "block-sized-records.warc.lz4": "warcio reads no lz4",
        "warcfile.warc.lz4": "warcio reads no lz4",
        "clipped.warc.gz": "warcio gives the first part of a cut record",
        "bbc.warc": "warcio gives the first part of a cut record",
        "sample.warc.txt": "warcio stops at a wrong Content-Length",
        "blackbook-truncated.arc": "warcio stops where the first record is not followed by an empty line",
        "link-extraction-test.warc": "warcio stops at a wrong Content-Length",
        "skip-non-open.warc.gz": "warcio wants a member for each record",
        "transfer_compression_brotli.warc": "warcio fails on the brotli of today",
        "transfer_compression_brotli.warc.gz": "warcio fails on the brotli of today",
        "example-bad-non-chunked.warc.gz": "warcio wants a member for each record",
        "example-bad.warc.gz.bad": "warcio wants a member for each record",
        "example-space-in-url.arc": "warcio gives the first part of a cut record",
        "example-trunc.warc": "warcio gives the first part of a cut record",
        "example-wrong-chunks.warc.gz": "warcio stops at a wrong Content-Length",
    }


def test_all_archives_of_others_give_the_pages_that_warcio_gives(shared_data: Path) -> None:
    paths = [
        path
        for path in sorted((shared_data / "warc").iterdir())
        if {".warc", ".arc", ".wet", ".wat"} & set(path.suffixes)
    ]
    assert len(paths) > 70
    rules = PageRules(max_page_bytes=MAX_PAGE_BYTES, keep_truncated=True)
    compared = 0
    for path in paths:
        with path.open("rb") as file:
            ours = list(found_in_archive(file, rules))
        if path.name.endswith(tuple("_" + name for name in known_differences())) or path.name.endswith(
            tuple("-" + name for name in known_differences())
        ):
            continue
        pages = Counter(hashlib.sha256(each.payload).hexdigest() for each in ours if isinstance(each, Capture))
        assert pages == pages_by_warcio(path), path.name
        compared += sum(pages.values())
    assert compared > 400


def pages_by_warcio(path: Path) -> Counter[str]:
    from warcio.archiveiterator import ArchiveIterator
    from warcio.exceptions import ArchiveLoadFailed

    pages: Counter[str] = Counter()
    with path.open("rb") as file:
        try:
            for each in ArchiveIterator(file):
                url = (
                    each.rec_headers.get_header("WARC-Target-URI") or each.rec_headers.get_header("uri") or ""
                ).strip("<>")
                if not url.startswith("http") or each.rec_type not in ("response", "resource", "conversion"):
                    continue
                headers = each.http_headers if each.rec_type == "response" else each.rec_headers
                if each.rec_type == "response" and (headers is None or headers.get_statuscode() not in ("200", "203")):
                    continue
                media_type = (headers.get_header("Content-Type") or "").partition(";")[0].strip().lower()
                if media_type and not usable_media_type(media_type):
                    continue
                payload = each.content_stream().read()
                if payload.strip():
                    pages[hashlib.sha256(payload).hexdigest()] += 1
        except ArchiveLoadFailed:
            pass
    return pages


def test_counts_agree_with_the_manifest_of_the_archives(shared_data: Path) -> None:
    """Whole Common Crawl archives hold exactly the records that their manifest counts."""
    expected = Counter(warcinfo=1, request=17, metadata=16)
    for ending in ("", ".gz", ".lz4"):
        path = shared_data / f"warc/chatnoir-eu+chatnoir-resiliparse__tests__data__warcfile.warc{ending}"
        results = found(path.read_bytes())
        assert Counter(each.kind for each in results if isinstance(each, Other)) == expected
        assert sum(isinstance(each, (Capture, Refusal)) for each in results) == 16
