"""Words, shingles and text hashes against plain Python, and what counts as the same text."""

import unicodedata
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedup import minhash, passages, sentences
from pipeline.dedup.alphabet import CONNECTOR, EXPANDED, LENGTH_BITS, NOTHING, TABLE_SIZE, UNSPACED, code_point_table
from pipeline.dedup.minhash import Permutations, sign_texts
from pipeline.dedup.shingles import NO_STARTS, VERSION, Shingling, scan, shingle_hashes, text_buffers

MASK = (1 << 64) - 1


def mixed(value: int) -> int:
    value ^= value >> 33
    value = value * 0xFF51AFD7ED558CCD & MASK
    value ^= value >> 33
    value = value * 0xC4CEB9FE1A85EC53 & MASK
    return value ^ value >> 33


def plain_words(text: str) -> list[tuple[str, bool]]:
    """The folded words of `text`, and for each whether it is one character of an unspaced script."""
    table = code_point_table()
    words, word, text = [], "", text + " "
    for at, character in enumerate(text):
        point = ord(character)
        meaning = int(table[point]) if point < TABLE_SIZE else point | UNSPACED if point < 0x40000 else NOTHING
        if meaning == NOTHING:
            continue
        if meaning == CONNECTOR:  # part of the word between two letters of it
            following = int(table[ord(text[at + 1])]) if ord(text[at + 1]) < TABLE_SIZE else UNSPACED
            meaning = point if word and CONNECTOR < following < UNSPACED else 1
        if meaning & EXPANDED and not meaning & UNSPACED:
            first, length = (meaning ^ EXPANDED) >> LENGTH_BITS, meaning & 31
            word += "".join(chr(letter) for letter in table[first : first + length])
            continue
        if CONNECTOR < meaning < UNSPACED:
            word += chr(meaning)
            continue
        if word:
            words.append((word, False))
            word = ""
        if meaning >= UNSPACED:
            words.append((chr(meaning & ~UNSPACED), True))
    return words


def plain_shingles(text: str, words: int, characters: int) -> list[int]:
    """The shingle hashes of `text` by the definition, one code point at a time."""
    found = plain_words(text)
    size = characters if 2 * sum(unspaced for _, unspaced in found) > len(found) else words
    hashes = []
    for word, unspaced in found:
        value = 0x9E3779B97F4A7C15
        for character in word:
            if "\u0300" <= character < "\u0370":  # accents are added: their order is of no account
                value = value + ord(character) * 0xC2B2AE3D27D4EB4F & MASK
                continue
            value = (value ^ (ord(character) | (UNSPACED if unspaced else 0))) * 0x9FB21C651E98DF25 & MASK
            value ^= 0 if unspaced else value >> 29
        hashes.append(mixed(value))
    shingles = []
    for first in range(len(hashes) - size + 1):
        value = size
        for one in hashes[first : first + size]:
            value = (value * 0xC2B2AE3D27D4EB4F + one) & MASK
        shingles.append(mixed(value))
    return shingles


texts = st.text(
    alphabet=st.sampled_from("ﬁﷺ각각abc__DEé ,.-\n\u00ad\u0301ßŉİ中文字かกเ١2²𠀀😀\U000e0041"), max_size=60
) | st.text(max_size=60)


@settings(deadline=None)
@given(text=texts, words=st.integers(1, 4), characters=st.integers(1, 4))
def test_shingles_equal_those_of_plain_python(text: str, words: int, characters: int) -> None:
    text = text.encode(errors="replace").decode()
    found = shingle_hashes(text, Shingling(words=words, characters=characters))
    assert found.tolist() == plain_shingles(text, words, characters)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's 5 o'clock, Zoë!", ["it", "s", "5", "o", "clock", "zoe\u0308"]),  # punctuation separates
        ("Zoe\u0308 E\u0301TE\u0301", ["zoe\u0308", "e\u0301te\u0301"]),  # composed and decomposed alike
        ("Ｆｕｌｌ ｗｉｄｔｈ x²", ["full", "width", "x2"]),  # compatibility forms
        ("co\u00adoperate zero\u200bwidth", ["cooperate", "zerowidth"]),  # what is not seen is not there
        ("ÅNGSTRÖM Привет ΑΒΓ", ["a\u030angstro\u0308m", "привет", "αβγ"]),
        ("ﬁnal Straße Ĳssel ¼", ["final", "strasse", "ijssel", "14"]),  # one character for several letters
        ("σίσυφος ΣΊΣΥΦΟΣ", ["σι\u0301συφοσ", "σι\u0301συφοσ"]),  # final sigma
        ("हिन्दी में", ["हिन्दी", "में"]),  # vowel signs are part of words
        ("ガ が か\u3099 ｶﾞ", ["カ", "か", "か", "カ"]),  # voiced marks do not count
        ("日本語 text ไทย", ["日", "本", "語", "text", "ไ", "ท", "ย"]),  # a character a word
        ("한국어 문장", [unicodedata.normalize("NFD", word) for word in ("한국어", "문장")]),  # Korean has spaces
        ("snake_case __init__ _emphasis_ a/b a__b", ["snake_case", "init", "emphasis", "a", "b", "a", "b"]),
        ("   \n\t", []),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert [word for word, _ in plain_words(text)] == words
    assert len(shingle_hashes(text, Shingling(words=1, characters=1))) == len(words)


def text_hash(text: str) -> tuple[int, ...]:
    data = np.frombuffer(text.encode(), np.uint8)
    out = np.zeros(2, np.uint64)
    scan(data, 0, len(data), code_point_table(), np.empty(len(data) + 1, np.uint64), out, NO_STARTS)
    return tuple(out.tolist())


@pytest.mark.parametrize(
    ("first", "second", "equal"),
    [
        ("One  two\nthree.", "one two three.", True),  # white space and case
        ("naïve café", "naive cafe", False),  # accents tell words apart
        ("nai\u0308ve CAFÉ", "naïve cafe\u0301", True),
        ("g\u0323\u0301", "ǵ\u0323", True),  # forms that differ in the order of marks
        ("má ma mạ", "ma mạ má", False),
        ("one, two", "one two", False),  # punctuation counts
        ("a-b", "a - b", True),
        ("ab", "a b", False),
        ("a+b", "a-b", False),
        ("", " \n", True),
        ("", ".", False),
        ("!?", "?!", False),
        ("page 1", "page 2", False),
    ],
)
def test_what_counts_as_the_same_text(first: str, second: str, equal: bool) -> None:
    assert (text_hash(first) == text_hash(second)) is equal


@settings(deadline=None)
@given(st.lists(texts, min_size=2, max_size=5, unique=True))
def test_different_words_give_different_text_hashes(found: list[str]) -> None:
    found = [text.encode(errors="replace").decode() for text in found]
    by_hash: dict[tuple[int, ...], list[str]] = {}
    for text in found:
        by_hash.setdefault(text_hash(text), []).append(text)
    for group in by_hash.values():
        assert len({tuple(plain_words(text)) for text in group}) == 1


@settings(deadline=None)
@given(
    st.text(alphabet=st.characters(codec="utf-8", max_codepoint=0xFFFF), max_size=30), st.sampled_from(["NFC", "NFD"])
)
def test_canonical_forms_are_the_same_text(text: str, form: Any) -> None:
    assert text_hash(unicodedata.normalize(form, text)) == text_hash(unicodedata.normalize("NFC", text))


def test_compiled_callers_were_touched_with_what_they_call() -> None:
    """Machine code is cached by the caller's file: an old copy would sign texts by the shingles of before."""
    assert minhash.COMPILED_WITH == passages.COMPILED_WITH == sentences.COMPILED_WITH == VERSION


def test_digits_may_be_folded() -> None:
    one, two = "room 101 of 7", "room 205 of 9"
    folding = Shingling(words=2, fold_digits=True)
    assert shingle_hashes(one, folding).tolist() == shingle_hashes(two, folding).tolist()
    assert shingle_hashes(one, Shingling(words=2)).tolist() != shingle_hashes(two, Shingling(words=2)).tolist()


def test_accents_may_be_folded() -> None:
    one, two = "Natásha et le garçon naïf", "NATASHA et le garc\u0327on naif"
    folding = Shingling(words=2, fold_accents=True)
    assert shingle_hashes(one, folding).tolist() == shingle_hashes(two, folding).tolist()
    assert shingle_hashes(one, Shingling(words=2)).tolist() != shingle_hashes(two, Shingling(words=2)).tolist()


def test_the_size_is_decided_by_what_most_words_are() -> None:
    chinese = "这是一个用来测试的句子它没有空格" * 2
    assert len(shingle_hashes(chinese)) == len(chinese) - 10 + 1
    mostly_english = "a text of many english words with two: 中文"
    assert len(shingle_hashes(mostly_english)) == len(plain_words(mostly_english)) - 5 + 1


def test_slices_of_arrow_arrays_and_large_strings_read_alike() -> None:
    values = ["first text of some words here", "", "second text of some other words", "third"]
    whole = sign_texts(*text_buffers(pa.array(values)), Shingling(words=2), Permutations.draw(8))
    for array in (pa.array(["zero", *values]).slice(1), pa.array(values, pa.large_string())):
        found = sign_texts(*text_buffers(array), Shingling(words=2), Permutations.draw(8))
        assert (found.signatures == whole.signatures).all()
        assert (found.text_hashes == whole.text_hashes).all()
    assert text_buffers(pa.array([""]))[1].tolist() == [0, 0]


def test_letters_and_digits_of_ascii() -> None:
    table = code_point_table()
    assert [chr(table[ord(c)]) for c in "AZaz09"] == list("azaz09")
    assert all(table[ord(c)] == 1 for c in "!-#@~")
    assert unicodedata.unidata_version
