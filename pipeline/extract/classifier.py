"""Which blocks of a page are its text: a small network over the features of each block, and a choice over the page.

The network has one hidden layer. Its weights and its inputs are multiples of small powers of two, so
that every sum is exact: the same page gives the same text on any machine, whatever its vector unit.
The choice keeps the set of blocks with the greatest expected F1, which also finds the text of pages on which
no block looks certain.
"""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pipeline.errors import DataError
from pipeline.extract.features import FEATURES
from pipeline.extract.hints import Hints

Scope = Literal["auto", "article", "page"]
Probabilities = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

MODEL = Path(__file__).with_name("blocks.npz")
MODEL_SHA256 = Path(__file__).with_name("blocks.sha256.txt")
# The network has seen pages labelled in two ways: only the article, and all that a reader came for.
ARTICLE, PAGE = 1.0, 0.0
_INPUT_STEP, _WEIGHT_STEP = 1 / 16, 1 / 256
_MAX_INPUT = 6.0
_MAX_HIDDEN = 64.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """`mean` and `scale` of each input (features, then the scope), and the weights of both layers."""

    mean: npt.NDArray[np.float32]
    scale: npt.NDArray[np.float32]
    weights1: npt.NDArray[np.float32]
    bias1: npt.NDArray[np.float32]
    weights2: npt.NDArray[np.float32]
    bias2: float

    def probabilities(self, features: npt.NDArray[np.float32], *scopes: float) -> list[Probabilities]:
        """For each scope and each row of `features` the probability that the block is text, in millionths."""
        features = (features - self.mean[:-1]) * self.scale[:-1]
        inputs = _in_steps(np.clip(features, -_MAX_INPUT, _MAX_INPUT), _INPUT_STEP)
        of_features = inputs @ self.weights1[:-1] + self.bias1
        return [self._probabilities(of_features, (scope - self.mean[-1]) * self.scale[-1]) for scope in scopes]

    def _probabilities(self, of_features: npt.NDArray[np.float32], scope: np.float32) -> Probabilities:
        scope = _in_steps(np.clip(scope, -_MAX_INPUT, _MAX_INPUT), _INPUT_STEP)
        hidden = _in_steps(np.clip(of_features + scope * self.weights1[-1], 0, _MAX_HIDDEN), _INPUT_STEP)
        logits = (hidden @ self.weights2 + self.bias2).astype(np.float64)
        return np.asarray(np.round(1 / (1 + np.exp(-logits)), 6), dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """The network and the weights of class names."""

    network: Network
    hints: Hints


def in_weight_steps(values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
    """Weights rounded so that sums with them are exact."""
    return np.asarray(_in_steps(values, _WEIGHT_STEP), dtype=np.float32)


def _in_steps(values: Any, step: float) -> Any:
    steps = np.rint(values * np.float32(1 / step))
    return np.asarray(steps * np.float32(step), dtype=np.float32)


def choose(probabilities: Probabilities, num_chars: npt.NDArray[np.int64]) -> tuple[Flags, float]:
    """The set of blocks with the greatest expected F1 (by characters), and that expectation."""
    order = np.argsort(-probabilities, kind="stable")
    right = np.cumsum((probabilities * num_chars)[order])
    taken = np.cumsum(num_chars[order])
    expected = 2 * right / (taken + right[-1])
    best = int(np.argmax(expected))
    chosen = np.zeros(len(probabilities), dtype=np.bool_)
    chosen[order[: best + 1]] = True
    return chosen, float(expected[best])


def model_sha256() -> str:
    """What names the model in the fingerprint of a step: the stated SHA-256 of its file."""
    return MODEL_SHA256.read_text().split()[0]


def load_model() -> Model:
    """The model in this package.

    Raises:
        DataError: the file is not the one whose hash lies beside it, or was made for other features.
    """
    content = MODEL.read_bytes()
    stated = model_sha256()
    if hashlib.sha256(content).hexdigest() != stated:
        raise DataError(f"{MODEL} is damaged: its SHA-256 is not {stated}")
    return read_model(content)


def read_model(content: bytes) -> Model:
    """The model in the bytes of a model file."""
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        if tuple(arrays["features"].tolist()) != FEATURES:
            raise DataError(f"{MODEL} was made for other features: train it again with python -m jobs.train_extractor")
        network = Network(
            mean=arrays["mean"], scale=arrays["scale"], bias2=float(arrays["bias2"]),
            weights1=arrays["weights1"].astype(np.float32) * np.float32(_WEIGHT_STEP), bias1=arrays["bias1"],
            weights2=arrays["weights2"].astype(np.float32) * np.float32(_WEIGHT_STEP),
        )  # fmt: skip
        words = zip(arrays["words"].tolist(), arrays["word_weights"].tolist(), strict=True)
        return Model(network=network, hints=Hints({word: weight / 1000 for word, weight in words}))


def model_bytes(network: Network, word_weights: dict[str, float]) -> bytes:
    """A model file; the same model gives the same bytes."""
    file = io.BytesIO()
    words = sorted(word_weights)
    np.savez_compressed(
        file, features=np.array(FEATURES), mean=network.mean, scale=network.scale,
        bias1=network.bias1, bias2=np.float32(network.bias2),
        weights1=np.rint(network.weights1 / _WEIGHT_STEP).astype(np.int16),
        weights2=np.rint(network.weights2 / _WEIGHT_STEP).astype(np.int16),
        words=np.array(words),
        word_weights=np.array([round(1000 * word_weights[word]) for word in words], dtype=np.int16),
    )  # fmt: skip
    return file.getvalue()
