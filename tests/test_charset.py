"""The charset chain: marks, UTF-8, transport, declaration, detection."""

import io
import tarfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pipeline.charset import codec_name, decode, is_plain_utf8

RUSSIAN = "Все люди рождаются свободными и равными в своём достоинстве и правах. " * 8
KOI8 = b'<meta charset="koi8-r">'
CHINESE = "人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心,并应以兄弟关系的精神相对待。" * 4
JAPANESE = "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。" * 4
KOREAN = "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. 똠방각하 " * 4
FRENCH = "Déjà vu : où est l’été ? Très bien, dit-elle, à bientôt. " * 8


@pytest.mark.parametrize(
    ("payload", "transport", "charset", "text"),
    [
        # nothing but ASCII
        (b"<p>plain</p>", "", "utf-8", "<p>plain</p>"),
        # a byte order mark goes before everything and is not part of the text
        (b"\xef\xbb\xbfabc", "iso-8859-1", "utf-8", "abc"),
        ("ю".encode("utf-16"), "utf-8", "utf-16-le", "ю"),
        (b"\xfe\xff" + "ю".encode("utf-16-be"), "", "utf-16-be", "ю"),
        # and without a mark by its null bytes
        ("<p>wide</p>".encode("utf-16-le"), "", "utf-16-le", "<p>wide</p>"),
        ("<p>wide</p>".encode("utf-16-be"), "", "utf-16-be", "<p>wide</p>"),
        # valid UTF-8 is UTF-8, whatever the labels say
        ("été".encode(), "iso-8859-1", "utf-8", "été"),
        # the transport goes before the page
        (KOI8 + RUSSIAN.encode("cp1251"), "windows-1251", "cp1251", KOI8.decode() + RUSSIAN),
        # the page, where the transport says nothing or nothing known
        (KOI8 + RUSSIAN.encode("koi8-r"), "", "koi8-r", KOI8.decode() + RUSSIAN),
        (b"<meta http-equiv='content-type' content='text/html; charset=koi8-r'>\xf0\xf1", "klingon", "koi8-r", None),
        # a label that cannot be true is not believed
        (FRENCH.encode("cp1252"), "utf-8", "cp1252", FRENCH),
        (RUSSIAN.encode("cp1251"), "utf-8", "cp1251", RUSSIAN),
        # labels mean their supersets, as in browsers
        ("“quoted” ".encode("cp1252") * 9, "iso-8859-1", "cp1252", "“quoted” " * 9),
        # shifted encodings look like ASCII
        ("日本語のページです".encode("iso2022_jp"), "iso-2022-jp", "iso2022_jp_ext", "日本語のページです"),
        # what browsers know in the Japanese charsets beyond their standards: numbers in circles, half-width letters
        ("①㈱髙 き".encode("cp932"), "shift_jis", "cp932", "①㈱髙 き"),
        (b"\xad\xa1\xad\xea " + "きのページです".encode("euc_jp"), "euc-jp", "euc_jp", "①㈱ きのページです"),
        (b"\x1b$B\x2d\x21\x24\x2d\x1b(I1\x1b(B.", "iso-2022-jp", "iso2022_jp_ext", "①きｱ."),
        # Thai with the signs of Windows, under each of its names
        ("“สวัสดี”…".encode("cp874") * 9, "tis-620", "cp874", "“สวัสดี”…" * 9),
        ("“สวัสดี”…".encode("cp874") * 9, "windows-874", "cp874", "“สวัสดี”…" * 9),
        # UTF-8 with a wrong byte or two stays UTF-8, whatever the labels say
        (FRENCH.encode() + b"\xe9 " + FRENCH.encode(), "iso-8859-1", "utf-8", f"{FRENCH}\ufffd {FRENCH}"),
        # Latin-1 is what servers say that know nothing: not believed of other scripts
        (KOI8 + RUSSIAN.encode("koi8-r"), "iso-8859-1", "koi8-r", KOI8.decode() + RUSSIAN),
        (RUSSIAN.encode("cp1251"), "iso-8859-1", "cp1251", RUSSIAN),
        (CHINESE.encode("gbk"), "iso-8859-1", "gb18030", CHINESE),
        (JAPANESE.encode("euc_jp"), "us-ascii", "euc_jp", JAPANESE),
        (KOREAN.encode("cp949"), "", "cp949", KOREAN),
        # but of French quotations, ornament and Icelandic words it is
        ("« L’été » — ••••••• þæð ".encode("cp1252") * 9, "iso-8859-1", "cp1252", "« L’été » — ••••••• þæð " * 9),
        # declarations: late ones, and those that only look like one
        (b"<script>" + b"x" * 9000 + b"</script>" + KOI8 + b"\xf0\xf1 abc", "", "koi8-r", None),
        (b"<!-- <meta charset=big5> -->" + KOI8 + b"\xf0\xf1 abc", "", "koi8-r", None),
        (b"<script>'<meta charset=big5>'</script>" + KOI8 + b"\xf0\xf1 abc", "", "koi8-r", None),
        (b"<meta name=description content='charset=big5'>" + KOI8 + b"\xf0\xf1 abc", "", "koi8-r", None),
        (b"<?xml version='1.0' encoding='koi8-r'?><p>\xf0\xf1 abc", "", "koi8-r", None),
        # UTF-16 in which Latin letters are few, and UTF-32
        (f"<p>{CHINESE}".encode("utf-16-le"), "", "utf-16-le", f"<p>{CHINESE}"),
        (RUSSIAN.encode("utf-16-be"), "utf-16be", "utf-16-be", RUSSIAN),
        (b"<p>plain</p>", "utf-16", "utf-8", "<p>plain</p>"),
        (b"plain " * 40 + b"\0.", "", "utf-8", "plain " * 40 + "\0."),
        (b"\xff\xfe\0\0" + "ю".encode("utf-32-le"), "", "utf-32-le", "ю"),
        ("<p>wide</p>".encode("utf-32-be"), "", "utf-32-be", "<p>wide</p>"),
        # cut inside the last character by a crawler
        (b"na\xc3", "", "utf-8", "na"),
        (b"", "", "utf-8", ""),
    ],
)  # fmt: skip
def test_decode(payload: bytes, transport: str, charset: str, text: str | None) -> None:
    decoded = decode(payload, transport=transport)
    assert decoded.charset == charset
    assert decoded.damaged_share < 0.01
    if text is not None:
        assert decoded.text == text


def test_a_declaration_of_utf_16_that_can_be_read_is_not_true() -> None:
    assert decode(b'<meta charset="utf-16">abc \xe9\xe9').charset != "utf-16-le"


@pytest.mark.parametrize("opened", ["<!--", "<script ", "<title>", "<meta charset", "<style></styl"])
def test_what_never_ends_takes_time_with_its_length(opened: str) -> None:
    """Each start looking for its end, it would take half a minute."""
    assert decode(b"\xff" + opened.encode() * 50_000).charset


def test_binary_rubbish_is_damaged() -> None:
    assert decode(bytes(range(256)) * 40).damaged_share > 0.05
    assert decode(b"\0" * 100).damaged_share == 1.0


@pytest.mark.parametrize(
    ("label", "codec"),
    [
        ("UTF8", "utf-8"),
        ("latin1", "cp1252"),
        (" 'Shift_JIS' ", "cp932"),
        ("gb2312", "gb18030"),
        ("klingon", ""),
        ("", ""),
        ("x-user-defined", ""),
        ("windows-874", "cp874"),
        ("x-mac-cyrillic", "mac-cyrillic"),
        ("CP949", "cp949"),  # not in the standard of the web, but on it
    ],
)
def test_labels_of_the_web(label: str, codec: str) -> None:
    assert codec_name(label) == codec


@given(
    st.binary(max_size=300), st.sampled_from(["", "utf-8", "shift_jis", "big5", "utf-16", "iso-2022-jp", "nonsense"])
)
def test_any_bytes_decode(payload: bytes, transport: str) -> None:
    decoded = decode(payload, transport=transport)
    assert 0 <= decoded.damaged_share <= 1


@given(st.text(max_size=200))
def test_any_text_survives_utf_8(text: str) -> None:
    text = text.encode("utf-8", "ignore").decode().lstrip("\ufeff")
    if not {"\x1b", "\x00"} & set(text):  # what tells ISO 2022 and UTF-16 without a mark
        assert decode(text.encode()).text == text


def test_real_pages_in_legacy_charsets(shared_data: Path) -> None:
    """Apache's manual: the declaration in the page is true and is found. Without it, detection finds most."""
    right = total = 0
    with open(shared_data / "vectors/charset/httpd20_legacy_charset_html.tar.zst", "rb") as file:
        content = zstandard.ZstdDecompressor().stream_reader(file).read()
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive.getmembers():
            if not member.isfile() or not member.name.endswith(tuple(_SUFFIXES)):
                continue
            payload = archive.extractfile(member).read()  # type: ignore[union-attr]
            expected = _SUFFIXES[member.name[member.name.rindex(".") :]]
            if payload.isascii():
                continue
            total += 1
            right += decode(payload).text == payload.decode(expected, "replace")
    assert total > 100
    assert right / total > 0.99


_SUFFIXES = {".euc-kr": "cp949", ".koi8-r": "koi8-r", ".iso8859-1": "cp1252"}


@given(st.binary(max_size=60) | st.text(max_size=30).map(str.encode))
def test_what_is_told_at_once_is_what_decoding_finds(payload: bytes) -> None:
    if is_plain_utf8(payload):
        assert decode(payload).charset == "utf-8"
