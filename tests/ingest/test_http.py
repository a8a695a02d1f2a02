"""HTTP messages as archives hold them."""

import gzip
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pipeline.ingest import http

BODY = b"<p>Some text that is long enough to be compressed, and compressed, and compressed.</p>" * 40


def raw_deflate(data: bytes) -> bytes:
    codec = zlib.compressobj(6, zlib.DEFLATED, -15)
    return codec.compress(data) + codec.flush()


ENCODED = {
    "gzip": gzip.compress(BODY),
    "x-gzip": gzip.compress(BODY),
    "deflate": zlib.compress(BODY),
    "br": brotli.compress(BODY),
    "zstd": zstandard.compress(BODY),
}


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        *ENCODED.items(),
        ("DEFLATE", raw_deflate(BODY)),  # what some servers send under the name
        (" GZip ", gzip.compress(BODY)),
        ("deflate, gzip", gzip.compress(zlib.compress(BODY))),  # applied in order, undone in reverse
        ("gzip", gzip.compress(BODY[:100]) + gzip.compress(BODY[100:])),  # two members
        ("gzip", gzip.compress(BODY) + b"\0\0\0 trailing rubbish"),
        ("gzip", gzip.compress(b"") * 20_000 + gzip.compress(BODY)),  # takes time with its length, not its square
        ("gzip, gzip", gzip.compress(BODY)),  # said twice, done once
        ("zstd", zstandard.compress(BODY[:100]) + zstandard.compress(BODY[100:]) + b"rubbish"),  # two frames
        ("", BODY),
        ("identity", BODY),
        ("utf-8", BODY),  # nonsense is taken as no encoding
        *((encoding, BODY) for encoding in ENCODED),  # decoded by the archiver, the header kept
    ],
)
def test_content_encodings_are_undone(encoding: str, body: bytes) -> None:
    assert http.decoded(body, encoding, 1 << 20) == BODY


@pytest.mark.parametrize("encoding", ENCODED)
def test_decoding_is_bounded(encoding: str) -> None:
    with pytest.raises(http.TooLarge):
        http.decoded(ENCODED[encoding], encoding, len(BODY) - 1)
    assert http.decoded(ENCODED[encoding], encoding, len(BODY)) == BODY


@pytest.mark.parametrize("encoding", ENCODED)
def test_a_cut_body_is_malformed(encoding: str) -> None:
    with pytest.raises(http.BadEncoding):
        http.decoded(ENCODED[encoding][:-9], encoding, 1 << 20)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", b"hello world"),
        (b"5;name=value\r\nhello\r\n0\r\nTrailer: x\r\n\r\n", b"hello"),
        (b"5\nhello\n0\n\n", b"hello"),  # bare line feeds
        (b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
        (b"<html>never chunked</html>", b"<html>never chunked</html>"),  # decoded by the archiver, the header kept
        (b"5\r\nhello\r\nthe rest is not chunked", b"hellothe rest is not chunked"),
        (b"ff\r\nshort", b"short"),
        (b"", b""),
    ],
)
def test_chunks_are_joined(body: bytes, expected: bytes) -> None:
    assert http.dechunked(body) == expected


@given(st.lists(st.binary(min_size=1, max_size=50)))
def test_chunking_round_trips(pieces: list[bytes]) -> None:
    chunked = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    assert http.dechunked(chunked) == b"".join(pieces)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"HTTP/1.1 200 OK", 200),
        (b"HTTP/1.0 404", 404),  # no reason phrase
        (b"HTTP/2 200 ", 200),
        (b"http/1.1 301 Moved", 301),
        (b"ICY 200 OK", 200),
        (b"HTTP/1.1 2000 OK", None),
        (b"<html>", None),
        (b"", None),
    ],
)
def test_status_lines(line: bytes, status: int | None) -> None:
    head = http.parse_head(line + b"\r\nContent-Type: text/html\r\n")
    assert (head.status if head else None) == status


def test_all_content_encodings_count_and_the_last_of_other_fields() -> None:
    head = http.parse_head(b"HTTP/1.1 200\r\nX: 1\r\nContent-Encoding: deflate\r\nX: 2\r\ncontent-encoding: gzip\r\n")
    assert head is not None
    assert head.fields == {"x": "2", "content-encoding": "deflate, gzip"}


def test_fields_are_lenient() -> None:
    fields = http.parse_fields(
        b"Content-Type : Text/HTML;\r\n charset=UTF-8\r\nno colon\r\nX: 1\r\nx: 2\r\n: empty\r\nY:\xff\r\n"
    )
    assert fields == {"content-type": "Text/HTML; charset=UTF-8", "x": "2", "y": "\ufffd"}


@pytest.mark.parametrize(
    ("content_type", "media_type", "charset"),
    [
        ("text/html; charset=utf-8", "text/html", "utf-8"),
        ('TEXT/HTML;Charset="ISO-8859-1"', "text/html", "iso-8859-1"),
        ("text/html;; charset = gb2312 ; x", "text/html", "gb2312"),
        ("charset=utf-8", "", "utf-8"),
        ("html", "", ""),
        ("", "", ""),
    ],
)
def test_content_types(content_type: str, media_type: str, charset: str) -> None:
    assert (http.media_type_of(content_type), http.charset_of(content_type)) == (media_type, charset)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"<!DOCTYPE html><html>", True),
        (b"\xef\xbb\xbf \n<HTML lang=en>", True),
        (b"<!-- made by hand --><head>", True),
        (b"<?xml version='1.0'?><!-- > --><!DOCTYPE html>", True),
        (b"<p>Without a head", True),
        (b"<!---->" * 100 + b"<html>", True),
        (b"<!---->" * 100 + b"<x>", False),  # takes no more time than its length
        (b"<?xml version='1.0'?><rss>", False),
        (b"plain text", False),
        (b"%PDF-1.4", False),
    ],
)
def test_html_is_recognised(payload: bytes, expected: bool) -> None:
    assert http.looks_like_html(payload) is expected


@pytest.mark.parametrize(
    ("block", "head", "body"),
    [
        (b"A\r\nB\r\n\r\nC", b"A\r\nB\r\n", b"C"),
        (b"A\nB\n\nC\n\nD", b"A\nB\n", b"C\n\nD"),
        (b"A\r\n", b"A\r\n", b""),
        (b"", b"", b""),
    ],
)
def test_heads_are_split_off(block: bytes, head: bytes, body: bytes) -> None:
    assert http.split_head(block) == (head, body)
