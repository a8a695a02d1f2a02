"""Labelled pages → the model of `classifier`: weights of class names, then the network. numpy alone; fixed seeds."""

import hashlib
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.extract.blocks import Blocks
from pipeline.extract.classifier import Network, in_weight_steps
from pipeline.extract.features import features
from pipeline.extract.hints import Hints, words_of

Floats = npt.NDArray[np.float32]

NUM_FOLDS = 5
_MIN_SITES = 6
_PRIOR_SITES = 5
_MIN_GOLD_WORDS = 50.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledPage:
    """One page for training. `scope`: which convention its labels follow (1: only the article, 0: the whole page)."""

    site: str
    blocks: Blocks
    title: str
    labels: tuple[float, ...]
    num_words: tuple[int, ...]
    scope: float
    weight: float = 1.0

    @property
    def fold(self) -> int:
        """The fold of its site, so that no site is on both sides of a split."""
        return int(hashlib.sha256(self.site.encode()).hexdigest(), 16) % NUM_FOLDS


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """How the network is fitted: several small networks with different seeds, averaged into one."""

    num_hidden: int = 64
    num_seeds: int = 3
    num_epochs: int = 16
    batch_size: int = 512
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3
    dropout: float = 0.2
    input_dropout: float = 0.05
    seed: int = 0


def learn_word_weights(pages: Sequence[LabelledPage]) -> dict[str, float]:
    """For each word in class names of enough sites, -1..1.

    By how much more or less the text inside such elements is wanted than that of the whole page.
    """
    by_word: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for page in pages:
        for word, gain in _word_gains(page).items():
            by_word[word][page.site].append(gain)
    weights = {}
    for word, by_site in sorted(by_word.items()):
        if len(by_site) >= _MIN_SITES:
            gains = [float(np.mean(gains)) for gains in by_site.values()]
            weights[word] = round(sum(gains) / (len(gains) + _PRIOR_SITES), 3)
    return weights


def _word_gains(page: LabelledPage) -> dict[str, float]:
    words = np.array(page.num_words) + 1.0
    wanted = np.concatenate([[0.0], np.cumsum(np.array(page.labels) * words)])
    total = np.concatenate([[0.0], np.cumsum(words)])
    base = wanted[-1] / max(1.0, total[-1])
    if not 0.02 <= base <= 0.98:
        return {}
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for element in page.blocks.elements:
        if element.names and element.end_block > element.first_block:
            for word in words_of(element.names):
                sums[word][0] += wanted[element.end_block] - wanted[element.first_block]
                sums[word][1] += total[element.end_block] - total[element.first_block]
    shares = {word: inside / around for word, (inside, around) in sums.items()}
    return {word: (share - base) / (1 - base if share > base else base) for word, share in shares.items()}


def fit(pages: Sequence[LabelledPage], config: FitConfig) -> tuple[Network, dict[str, float]]:
    """The network and the word weights learned from `pages`.

    The features of a page are computed with word weights from the other folds, so that the network
    learns how far to trust them.
    """
    inputs, targets, weights = _training_set(pages)
    mean, scale = inputs.mean(axis=0), 1 / (inputs.std(axis=0) + np.float32(1e-3))
    inputs = np.clip((inputs - mean) * scale, -6, 6)
    parts = [_fit_one(inputs, targets, weights, config, config.seed + number) for number in range(config.num_seeds)]
    network = Network(
        mean=mean, scale=scale,
        weights1=in_weight_steps(np.concatenate([part[0] for part in parts], axis=1)),
        bias1=in_weight_steps(np.concatenate([part[1] for part in parts])),
        weights2=in_weight_steps(np.concatenate([part[2] for part in parts]) / len(parts)),
        bias2=float(np.mean([part[3] for part in parts])),
    )  # fmt: skip
    return network, learn_word_weights(pages)


def _training_set(pages: Sequence[LabelledPage]) -> tuple[Floats, Floats, Floats]:
    hints = [Hints(learn_word_weights([page for page in pages if page.fold != fold])) for fold in range(NUM_FOLDS)]
    inputs, targets, weights = [], [], []
    for page in pages:
        matrix = features(page.blocks, page.title, hints[page.fold])
        inputs.append(np.concatenate([matrix, np.full((len(matrix), 1), page.scope, dtype=np.float32)], axis=1))
        labels, words = (np.array(page.labels, dtype=np.float32), np.array(page.num_words, dtype=np.float32))
        targets.append(labels)
        # An error counts by the share that it is of the gold text, so that all pages count alike.
        weights.append(page.weight * np.minimum((words + 1) / max(_MIN_GOLD_WORDS, float(labels @ words)), 1.0))
    weight = np.concatenate(weights)
    return np.concatenate(inputs), np.concatenate(targets), weight / weight.mean()


def _fit_one(
    inputs: Floats, targets: Floats, weights: Floats, config: FitConfig, seed: int
) -> tuple[Floats, Floats, Floats, np.float32]:
    """One hidden layer of ReLUs, logistic loss, AdamW, one rise and fall of the learning rate."""
    random = np.random.default_rng(seed)
    size, hidden = inputs.shape[1], config.num_hidden
    bound1, bound2 = size**-0.5, hidden**-0.5
    parameters = [
        random.uniform(-bound1, bound1, (size, hidden)).astype(np.float32), np.zeros(hidden, dtype=np.float32),
        random.uniform(-bound2, bound2, hidden).astype(np.float32), np.zeros(1, dtype=np.float32),
    ]  # fmt: skip
    moments = [(np.zeros_like(p), np.zeros_like(p)) for p in parameters]
    num_steps = config.num_epochs * (len(inputs) // config.batch_size)
    step = 0
    for _ in range(config.num_epochs):
        order = random.permutation(len(inputs))
        for start in range(0, len(inputs) - config.batch_size + 1, config.batch_size):
            rows = order[start : start + config.batch_size]
            gradients = _gradients(parameters, inputs[rows], targets[rows], weights[rows], config, random)
            step += 1
            _adamw(
                parameters,
                gradients,
                moments,
                step,
                _rate(step / num_steps) * config.learning_rate,
                config.weight_decay,
            )
    return parameters[0], parameters[1], parameters[2], parameters[3][0]


def _gradients(
    parameters: list[Floats],
    inputs: Floats,
    targets: Floats,
    weights: Floats,
    config: FitConfig,
    random: np.random.Generator,
) -> list[Floats]:
    weights1, bias1, weights2, bias2 = parameters
    inputs = inputs * _mask(inputs.shape, config.input_dropout, random)
    before = inputs @ weights1 + bias1
    mask = _mask(before.shape, config.dropout, random) * (before > 0)
    hidden = before * mask
    logits = hidden @ weights2 + bias2[0]
    error = (1 / (1 + np.exp(-logits)) - targets) * weights / len(inputs)
    back = np.outer(error, weights2) * mask
    return [inputs.T @ back, back.sum(axis=0), hidden.T @ error, error.sum(keepdims=True)]


def _mask(shape: tuple[int, ...], share: float, random: np.random.Generator) -> Floats:
    return (random.random(shape, dtype=np.float32) >= share).astype(np.float32) / np.float32(1 - share)


def _rate(progress: float) -> float:
    """The share of the learning rate: up over the first 30 %, then down along a cosine."""
    if progress < 0.3:
        return 0.04 + 0.96 * (1 - math.cos(math.pi * progress / 0.3)) / 2
    return (1 + math.cos(math.pi * (progress - 0.3) / 0.7)) / 2


def _adamw(
    parameters: list[Floats],
    gradients: list[Floats],
    moments: list[tuple[Floats, Floats]],
    step: int,
    rate: float,
    decay: float,
) -> None:
    for parameter, gradient, (first, second) in zip(parameters, gradients, moments, strict=True):
        first *= np.float32(0.9)
        first += np.float32(0.1) * gradient
        second *= np.float32(0.999)
        second += np.float32(0.001) * gradient * gradient
        parameter *= np.float32(1 - rate * decay)
        parameter -= (
            np.float32(rate / (1 - 0.9**step))
            * first
            / (np.sqrt(second / np.float32(1 - 0.999**step)) + np.float32(1e-8))
        )
