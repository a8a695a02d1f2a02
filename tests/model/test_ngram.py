"""Counting models: against definitions written out slowly, by hand, and against KenLM."""

import io
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.arpa import ArpaModel, write_arpa
from model.evaluate_config import Smoothing
from model.ngram import Ints, NgramModel, count_ngrams
from pipeline.errors import DataError

SMOOTHINGS: tuple[Smoothing, ...] = ("kneser_ney", "witten_bell")
VOCAB = 6
corpora = st.lists(st.lists(st.integers(0, VOCAB - 1), min_size=1, max_size=30), min_size=1, max_size=6)


def flat(documents: list[list[int]]) -> tuple[Ints, Ints]:
    """Documents that begin with the token 0, as arrays."""
    whole = [[0, *document] for document in documents]
    return np.array([token for each in whole for token in each], dtype=np.int64), np.repeat(
        np.arange(len(whole)), [len(each) for each in whole]
    )


def model_of(documents: list[list[int]], order: int, smoothing: Smoothing) -> NgramModel:
    return NgramModel(count_ngrams(*flat(documents), order=order, vocab_size=VOCAB), VOCAB, smoothing)


class Slow:
    """The same models from their definitions, with dictionaries and recursion."""

    def __init__(self, documents: list[list[int]], order: int, smoothing: Smoothing) -> None:
        self.order, self.smoothing = order, smoothing
        self.counts: Counter[tuple[int, ...]] = Counter()
        for document in ([0, *each] for each in documents):
            for end in range(1, len(document)):
                for n in range(1, min(order, end + 1) + 1):
                    self.counts[tuple(document[end - n + 1 : end + 1])] += 1
        if smoothing == "kneser_ney":
            plain = dict(self.counts)
            before = Counter(gram[1:] for gram in plain if len(gram) > 1)
            self.counts = Counter(
                {gram: before[gram] if len(gram) < order and before[gram] else times for gram, times in plain.items()}
            )
        self.discounts = {
            n: self._discounts([times for gram, times in self.counts.items() if len(gram) == n])
            for n in range(1, order + 1)
        }

    @staticmethod
    def _discounts(counts: list[int]) -> list[float]:
        n1, n2, n3, n4 = (counts.count(times) for times in (1, 2, 3, 4))
        if not (n1 and n2 and n3):
            return [0, 0.5, 0.5, 0.5]
        y = n1 / (n1 + 2 * n2)
        raw = [1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3]
        return [0, *(min(max(value, 0.1), high) for value, high in zip(raw, (0.9, 1.9, 2.9), strict=True))]

    def probability(self, context: tuple[int, ...], token: int) -> float:
        shorter = self.probability(context[1:], token) if context else 1 / VOCAB
        seen = {w: self.counts[(*context, w)] for w in range(VOCAB) if self.counts[(*context, w)]}
        if not seen:
            return shorter
        total = sum(seen.values())
        if self.smoothing == "witten_bell":
            return (seen.get(token, 0) + len(seen) * shorter) / (total + len(seen))
        discount = self.discounts[len(context) + 1]
        left = sum(discount[min(times, 3)] for times in seen.values()) / total
        own = seen.get(token, 0)
        return (own - discount[min(own, 3)]) / total + left * shorter


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
@given(train=corpora, test=corpora, order=st.integers(1, 5))
def test_equals_the_definition(smoothing: Smoothing, train: list[list[int]], test: list[list[int]], order: int) -> None:
    slow, tokens = Slow(train, order, smoothing), flat(test)
    got = model_of(train, order, smoothing).probabilities(*tokens)
    place = 0
    for document in ([0, *each] for each in test):
        for end in range(1, len(document)):
            expected = slow.probability(tuple(document[max(0, end - order + 1) : end]), document[end])
            assert got[place + end] == pytest.approx(expected, rel=1e-9)
        place += len(document)


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
@given(train=corpora, context=st.lists(st.integers(0, VOCAB - 1), max_size=4))
def test_probabilities_sum_to_one(smoothing: Smoothing, train: list[list[int]], context: list[int]) -> None:
    model = model_of(train, 4, smoothing)
    total = sum(model.probabilities(*flat([[*context, token]]))[-1] for token in range(VOCAB))
    assert total == pytest.approx(1.0, abs=1e-9)


def test_witten_bell_by_hand() -> None:
    # a=1, b=2 in "a b a a": unigrams a 3, b 1, so p(a) = (3 + 2/6)/6 and p(b) = (1 + 2/6)/6;
    # after a: b once, a once, two kinds: p(b|a) = (1 + 2 p(b)) / 4
    model = model_of([[1, 2, 1, 1]], 2, "witten_bell")
    p = model.probabilities(*flat([[1, 2]]))
    assert p[2] == pytest.approx((1 + 2 * (1 + 2 / 6) / 6) / 4)


def test_published_losses_on_tiny_shakespeare(shared_data: Path) -> None:
    """Interpolated Witten-Bell over characters, last tenth held out, as computed with NLTK: nats a character by order."""
    text = (shared_data / "corpora/tinyshakespeare/input.txt").read_text()
    names = {character: number for number, character in enumerate(sorted(set(text)))}
    tokens = np.array([names[character] for character in text], dtype=np.int64)
    train, heldout = tokens[: int(0.9 * len(tokens))], tokens[int(0.9 * len(tokens)) :]
    orders = count_ngrams(train, np.zeros_like(train), order=5, vocab_size=65)
    expected = {
        "witten_bell": [3.347, 2.486, 2.049, 1.774, 1.669],
        "kneser_ney": [3.347, 2.484, 2.038, 1.719, 1.561],
    }
    for smoothing in SMOOTHINGS:
        losses = [
            NgramModel(orders[:n], 65, smoothing).nats(heldout, np.zeros_like(heldout)).mean() for n in range(1, 6)
        ]
        assert losses == pytest.approx(expected[smoothing], abs=6e-4)


TRAIN = [[1, 2, 3, 1, 2, 0], [1, 2, 4, 5, 0], [3, 3, 1, 2, 0], [2, 1, 2, 3, 0]]
WORDS = ["<end>", "a", "b", "c", "d", "e"]
SENTENCES = [[1, 2, 3, 0], [5, 5, 0], [4, 3, 3, 1, 2, 1, 0]]


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_an_arpa_file_gives_the_same_probabilities(smoothing: Smoothing, order: int, tmp_path: Path) -> None:
    model, file = model_of(TRAIN, order, smoothing), io.BytesIO()
    write_arpa(model, WORDS, 0, file)
    read = ArpaModel(io.BytesIO(file.getvalue()))
    for sentence in SENTENCES:
        words = [WORDS[token] for token in sentence[:-1]]
        ours = np.log10(model.probabilities(*flat([sentence]))[1:])
        assert [score for score, _ in read.scores(words)] == pytest.approx(ours.tolist(), abs=1e-5)


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
@pytest.mark.parametrize("order", [2, 3, 4])
def test_kenlm_reads_the_same_probabilities(smoothing: Smoothing, order: int, tmp_path: Path) -> None:
    kenlm = pytest.importorskip("kenlm", reason="kenlm is not installed: its scores are not compared")
    path = tmp_path / "model.arpa"
    model = model_of(TRAIN, order, smoothing)
    with path.open("wb") as file:
        write_arpa(model, WORDS, 0, file)
    theirs = kenlm.Model(str(path))
    for sentence in SENTENCES:
        words = " ".join(WORDS[token] for token in sentence[:-1])
        ours = np.log10(model.probabilities(*flat([sentence]))[1:])
        full = list(theirs.full_scores(words))
        assert [score for score, _, _ in full] == pytest.approx(ours.tolist(), abs=1e-5)
        assert [length for _, length, _ in full] == [
            length for _, length in ArpaModel(path.open("rb")).scores(words.split())
        ]


# What KenLM's own test file says of the n-grams below, and what KenLM's test of it expects of this sentence.
KENLM_GRAMS = {
    "<unk>": (-1.995635, -20), "<s>": (-99, -0.4149733), "</s>": (-1.029493,), ".": (-1.139057, -0.845098),
    "a": (-1.285941, -0.69897), "biarritz": (-1.687872, -0.30103), "little": (-1.285941, -0.69897),
    "looking": (-1.285941, -0.4771212), "more": (-1.206319, -0.544068), "on": (-1.509559, -0.4771212),
    "the": (-1.687872, -0.30103),
    "<s> looking": (-0.4846522, -0.4771214), "looking on": (-0.4638903, -0.4771212), "on a": (-0.1649931, -0.4771213),
    "a little": (-0.09132547, -0.69897), "more .": (-0.5136299, -0.4771212), ". </s>": (-0.0602359,),
    "<s> looking on": (-0.3488368, -0.4771212), "looking on a": (-0.04835128, -0.4771212),
    "on a little": (-0.0283603, -0.4771212), "more . </s>": (-0.01916512,),
    "<s> looking on a": (-0.01552657, -0.4771212), "looking on a little": (-0.009249173, -0.4771212),
    "<s> looking on a little": (-0.003061223,),
}  # fmt: skip
KENLM_SENTENCE = {
    "looking": (2, -0.484652), "on": (3, -0.348837), "a": (4, -0.0155266), "little": (5, -0.00306122), "the": (1, -4.04005),
    "biarritz": (1, -1.9889), "not_found": (1, -2.29666), "more": (1, -21.20632), ".": (2, -0.51363), "</s>": (3, -0.0191651),
}  # fmt: skip


def test_the_test_file_of_kenlm(tmp_path: Path) -> None:
    orders = [[gram for gram in KENLM_GRAMS if len(gram.split()) == n] for n in range(1, 6)]
    lines = ["\\data\\", *(f"ngram {n}={len(grams)}" for n, grams in enumerate(orders, start=1)), ""]
    for n, grams in enumerate(orders, start=1):
        lines += [f"\\{n}-grams:"]
        for gram in grams:
            number, *back = KENLM_GRAMS[gram]
            lines.append("\t".join([str(number), gram, *map(str, back)]))
        lines.append("")
    path = tmp_path / "test.arpa"
    path.write_text("\n".join([*lines, "\\end\\", ""]))
    words = list(KENLM_SENTENCE)[:-1]
    scores = list(ArpaModel(path.open("rb")).scores(words))
    assert [length for _, length in scores] == [length for length, _ in KENLM_SENTENCE.values()]
    expected = [score for _, score in KENLM_SENTENCE.values()]
    assert [score for score, _ in scores] == pytest.approx(expected, abs=1e-4)
    kenlm = pytest.importorskip("kenlm", reason="kenlm is not installed: only its published scores were compared")
    theirs = [score for score, _, _ in kenlm.Model(str(path)).full_scores(" ".join(words))]
    assert [score for score, _ in scores] == pytest.approx(theirs, abs=1e-5)


def test_a_hand_written_arpa_file() -> None:
    text = "\\data\\\nngram 1=4\nngram 2=1\n\n\\1-grams:\n-1.0\t<unk>\n-99\t<s>\t-0.5\n-0.3\t</s>\n-0.6\ta\t-0.2\n\n\\2-grams:\n-0.1\t<s> a\n\n\\end\\\n"
    model = ArpaModel(io.BytesIO(text.encode()))
    scores = list(model.scores(["a", "zebra"]))
    assert [score for score, _ in scores] == pytest.approx([-0.1, -0.2 - 1.0, -0.3])
    assert [length for _, length in scores] == [2, 1, 1]
    with pytest.raises(DataError, match="line 4"):
        ArpaModel(io.BytesIO(b"\\data\\\n\n\\1-grams:\nhello\n"))
    assert math.isfinite(scores[0][0])
