"""Perplexity of a text: CCNet's spelling, KenLM's own numbers, the dialects, hostile texts."""

import io
import math
import random
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.arpa import ArpaModel
from pipeline.filter.perplexity import PerplexityModel, normalise
from pipeline.filter.perplexity_config import PerplexityConfig
from tests.filter.kenlm_models import ARPA, needs_kenlm, needs_sentencepiece

# --- the spelling of CCNet ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("Der ÄLTESTE Café-Besitzer", "der alteste cafe-besitzer"),
        ("3,5 km in 1984", "0,0 km in 0000"),  # each digit
        ("٣ १２", "0 00"),  # of any script
        ("«Ja» „nein“ ’s 「は」", '"ja" "nein" \'s "は"'),
        ("Schluss… 100％—ja", "schluss... 000% - ja"),
        ("one.\nTwo", "one.two"),  # line ends are control characters
        ("a\tb\x00\x7f\x85c\xa0d", "abc\xa0d"),
        ("한", "".join(map(chr, (0x1112, 0x1161, 0x11AB)))),  # its parts stay apart
        ("İ", "i"),
        ("", ""),
    ],
)
def test_the_spelling_of_ccnet(text: str, spelled: str) -> None:
    assert normalise(text) == spelled


def test_signs_become_those_that_ccnet_writes() -> None:
    signs = "，。、„”“«»」「《》´∶：？！（）；–—．～’…━〈〉【】％►"
    assert normalise(signs) == ',.,"""""""""\'::?!();- - . ~\'...-<>[]%-'


@given(
    st.text(
        st.characters(
            exclude_categories=["Cs"], exclude_characters="，。、„”“«»」「《》´∶：？！（）；–—．～’…━〈〉【】％►"
        )
    )
)
def test_other_characters_lose_case_accents_and_digits(text: str) -> None:
    parts = unicodedata.normalize("NFD", text.lower())
    kept = [char for char in parts if unicodedata.category(char) not in ("Mn", "Cc")]
    # Some characters, such as the Greek question mark, are others when they are taken apart.
    slow = re.sub(r"\d", "0", "".join(kept))
    assert normalise(text) == slow.replace("´", "'").replace("…", "...")


# --- perplexity ---------------------------------------------------------------------------------------


@needs_kenlm
def test_hand_worked_perplexities(arpa: Path) -> None:
    model = PerplexityModel("en", PerplexityConfig(model=str(arpa)))
    # <s> the: -0.2; <s> the old: -0.1; old mill: back-off of "the old", of "old", then -1.2; mill </s>: -0.3.
    mill = -0.2 - 0.1 + (-0.25 - 0.2 - 1.2) - 0.3
    assert model.of("The old mill") == pytest.approx(10 ** (-mill / 4), rel=1e-5)
    # <s> zebra: back-off of <s>, then unknown; an unknown word is no context.
    zebra = (-0.5 - 2) - 1
    assert model.of("zebra") == pytest.approx(10 ** (-zebra / 2), rel=1e-5)
    # A line is a sentence here, an empty one is none.
    assert model.of("The OLD mill\n\n \nzebra\n") == pytest.approx(10 ** (-(mill + zebra) / 6), rel=1e-5)


@needs_kenlm
def test_equal_to_the_scores_of_kenlm(arpa: Path) -> None:
    import kenlm

    theirs, slow = kenlm.Model(str(arpa)), ArpaModel(io.BytesIO(ARPA.encode()))
    ours = PerplexityModel("en", PerplexityConfig(model=str(arpa)))
    chance = random.Random(3)
    for length in (1, 2, 5, 40):
        words = chance.choices(["the", "old", "mill", "zebra"], k=length)
        score = theirs.score(" ".join(words))
        assert score == pytest.approx(sum(value for value, _ in slow.scores(words)), abs=1e-4)
        assert math.log10(ours.of(" ".join(words))) == pytest.approx(-score / (length + 1), abs=1e-6)
        assert ours.of(" ".join(words)) == pytest.approx(theirs.perplexity(" ".join(words)), rel=1e-5)


@needs_kenlm
def test_dialects_without_a_tokenizer(arpa: Path) -> None:
    ccnet, lines, plain = (
        PerplexityModel("en", PerplexityConfig(model=str(arpa), dialect=dialect)) for dialect in ("ccnet", "lines", "plain")
    )  # fmt: skip
    text = "THE old\nmill"
    assert ccnet.of(text) == lines.of(text) == plain.of("the old\nmill") < plain.of(text)


@needs_sentencepiece
@pytest.mark.parametrize(
    ("dialect", "sentences"),
    [
        ("ccnet", ["the old millwas there 0000"]),  # the line end is gone
        ("lines", ["the old mill", "was there 0000"]),
        ("plain", ["The old mill\n\nwas there 1984"]),  # SentencePiece takes a line end for a space
    ],
)
def test_dialects_with_a_tokenizer(pieces: Path, pieces_arpa: Path, dialect: Any, sentences: list[str]) -> None:
    import kenlm
    import sentencepiece

    config = PerplexityConfig(model=str(pieces_arpa), tokenizer=str(pieces), dialect=dialect)
    theirs, processor = kenlm.Model(str(pieces_arpa)), sentencepiece.SentencePieceProcessor(model_file=str(pieces))
    cut = [processor.encode(sentence, out_type=str) for sentence in sentences]
    expected = 10 ** (-sum(theirs.score(" ".join(each)) for each in cut) / sum(len(each) + 1 for each in cut))
    found = PerplexityModel("en", config).of("The old mill\n\nwas there 1984")
    assert found == pytest.approx(expected, rel=1e-5)


HOSTILE = {
    "nothing": "",
    "line ends": "\n" * 1000,
    "spaces": " \u3000\xa0\t\r\n",
    "control characters": "\x00\x01\x1b\x7f\x85" * 100,
    "one long line": "the old mill " * 80_000,
    "one long word": "x" * 1_000_000,
    "half a pair": "the \ud83d old",
    "marks of the model": "<s> </s> <unk> ▁",
    "accents alone": "\u0301" * 1000,
}


@needs_kenlm
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_give_a_number_or_nothing(arpa: Path, name: str) -> None:
    for dialect in ("ccnet", "plain"):
        found = PerplexityModel("en", PerplexityConfig(model=str(arpa), dialect=dialect)).of(HOSTILE[name])  # type: ignore[arg-type]
        nothing = name in ("nothing", "line ends", "spaces") or (name in ("control characters", "accents alone") and dialect == "ccnet")  # fmt: skip
        assert math.isnan(found) == nothing
        assert nothing or 1 < found < math.inf


@needs_sentencepiece
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_with_a_tokenizer(pieces: Path, pieces_arpa: Path, name: str) -> None:
    for dialect in ("ccnet", "plain"):
        config = PerplexityConfig(model=str(pieces_arpa), tokenizer=str(pieces), dialect=dialect)  # type: ignore[arg-type]
        found = PerplexityModel("en", config).of(HOSTILE[name])
        assert math.isnan(found) or 1 < found < math.inf


@needs_kenlm
def test_a_perplexity_beyond_all_numbers_is_a_number(tmp_path: Path) -> None:
    path = tmp_path / "far.arpa"
    path.write_text(ARPA.replace("-2\t<unk>", "-9999\t<unk>"), "utf-8")
    assert PerplexityModel("en", PerplexityConfig(model=str(path))).of("zebra zebra") == 1e300
