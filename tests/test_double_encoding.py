"""Texts that were encoded twice become what they were; all others stay."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.charset import decode
from pipeline.double_encoding import undo_double_encoding


def twice(text: str) -> str:
    return "".join(bytes((byte,)).decode("cp1252", "ignore") or chr(byte) for byte in text.encode())


@pytest.mark.parametrize(
    "text",
    [
        "Les premiers habitants étaient arrivés à l\u2019été 1850, où ils ont fêté Noël. Ça alors \u2014 déjà vu. " * 2,
        "It\u2019s \u201cquoted\u201d \u2013 and that\u2019s that. " * 4,  # with bytes that Windows-1252 lacks
        "Город быстро рос и через сто лет в нём стояли три церкви и рынок",
        "犬。 猫。 鳥。 魚。 馬。 牛。 羊。 豚。 鶏。 兎。",
        "fine 🎉 " * 10,
    ],
)
def test_encoded_twice(text: str) -> None:
    assert undo_double_encoding(twice(text)) == text
    assert undo_double_encoding(text) == text
    assert decode(twice(text).encode()).text == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain",
        "J\u00e3o comprou maçãs e limões; a irmã não. " * 5,
        "Ã\u00a9 " * 9,  # few: this may be what the text is about
        "Ã\u00a9 " * 20 + " and é",  # one letter is as it was meant
        "Ã\u00a9 " * 20 + " is called mojibake",
        "SÃO PAULO, AMANHÃ Â Ê " * 10,
        "Ð. Þ. Æ" * 20,
        "Город " * 20,
    ],
)
def test_left_alone(text: str) -> None:
    assert undo_double_encoding(text) == text


@given(st.text(st.characters(blacklist_categories=["Cs"]), max_size=60))
def test_whatever_was_encoded_twice_is_found(text: str) -> None:
    text = f"{text} é " * 10
    assert undo_double_encoding(twice(text)) in (text, twice(text) if "mojibake" in text else text)
