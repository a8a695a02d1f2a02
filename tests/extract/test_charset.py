"""The charset chain: marks, UTF-8, transport, declaration, detection."""

import io
import tarfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pipeline.extract.charset import codec_name, decode

RUSSIAN = "Все люди рождаются свободными и равными в своём достоинстве и правах. " * 8
KOI8 = b'<meta charset="koi8-r">'
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
        ("日本語のページです".encode("iso2022_jp"), "iso-2022-jp", "iso2022_jp", "日本語のページです"),
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
