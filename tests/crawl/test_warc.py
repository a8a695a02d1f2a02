"""Records, read back by warcio: what servers send, and what no server should."""

import gzip
import io
from collections.abc import Sequence
from dataclasses import replace

import pytest
from warcio.archiveiterator import ArchiveIterator

from pipeline.crawl.warc import REVISIT_IDENTICAL, Exchange, exchange_records, request_records, revisit_records


def exchange(
    body: bytes, headers: Sequence[tuple[str, str]] = (), *, status: int = 200, reason: str = "OK"
) -> Exchange:
    return Exchange(
        url="http://example.com/a?b=1",
        at=1_700_000_000.5,
        seconds=0.1,
        address="192.0.2.1",
        request_headers=[("Host", "example.com")],
        status=status,
        reason=reason,
        headers=[("Content-Type", "text/html"), *headers],
        body=body,
    )


def read(records: bytes) -> list[tuple[str, bytes]]:
    """Type and content of each record; each is a gzip member of its own, and every digest is right."""
    reader = ArchiveIterator(io.BytesIO(records), check_digests="raise")
    return [(record.rec_type, record.raw_stream.read()) for record in reader]


@pytest.mark.parametrize("num_bytes", [0, 1, 60_000, 65_535, 65_536, 131_070, 131_071, 300_000])
@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_bodies_of_any_length(num_bytes: int, encoding: str) -> None:
    """65,535 bytes are the most that one stored block of a gzip member can hold."""
    body = bytes(range(256)) * (num_bytes // 256) + b"x" * (num_bytes % 256)
    sent = [("Content-Encoding", encoding)] if encoding else []
    (kind, content), *others = read(exchange_records(exchange(body, sent), [("via", "http://example.com/")]))
    assert (kind, content) == ("response", body)
    assert [each for each, _ in others] == ["request", "metadata"]


def test_records_can_be_read_from_their_offsets() -> None:
    first = exchange_records(exchange(b"1" * 70_000, [("Content-Encoding", "gzip")]), [])
    both = first + exchange_records(exchange(b"2"), [])
    assert read(both[len(first) :])[0] == ("response", b"2")
    assert gzip.decompress(both).count(b"WARC/1.1\r\n") == 6


@pytest.mark.parametrize(
    "headers",
    [
        [("Transfer-Encoding", "chunked")],
        [("Content-Length", "99999")],  # not the length of what came
        [("X-Odd", "\udcff\udc80"), ("X-Empty", "")],  # bytes that are no UTF-8
        [("WARC-Type", "request"), ("Content-Type", "application/http")],
        [(f"X-{number}", "y" * 900) for number in range(128)],
    ],
)
def test_odd_headers(headers: list[tuple[str, str]]) -> None:
    records = exchange_records(exchange(b"<p>", headers, status=299, reason=""), [("detail", "a\r\nWARC/1.1\r\n: b")])
    assert [kind for kind, _ in read(records)] == ["response", "request", "metadata"]
    assert read(records)[0][1] == b"<p>"
    assert b"\r\nWARC/1.1" not in read(records)[2][1]


def test_revisits_and_requests_alone() -> None:
    made = exchange_records(exchange(b"x"), [])
    digest = next(iter(ArchiveIterator(io.BytesIO(made)))).rec_headers["WARC-Payload-Digest"]
    again = revisit_records(
        exchange(b"x"),
        [],
        profile=REVISIT_IDENTICAL,
        refers_to="http://example.com/",
        refers_to_date="2023-11-14T22:13:20Z",
        digest=digest,
    )
    assert [kind for kind, _ in read(again)] == ["revisit", "request", "metadata"]
    assert [kind for kind, _ in read(request_records(exchange(b"secret"), []))] == ["request", "metadata"]
    assert b"secret" not in gzip.decompress(request_records(exchange(b"secret"), []))


@pytest.mark.parametrize("truncated", [True, False])
def test_cut_body_is_marked(truncated: bool) -> None:
    made = exchange_records(replace(exchange(b"x"), truncated=truncated), [])
    headers = next(iter(ArchiveIterator(io.BytesIO(made)))).rec_headers
    assert headers.get_header("WARC-Truncated") == ("length" if truncated else None)


@pytest.mark.parametrize(
    ("sent", "location"),
    [
        (b"/a b", "/a b"),
        ("/café".encode(), "/caf%C3%A9"),
        (b"/caf\xe9", "/caf%E9"),  # Latin-1: the octets are sent back as they came
        (b"", ""),
    ],
)
def test_where_a_redirect_leads(sent: bytes, location: str) -> None:
    first, second = (value.decode("utf-8", "surrogateescape") for value in (sent, b"/other"))
    assert exchange(b"", [("Location", first), ("location", second)]).location == location
    assert exchange(b"").location == ""


def test_header_is_text_that_can_be_written() -> None:
    sent = exchange(b"", [("ETag", b'"caf\xe9"'.decode("utf-8", "surrogateescape")), ("X", "é"), ("x", "2")])
    assert (sent.header("etag"), sent.header("x")) == ('"café"', "é, 2")
