"""The learner equals the slow oracle, and `tokenizers`, merge for merge."""

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

from tokenizer.alphabet import BYTE_TOKENS, to_characters
from tokenizer.oracle import learn_slowly
from tokenizer.patterns import pattern_named
from tokenizer.training import WordCounts, learn
from tokenizer.vocabulary import Vocabulary

END = "<|endoftext|>"


def merges_of(vocabulary: Vocabulary) -> list[tuple[str, str]]:
    return [
        (to_characters(vocabulary.bytes_of(left)), to_characters(vocabulary.bytes_of(right)))
        for left, right in vocabulary.merges
    ]


def trained_by_tokenizers(texts: list[str], regex: str | None, **settings: object) -> list[tuple[str, str]]:
    tokenizer = Tokenizer(models.BPE())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = (
        byte_level
        if regex is None
        else pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(regex), "isolated"), byte_level])
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        texts, trainers.BpeTrainer(initial_alphabet=alphabet, show_progress=False, **settings)
    )
    return [tuple(merge) for merge in json.loads(tokenizer.to_str())["model"]["merges"]]


def test_a_worked_example() -> None:
    """ "aaabdaaabac" (Wikipedia on byte-pair encoding): aa, then aa+a or a+b by count and order of ids."""
    vocabulary = learn(WordCounts.of({b"aaabdaaabac": 1}), vocab_size=256 + 3, specials=())
    assert [token for token in vocabulary.tokens[256:]] == [b"aa", b"ab", b"aaab"]
    assert vocabulary.merge_counts == (4, 2, 2)


@given(
    st.dictionaries(st.text("abcd", min_size=1, max_size=8).map(str.encode), st.integers(1, 9), max_size=25),
    st.integers(0, 30),
    st.integers(0, 3),
)
@settings(max_examples=150, deadline=None)
def test_equals_the_oracle(counts: dict[bytes, int], num_merges: int, num_specials: int) -> None:
    specials = (END, "<|a|>", "<|b|>")[:num_specials]
    vocabulary = learn(WordCounts.of(counts), vocab_size=num_specials + 256 + num_merges, specials=specials)
    made = [vocabulary.bytes_of(left) + vocabulary.bytes_of(right) for left, right in vocabulary.merges]
    if len(set(made)) == len(made):  # the oracle knows no token that arises twice; `tokenizers` judges those below
        assert list(vocabulary.merges) == learn_slowly(counts, num_tokens=256 + num_merges, first_id=num_specials)
        assert list(vocabulary.tokens) == [*BYTE_TOKENS, *made]


@given(
    st.dictionaries(st.text("ab", min_size=1, max_size=12), st.integers(1, 5), min_size=1, max_size=40),
    st.integers(1, 60),
    st.sampled_from([None, 4, 7]),
    st.sampled_from([1, 2]),
)
@settings(max_examples=100, deadline=None)
def test_equals_tokenizers_where_tokens_arise_twice(
    counts: dict[str, int], size: int, longest: int | None, least: int
) -> None:
    """Two letters only: a + aa and aa + a make the same token all the time."""
    vocabulary = learn(
        WordCounts.of({word.encode(): count for word, count in counts.items()}),
        vocab_size=256 + size, specials=(), min_frequency=least, max_token_bytes=longest,
    )  # fmt: skip
    texts = [word for word, count in counts.items() for _ in range(count)]
    theirs = trained_by_tokenizers(texts, None, vocab_size=256 + size, min_frequency=least, max_token_length=longest)
    assert merges_of(vocabulary) == theirs


@pytest.mark.parametrize("size", [8_000, pytest.param(32_000, marks=pytest.mark.slow)])
def test_equals_tokenizers_on_real_text(size: int, real_texts: list[str], real_counts: Counter[bytes]) -> None:
    vocabulary = learn(WordCounts.of(real_counts), vocab_size=size, specials=(END,))
    theirs = trained_by_tokenizers(real_texts, pattern_named("cl100k").regex, vocab_size=size, special_tokens=[END])
    assert len(theirs) == size - 257
    assert merges_of(vocabulary) == theirs


@pytest.mark.parametrize("factor", [1 << 31, 1 << 40])
def test_counts_beyond_32_bits(factor: int, real_counts: Counter[bytes]) -> None:
    """`tokenizers` wraps its pair counts at 2^31. Multiplied counts give the same merges."""
    few = dict(real_counts.most_common(3000))
    plain = learn(WordCounts.of(few), vocab_size=1000, specials=())
    large = learn(WordCounts.of({word: count * factor for word, count in few.items()}), vocab_size=1000, specials=())
    assert large.merges == plain.merges
    assert large.merge_counts == tuple(count * factor for count in plain.merge_counts)


LARGE = st.one_of(st.integers(1, 9), st.sampled_from([(1 << 62) - 1, 1 << 62, 1 << 63, (1 << 64) + 1, 10**30]))


@given(st.dictionaries(st.text("abcd", min_size=1, max_size=8).map(str.encode), LARGE, max_size=25), st.integers(0, 30))
@settings(max_examples=100, deadline=None)
def test_counts_of_any_size_equal_the_oracle(counts: dict[bytes, int], num_merges: int) -> None:
    vocabulary = learn(WordCounts.of(counts), vocab_size=256 + num_merges, specials=())
    made = [vocabulary.bytes_of(left) + vocabulary.bytes_of(right) for left, right in vocabulary.merges]
    if len(set(made)) == len(made):
        assert list(vocabulary.merges) == learn_slowly(counts, num_tokens=256 + num_merges)


@pytest.mark.parametrize("factor", [1 << 48, 1 << 63, (1 << 64) + 1, 10**60])
def test_factors_beyond_64_bits_change_no_merge(factor: int, real_counts: Counter[bytes]) -> None:
    """On real words, at sizes where 64 bits would wrap."""
    few = dict(real_counts.most_common(3000))
    plain = learn(WordCounts.of(few), vocab_size=1000, specials=(END,))
    large = WordCounts.of({word: count * factor for word, count in few.items()})
    assert large.is_large
    vocabulary = learn(large, vocab_size=1000, specials=(END,))
    assert (vocabulary.merges, vocabulary.tokens) == (plain.merges, plain.tokens)
    assert vocabulary.merge_counts == tuple(count * factor for count in plain.merge_counts)


def test_one_more_beyond_64_bits_decides() -> None:
    """A float, or a number that wraps, would see a tie here and take ab."""
    for base in (1 << 63, 1 << 64, 10**40):
        assert learn(WordCounts.of({b"ab": base, b"cd": base + 1}), vocab_size=257, specials=()).tokens[256] == b"cd"
        assert learn(WordCounts.of({b"ab": base, b"cd": base}), vocab_size=257, specials=()).tokens[256] == b"ab"


@given(
    st.dictionaries(st.text("ab", min_size=1, max_size=12).map(str.encode), st.integers(1, 5), min_size=1, max_size=40),
    st.integers(1, 60),
    st.sampled_from([None, 4, 7]),
    st.sampled_from([1, 2]),
)
@settings(max_examples=200, deadline=None)
def test_large_counts_learn_as_small_ones_do(
    counts: dict[bytes, int], size: int, longest: int | None, least: int
) -> None:
    """Limits, names of special tokens and tokens that arise twice included."""
    factor = 1 << 70
    specials = (END, "abba")
    small = learn(
        WordCounts.of(counts), vocab_size=258 + size, specials=specials, min_frequency=least, max_token_bytes=longest
    )
    large = learn(
        WordCounts.of({word: count * factor for word, count in counts.items()}), vocab_size=258 + size, specials=specials,
        min_frequency=least * factor, max_token_bytes=longest,
    )  # fmt: skip
    assert (large.merges, large.tokens) == (small.merges, small.tokens)


def test_counts_are_64_bit_where_that_is_enough() -> None:
    assert WordCounts.of({b"ab": (1 << 60) + 1, b"c": 1}).counts.dtype == "int64"
    large = WordCounts.of({b"ab": 1 << 61, b"c": 1})
    assert (large.counts.dtype, large.num_bytes) == (object, (1 << 62) + 1)
    with pytest.raises(ValueError, match="a count in the table is negative"):
        WordCounts.of({b"ab": -1})


def test_the_order_of_the_table_does_not_matter(real_counts: Counter[bytes]) -> None:
    few = real_counts.most_common(5000)
    assert learn(WordCounts.of(dict(few)), vocab_size=900, specials=()) == learn(
        WordCounts.of(dict(sorted(few, reverse=True))), vocab_size=900, specials=()
    )


def test_minimum_frequency_and_too_small_a_vocabulary() -> None:
    counts = WordCounts.of({b"abab": 3, b"xy": 2})
    assert [len(learn(counts, vocab_size=400, specials=(), min_frequency=least)) - 256 for least in (1, 3, 7)] == [
        3,
        2,
        0,
    ]
    with pytest.raises(ValueError, match=r"vocab_size is 200; 1 special tokens and 256 bytes need at least 257"):
        learn(counts, vocab_size=200, specials=(END,))


def test_no_token_is_written_like_a_special_one() -> None:
    """A text full of a special token's name does not teach it: that string stays several tokens."""
    vocabulary = learn(WordCounts.of({b"<|s|>": 1000, b"<|s": 500}), vocab_size=300, specials=("<|s|>",))
    assert b"<|s|>" not in vocabulary.tokens
    assert b"<|s" in vocabulary.tokens


def test_a_prefix_is_what_training_would_have_given(real_counts: Counter[bytes]) -> None:
    counts = WordCounts.of(dict(real_counts.most_common(5000)))
    whole = learn(counts, vocab_size=1500, specials=(END,))
    for size in (257, 258, 900, 1499, 1500):
        assert whole.prefix(size) == learn(counts, vocab_size=size, specials=(END,))
    for size in (256, 1501):
        with pytest.raises(ValueError, match=f"vocabulary size is {size}"):
            whole.prefix(size)


def test_nothing_to_learn_from() -> None:
    assert len(learn(WordCounts.of({}), vocab_size=1000, specials=())) == 256
    assert len(learn(WordCounts.of({b"a": 5}), vocab_size=1000, specials=())) == 256
