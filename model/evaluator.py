"""How well a model predicts held-out text: loss, perplexity, bits per byte and accuracy, beside n-gram models.

Bits per byte does not depend on the tokenizer: the code length of all labels, the end of each
document included, over the bytes of text that they spell. The n-gram models are counted on the
training rows and score the very same labels.

Shapes: B batch, T inputs of a row, V vocabulary.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from model.evaluate_config import EvaluateConfig, Smoothing
from model.ngram import Ints, NgramModel, Order
from model.objectives import NO_LABEL, attention_path, packed_rows
from model.precision import autocast, choose_device, choose_precision, prepare
from model.rows import ScoredRows
from model.source import PackedBatch
from model.transformer import Transformer


@dataclass(kw_only=True)
class Tally:
    """Sums over labels: nats, how many, the bytes that they spell, how many were the likeliest token (None: not counted)."""

    nats: float = 0.0
    labels: int = 0
    text_bytes: int = 0
    right: int | None = 0

    def add(self, other: "Tally") -> None:
        """Adds the sums of `other`."""
        self.nats += other.nats
        self.labels += other.labels
        self.text_bytes += other.text_bytes
        self.right = None if self.right is None or other.right is None else self.right + other.right

    def scores(self) -> dict[str, float]:
        """The scores as JSON; `accuracy` only where predictions were counted."""
        loss = self.nats / max(1, self.labels)
        values = {
            "loss": _rounded(loss),
            "perplexity": _rounded(math.exp(min(loss, 700.0))),
            "bits_per_byte": _rounded(self.nats / math.log(2) / max(1, self.text_bytes)),
            "labels": self.labels,
            "bytes": self.text_bytes,
        }
        return values | ({} if self.right is None else {"accuracy": _rounded(self.right / max(1, self.labels))})


@dataclass(kw_only=True)
class Tallies:
    """The sums over all labels, and over those of each source and each language."""

    total: Tally = field(default_factory=Tally)
    by_source: dict[str, Tally] = field(default_factory=dict)
    by_language: dict[str, Tally] = field(default_factory=dict)

    def scores(self) -> dict[str, Any]:
        """All scores as JSON, sources and languages in order."""
        groups = {"by_source": self.by_source, "by_language": self.by_language}
        return {"heldout": self.total.scores()} | {
            name: {key: group[key].scores() for key in sorted(group)} for name, group in groups.items()
        }


def _tally(measured: torch.Tensor) -> Tally:
    nats, labels, text_bytes, right = measured.sum(dim=0).tolist()
    return Tally(nats=nats, labels=int(labels), text_bytes=int(text_bytes), right=int(right))


def token_bytes(decode: Callable[[list[int]], bytes], vocab_size: int, specials: Iterable[int] = ()) -> Ints:
    """The bytes that each id spells; special ids and ids of no token spell none."""
    silent = set(specials)
    lengths = np.zeros(vocab_size, dtype=np.int64)
    for token in range(vocab_size):
        if token not in silent:
            with suppress(ValueError):  # a hole in the vocabulary
                lengths[token] = len(decode([token]))
    return lengths


class Evaluator:
    """Scores models on rows. `bytes_of` gives the bytes of each id, see `token_bytes`."""

    def __init__(self, config: EvaluateConfig, bytes_of: Ints, *, within_documents: bool = True) -> None:
        self.config = config
        self.within_documents = within_documents
        self.device = choose_device(config.device, table="evaluate")
        self.precision = choose_precision(config.precision, self.device, table="evaluate")
        self._bytes_of = torch.from_numpy(bytes_of)
        prepare(self.device, self.precision, threads=config.threads)

    def scores(self, model: Transformer, batches: Iterable[ScoredRows]) -> Tallies:
        """The sums over all rows, by source and by language."""
        model = model.to(self.device).eval()
        tallies = Tallies()
        for batch in batches:
            self._score(model, batch, tallies)
        return tallies

    @torch.inference_mode()
    def _score(self, model: Transformer, batch: ScoredRows, tallies: Tallies) -> None:
        labels_BT, absolute = batch.labels, model.architecture.positions in ("sinusoidal", "learned")
        example = packed_rows(
            batch.inputs.to(self.device),
            labels_BT.to(self.device),
            batch.segment_ids.to(self.device),
            within_documents=self.within_documents,
            absolute=absolute,
            path=attention_path(model.architecture, self.device),
        )
        with autocast(self.precision, self.device):
            logits_BTV = model(example.inputs_BT, mask=example.mask, positions=example.positions)
        flat = F.cross_entropy(
            logits_BTV.flatten(0, 1).float(), example.labels_BT.flatten(), ignore_index=NO_LABEL, reduction="none"
        )
        nats_BT = flat.view(labels_BT.shape).double().cpu()
        right_BT = (logits_BTV.argmax(dim=-1) == example.labels_BT).cpu()
        bytes_BT = self._bytes_of[labels_BT.clamp(min=0)] * (labels_BT != NO_LABEL)
        measured = torch.stack(
            (nats_BT, (labels_BT != NO_LABEL).double(), bytes_BT.double(), right_BT.double()), dim=-1
        )
        for row, source in enumerate(batch.sources):
            tally = _tally(measured[row])
            tallies.total.add(tally)
            tallies.by_source.setdefault(source, Tally()).add(tally)
            for start, end, language in batch.spans[row] if batch.spans else ():
                tallies.by_language.setdefault(language, Tally()).add(_tally(measured[row, start:end]))


def document_stream(batches: Iterable[PackedBatch]) -> tuple[Ints, Ints]:
    """The tokens of the rows, document after document, and the number of the document of each.

    Each document begins with the token before its first label, which is context only.
    """
    tokens: list[Ints] = []
    documents: list[Ints] = []
    number = 0
    for batch in batches:
        for inputs, labels, segments in zip(
            batch.inputs.numpy(), batch.labels.numpy(), batch.segment_ids.numpy(), strict=True
        ):
            real = labels != NO_LABEL
            inputs, labels, segments = inputs[real], labels[real], segments[real]
            if not len(labels):
                continue
            starts = np.flatnonzero(np.diff(segments, prepend=segments[0] - 1))
            lengths = np.diff(np.append(starts, len(labels)))
            tokens.append(np.insert(labels, starts, inputs[starts]).astype(np.int64))
            documents.append(np.repeat(np.arange(number, number + len(starts)), lengths + 1))
            number += len(starts)
    empty = np.zeros(0, dtype=np.int64)
    return (np.concatenate(tokens), np.concatenate(documents)) if tokens else (empty, empty)


def ngram_scores(
    orders: Sequence[Order], heldout: tuple[Ints, Ints], bytes_of: Ints, smoothing: Smoothing
) -> dict[str, dict[str, float]]:
    """The scores of the counting models of order 1 up to the number of `orders`, by order."""
    scored = np.concatenate(([False], heldout[1][1:] == heldout[1][:-1]))
    results = {}
    for n in range(1, len(orders) + 1):
        nats: npt.NDArray[np.float64] = NgramModel(orders[:n], len(bytes_of), smoothing).nats(*heldout)
        labels = heldout[0][scored]
        text_bytes = int(bytes_of[labels].sum())
        tally = Tally(nats=float(nats[scored].sum()), labels=len(labels), text_bytes=text_bytes, right=None)
        results[str(n)] = tally.scores()
    return results


def verdict(scores: Mapping[str, Any]) -> Sequence[str]:
    """A line for each model of an evaluation: its name and its bits per byte, the trained one first."""
    lines = [f"transformer  {scores['heldout']['bits_per_byte']:.4f} bits per byte"]
    names = {"1": "unigram", "2": "bigram", "3": "trigram"}
    for order, values in scores["ngram"].items():
        lines.append(f"{names.get(order, order + '-gram'):<12} {values['bits_per_byte']:.4f}")
    return lines


def _rounded(value: float) -> float:
    """Ten digits: more would show the order of additions."""
    return float(f"{value:.10g}")
