import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pipeline.crawl.bodies import BodyError, decoded, decoded_start, may_be_page, page_type
from pipeline.markup import header_charset, utf8_and_charset

ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
    "identity": bytes,
}


@given(st.binary(max_size=5000), st.lists(st.sampled_from(sorted(ENCODERS)), max_size=3))
def test_undoes_any_chain_of_encodings(payload: bytes, names: list[str]) -> None:
    body = payload
    for name in names:
        body = ENCODERS[name](body)
    assert decoded(body, ", ".join(names), 1 << 20) == payload


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
def test_bombs_are_cut_with_bounded_memory(name: str) -> None:
    limit = 2 << 20
    body = brotli.compress(bytes(50 << 20), quality=1) if name == "br" else ENCODERS[name](bytes(50 << 20))
    tracemalloc.start()
    with pytest.raises(BodyError, match="decoded_too_large"):
        decoded(body, name, limit)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6 * limit


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
@given(keep=st.integers(0, 60))
def test_cut_bodies_are_refused(name: str, keep: int) -> None:
    whole = ENCODERS[name](bytes(range(256)))
    with pytest.raises(BodyError, match="bad_encoding"):
        decoded(whole[: min(keep, len(whole) - 9)], name, 1 << 20)


def test_layers_of_encodings_are_few() -> None:
    body = b"x"
    for _ in range(6):
        body = gzip.compress(body)
    with pytest.raises(BodyError, match="bad_encoding"):
        decoded(body, ", ".join(["gzip"] * 6), 1 << 20)


@pytest.mark.parametrize("names", [["gzip", "br"], ["zstd", "gzip"], ["br", "zstd", "deflate"]])
def test_bombs_in_layers_are_cut(names: list[str]) -> None:
    body = bytes(30 << 20)
    for name in names:
        body = ENCODERS[name](body)
    tracemalloc.start()
    with pytest.raises(BodyError, match="decoded_too_large"):
        decoded(body, ", ".join(names), 2 << 20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12 << 20


def test_oddities_of_servers() -> None:
    bare = zlib.compressobj(wbits=-15)
    assert decoded(bare.compress(b"bare deflate") + bare.flush(), "deflate", 100) == b"bare deflate"
    assert decoded(gzip.compress(b"a") + gzip.compress(b"b") + b"\0\0", "GZIP", 100) == b"ab"
    assert decoded(gzip.compress(b"") * 20_000 + gzip.compress(b"a"), "gzip", 100) == b"a"
    assert decoded(gzip.compress(b"a"), "gzip, gzip", 100) == b"a"  # said twice, done once
    assert decoded(gzip.compress(gzip.compress(b"a")), "gzip, gzip", 100) == b"a"
    for word in ("UTF-8", "none", "binary", "text/html"):  # the header says something else than an encoding
        assert decoded(b"a", word, 100) == b"a"
    for name in ("compress", "gzip, xz", "rot13"):
        with pytest.raises(BodyError, match="unknown_encoding"):
            decoded(b"x", name, 100)


def test_start_of_a_cut_file_ends_with_a_line() -> None:
    text = b"".join(b"Disallow: /%d\n" % number for number in range(1000))
    assert decoded_start(text[:95], "", 95) == text[: text[:95].rfind(b"\n") + 1]
    start = decoded_start(gzip.compress(text)[:-500], "gzip", 1 << 20)
    assert start.endswith(b"\n")
    assert text.startswith(start)
    assert decoded_start(text, "", 1 << 20) == text
    assert decoded_start(b"junk", "gzip", 100) is None  # not the same as an empty file
    assert decoded_start(brotli.compress(text)[:-9], "br", 1 << 20) is None


@pytest.mark.parametrize(
    ("content_type", "payload", "kind"),
    [
        ("text/html; charset=x", b"<p>", "text/html"),
        ("TEXT/HTML", b"", "text/html"),
        ("application/xhtml+xml", b"<html>", "text/html"),
        ("text/plain", b"text", "text/plain"),
        ("text/plain", b"\x00\x01\x02\x03binary", ""),
        ("text/html", "<p>".encode("utf-16-le") * 9, "text/html"),
        ("text/html", b"%PDF-1.4", ""),
        ("text/html", b"\x89PNG\r\n\x1a\n", ""),
        ("", b"\n <!-- c --> <!DOCTYPE html>", "text/html"),
        ("", b"just words", "text/plain"),
        ("text/xml", b'<?xml version="1.0"?><html xmlns="x">', "text/html"),
        ("application/xml", b"<rss>", ""),
        ("application/json", b"{}", ""),
        ("nonsense", b"<html>", "text/html"),
        ("application/json, text/html; charset=utf-8", b"<p>", "text/html"),  # of two headers the last one
        ("text/html; charset=utf-8, text/html", b"<p>", "text/html"),
        ("", b"<!---->" * 130 + b"<html>", "text/html"),
        ("", b"<!---->" * 140, "text/plain"),  # as many ways to read it as there are to part a row of 140
        ("", b"<?xml version='1.0'?><!-- > --><html >", "text/html"),
    ],
)
def test_media_type_by_header_and_bytes(content_type: str, payload: bytes, kind: str) -> None:
    assert page_type(content_type, payload) == kind
    assert may_be_page(content_type) or kind == ""


LINK = '<a href="/日本?日本">'


@pytest.mark.parametrize(
    ("content_type", "payload", "charset"),
    [
        ("text/html", b"\xef\xbb\xbf<meta charset=latin-1>", "utf-8"),  # the mark comes first
        ("text/html; charset=koi8-r", "<meta charset=latin-1>о чём речь".encode("koi8-r"), "koi8-r"),  # then the header
        ("text/html", "<meta charset='euc-kr'>한국어".encode("euc-kr"), "cp949"),
        ("text/html", '<?xml version="1.0" encoding="shift_jis"?><html>日本'.encode("shift_jis"), "cp932"),
        ("text/html; charset=none-such", b"<p>", "utf-8"),
        ("text/html", b'<meta charset="utf-16"><p>', "utf-8"),  # could be read, so it is wrong
        ("text/html; charset=base64", b"<p>", "utf-8"),  # known to Python, and no charset
        ("text/html; charset=latin-1", LINK.encode(), "utf-8"),  # nothing but UTF-8 looks like it
        ("text/html", LINK.encode("utf-16"), "utf-16-le"),
        ("text/html", LINK.encode("utf-16-be"), "utf-16-be"),  # without a mark
        ("text/html; charset=utf-16le", LINK.encode("utf-16-le"), "utf-16-le"),
        ("text/html", LINK.encode("utf-32"), "utf-32-le"),
        ("text/html; charset=windows-31j", LINK.encode("cp932"), "cp932"),
        ("text/html; charset=iso-2022-jp", LINK.encode("iso2022_jp"), "iso2022_jp_ext"),
    ],
)
def test_markup_is_read_in_the_charset_of_its_page(content_type: str, payload: bytes, charset: str) -> None:
    html, found = utf8_and_charset(payload, content_type)
    assert found == charset
    assert b"<a" not in payload.replace(b"\0", b"") or LINK in html.decode()


def test_charset_of_a_header() -> None:
    assert header_charset('text/html; Charset="UTF-8"') == "utf-8"
    assert header_charset("text/html") == ""
