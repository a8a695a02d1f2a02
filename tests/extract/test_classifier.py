"""The network, the choice, and the model file."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from pipeline.errors import DataError
from pipeline.extract import classifier
from pipeline.extract.blocks import read_blocks
from pipeline.extract.classifier import ARTICLE, PAGE, Network, choose, load_model, model_bytes, read_model
from pipeline.extract.features import FEATURES
from pipeline.extract.labels import block_labels
from pipeline.extract.scoring import page_score, score, shingles
from pipeline.extract.training import FitConfig, LabelledPage, fit, learn_word_weights


def expected_f1(probabilities: list[float], sizes: list[int], chosen: tuple[int, ...]) -> float:
    right = sum(probabilities[n] * sizes[n] for n in chosen)
    return 2 * right / (sum(sizes[n] for n in chosen) + sum(p * s for p, s in zip(probabilities, sizes, strict=True)))


@given(st.lists(st.tuples(st.floats(0.001, 1), st.integers(1, 50)), min_size=1, max_size=7))
def test_the_choice_is_the_best_of_all_subsets(blocks: list[tuple[float, int]]) -> None:
    probabilities, sizes = [p for p, _ in blocks], [s for _, s in blocks]
    chosen, expected = choose(np.array(probabilities), np.array(sizes))
    subsets = itertools.chain.from_iterable(
        itertools.combinations(range(len(blocks)), k) for k in range(1, len(blocks) + 1)
    )
    assert expected == pytest.approx(max(expected_f1(probabilities, sizes, subset) for subset in subsets))
    assert expected == pytest.approx(expected_f1(probabilities, sizes, tuple(np.flatnonzero(chosen))))


def test_sums_of_the_network_are_exact() -> None:
    """In any order of the inputs: what makes the answer the same on every machine."""
    network = load_model().network
    random = np.random.default_rng(0)
    matrix = random.normal(0, 3, (50, len(FEATURES))).astype(np.float32)
    (expected,) = network.probabilities(matrix, ARTICLE)
    order = random.permutation(len(FEATURES))
    inputs = np.append(order, len(FEATURES))
    hidden = random.permutation(len(network.bias1))
    shuffled = Network(
        mean=network.mean[inputs], scale=network.scale[inputs], weights1=network.weights1[inputs][:, hidden],
        bias1=network.bias1[hidden], weights2=network.weights2[hidden], bias2=network.bias2,
    )  # fmt: skip
    assert np.array_equal(shuffled.probabilities(matrix[:, order], ARTICLE, PAGE)[0], expected)
    one_by_one = np.concatenate([network.probabilities(row[None], ARTICLE)[0] for row in matrix])
    assert np.array_equal(one_by_one, expected)


def test_the_model_is_small_and_has_its_hash(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    content = classifier.MODEL.read_bytes()
    assert len(content) < 1 << 20
    model = read_model(content)
    words = {word: weight for word, weight in model.hints._weights.items()}
    assert model_bytes(model.network, words) == content
    damaged = classifier.MODEL.with_name("damaged.npz")
    monkeypatch.setattr(classifier, "MODEL", damaged)
    monkeypatch.setattr(type(damaged), "read_bytes", lambda self: content[:-1])
    with pytest.raises(DataError, match="damaged"):
        load_model()


def test_labels_follow_the_gold_text() -> None:
    blocks = [
        "Menu",
        "A first sentence of the text.",
        "Share",
        "Yes",
        "The second sentence is here.",
        "Share",
        "Copyright by somebody else",
    ]
    gold = "A first sentence of the text. Yes. The second sentence is here."
    labels, num_words = block_labels(blocks, gold)
    assert labels == [0, 1, 0, 1, 1, 0, 0]
    assert num_words == [1, 6, 1, 1, 5, 1, 4]


def test_scores_follow_the_definition() -> None:
    assert shingles("a b c d e") == {("a", "b", "c", "d"): 1, ("b", "c", "d", "e"): 1}
    assert shingles("a b") == {("a", "b"): 1}
    assert not shingles("")
    assert page_score("a b c d e", "a b c d") == (1.0, 0.5)
    assert page_score("a b c d", "") == (None, 0.0)
    assert page_score("", "a") == (0.0, None)
    result = score([("a b c d e", "a b c d"), ("a b c d", "")])
    assert (result.precision, result.recall, result.f1) == (1.0, 0.25, 0.4)


def labelled(number: int) -> LabelledPage:
    html = (
        "<title>T</title><div class=menu><p>Home</p><p>About us</p></div><div class=story>"
        + "".join(
            f"<p>Sentence number {n} of page {number}, which is long enough to count as prose.</p>" for n in range(5)
        )
        + "</div><div class=footer><p>Imprint and privacy, all rights reserved by the site.</p></div>"
    )
    blocks = read_blocks(LexborHTMLParser(html))
    labels = tuple(1.0 if "Sentence" in block.text else 0.0 for block in blocks.blocks)
    words = tuple(len(block.text.split()) for block in blocks.blocks)
    return LabelledPage(
        site=f"site{number}.org", blocks=blocks, title="T", labels=labels, num_words=words, scope=ARTICLE
    )


def test_training_learns_and_repeats_itself() -> None:
    pages = [labelled(number) for number in range(24)]
    weights = learn_word_weights(pages)
    assert weights["story"] > 0 > weights["footer"]
    config = FitConfig(num_hidden=8, num_seeds=2, num_epochs=12, batch_size=16)
    network, words = fit(pages, config)
    again, _ = fit(pages, config)
    assert model_bytes(network, words) == model_bytes(again, words)
    from pipeline.extract.features import features
    from pipeline.extract.hints import Hints

    found = network.probabilities(features(pages[0].blocks, "T", Hints(words)), ARTICLE)[0] > 0.5
    assert found.tolist() == [label == 1.0 for label in pages[0].labels]
