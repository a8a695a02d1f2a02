"""Language models that only count: the baseline beside every trained model, on the same tokens.

An n-gram model of order n predicts a token from the n-1 before it, inside its document. Two ways of
smoothing: interpolated Witten-Bell, and interpolated modified Kneser-Ney (Chen and Goodman 1999).
Counting is sorting: every n-gram has a number, its rank among the (number of its first n-1 tokens,
last token) pairs, so a corpus is counted and scored with a few passes of numpy for each order.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.evaluate_config import Smoothing

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Order:
    """The n-grams of one length. An n-gram is `keys[i]` = number of its first n-1 tokens × V + last token; its number is i.

    `counts` are occurrences, `continuations` the different tokens that were seen before it (for the
    longest order: none), `prefixes` and `suffixes` the numbers of its first and last n-1 tokens.
    """

    keys: Ints
    counts: Ints
    continuations: Ints
    prefixes: Ints
    suffixes: Ints


def number_ngrams(tokens: Ints, documents: Ints, orders: Sequence[Order], vocab_size: int) -> list[Ints]:
    """For each order, the number of the n-gram that starts at each place; -1 where it is unknown or leaves its document."""
    numbered = [tokens.copy()]
    for n, order in enumerate(orders[1:], start=2):
        numbered.append(_next_numbers(numbered[-1], tokens, documents, n, order.keys, vocab_size))
    return numbered


def _keys(shorter: Ints, tokens: Ints, documents: Ints, n: int, vocab_size: int) -> Ints:
    """The key of the n-gram at each place, -1 where there is none."""
    keys = np.full(len(tokens), -1, dtype=np.int64)
    if len(tokens) >= n:
        starts = slice(0, len(tokens) - n + 1)
        inside = (documents[starts] == documents[n - 1 :]) & (shorter[starts] >= 0)
        keys[starts] = np.where(inside, shorter[starts] * vocab_size + tokens[n - 1 :], -1)
    return keys


def _next_numbers(shorter: Ints, tokens: Ints, documents: Ints, n: int, known: Ints, vocab_size: int) -> Ints:
    keys = _keys(shorter, tokens, documents, n, vocab_size)
    places = np.searchsorted(known, keys)
    places[places == len(known)] = 0
    return np.where((keys >= 0) & (known[places] == keys) if len(known) else False, places, -1)


def count_ngrams(tokens: Ints, documents: Ints, *, order: int, vocab_size: int) -> list[Order]:
    """The n-grams of every length up to `order`. `documents` numbers the document of each token.

    The first token of a document is context only, like the start symbol of other tools.
    """
    predicted = np.concatenate(([False], documents[1:] == documents[:-1]))[: len(tokens)]
    counts = np.bincount(tokens[predicted], minlength=vocab_size).astype(np.int64)
    empty = np.zeros(0, dtype=np.int64)
    everything = np.arange(vocab_size, dtype=np.int64)
    zeros = np.zeros(vocab_size, dtype=np.int64)
    orders = [Order(keys=everything, counts=counts, continuations=zeros, prefixes=zeros, suffixes=zeros)]
    shorter = tokens
    for n in range(2, order + 1):
        keys = _keys(shorter, tokens, documents, n, vocab_size)
        known, first, times = np.unique(keys, return_index=True, return_counts=True)
        if len(known) and known[0] == -1:
            known, first, times = known[1:], first[1:], times[1:]
        suffixes = shorter[first + 1] if len(first) else empty
        orders.append(
            Order(
                keys=known,
                counts=times.astype(np.int64),
                continuations=empty,
                prefixes=shorter[first],
                suffixes=suffixes,
            )
        )
        before = np.bincount(suffixes, minlength=len(orders[-2].keys)).astype(np.int64)
        orders[-2] = Order(
            keys=orders[-2].keys,
            counts=orders[-2].counts,
            continuations=before,
            prefixes=orders[-2].prefixes,
            suffixes=orders[-2].suffixes,
        )
        shorter = _next_numbers(shorter, tokens, documents, n, known, vocab_size)
    return orders


class NgramModel:
    """An interpolated n-gram model over counts. Every token has a probability above zero."""

    def __init__(self, orders: Sequence[Order], vocab_size: int, smoothing: Smoothing = "kneser_ney") -> None:
        self.orders = orders
        self.vocab_size = vocab_size
        self.smoothing = smoothing
        self._levels = [self._level(n) for n in range(1, len(orders) + 1)]

    def _level(self, n: int) -> "_Level":
        order, longest = self.orders[n - 1], n == len(self.orders)
        counts = order.counts
        if self.smoothing == "kneser_ney" and not longest:
            # Nothing precedes the start of a document: there the plain count stands in.
            counts = np.where(order.continuations > 0, order.continuations, counts)
        num_contexts = max(1, len(self.orders[n - 2].keys)) if n > 1 else 1
        if self.smoothing == "witten_bell":
            return _witten_bell(counts, order.prefixes, num_contexts)
        return _kneser_ney(counts, order.prefixes, num_contexts)

    def probabilities(self, tokens: Ints, documents: Ints) -> Floats:
        """The probability of each token, given up to n-1 tokens before it in its document."""
        numbered = number_ngrams(tokens, documents, self.orders, self.vocab_size)
        result = np.full(len(tokens), 1.0 / self.vocab_size)
        for n, level in enumerate(self._levels, start=1):
            whole = _shifted(numbered[n - 1], n - 1)
            context = _shifted(numbered[n - 2], n - 1) if n > 1 else np.zeros(len(tokens), dtype=np.int64)
            if n > 1:  # the context must lie in the document of the token
                context = np.where(_shifted(documents, n - 1, fill=-1) == documents, context, -1)
            seen = (context >= 0) & (level.totals[np.maximum(context, 0)] > 0)
            own = np.where(whole >= 0, level.shares[np.maximum(whole, 0)], 0.0) if len(level.shares) else 0.0
            left = level.left[np.maximum(context, 0)]
            result = np.where(seen, own + left * result, result)
        return result

    def ngram_tokens(self, n: int) -> Ints:
        """The tokens (number of n-grams, n) of the known n-grams of this length."""
        order = self.orders[n - 1]
        last = (order.keys % self.vocab_size)[:, None]
        return last if n == 1 else np.concatenate((self.ngram_tokens(n - 1)[order.prefixes], last), axis=1)

    def ngram_probabilities(self, n: int) -> Floats:
        """The probability of the last token of each known n-gram of this length, given the others."""
        level, order = self._levels[n - 1], self.orders[n - 1]
        if n == 1:
            return np.asarray(level.shares + level.left[0] / self.vocab_size)
        return level.shares + level.left[order.prefixes] * self.ngram_probabilities(n - 1)[order.suffixes]

    def left_over(self, n: int) -> Floats:
        """What each known n-gram of this length, as a context, leaves for shorter contexts; 1 where it was never one."""
        level = self._levels[n]
        return np.where(level.totals > 0, level.left, 1.0)

    def nats(self, tokens: Ints, documents: Ints) -> Floats:
        """Minus the natural logarithm of each probability."""
        return -np.log(self.probabilities(tokens, documents))


@dataclass(frozen=True, kw_only=True)
class _Level:
    """One order made ready: the discounted share of each n-gram, and by context what is left for the shorter ones."""

    shares: Floats
    left: Floats
    totals: Ints


def _witten_bell(counts: Ints, contexts: Ints, num_contexts: int) -> _Level:
    totals = np.bincount(contexts, weights=counts, minlength=num_contexts)
    kinds = np.bincount(contexts[counts > 0], minlength=num_contexts)
    whole = np.maximum(totals + kinds, 1)
    return _Level(shares=counts / whole[contexts], left=kinds / whole, totals=totals.astype(np.int64))


def _kneser_ney(counts: Ints, contexts: Ints, num_contexts: int) -> _Level:
    totals = np.bincount(contexts, weights=counts, minlength=num_contexts)
    discounts = _discounts(counts)[np.minimum(counts, 3)]
    whole = np.maximum(totals, 1)
    left = np.bincount(contexts, weights=discounts, minlength=num_contexts) / whole
    return _Level(shares=(counts - discounts) / whole[contexts], left=left, totals=totals.astype(np.int64))


def _discounts(counts: Ints) -> Floats:
    """What is taken off a count of 0, 1, 2, and 3 or more, from the counts of counts."""
    n1, n2, n3, n4 = (int((counts == times).sum()) for times in (1, 2, 3, 4))
    if not (n1 and n2 and n3):  # too little data to estimate them: absolute discounting
        return np.array([0.0, 0.5, 0.5, 0.5])
    y = n1 / (n1 + 2 * n2)
    estimates = np.array([0.0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3])
    return np.asarray(np.clip(estimates, [0.0, 0.1, 0.1, 0.1], [0.0, 0.9, 1.9, 2.9]))


def _shifted(numbers: Ints, by: int, fill: int = -1) -> Ints:
    """`numbers` moved right by `by` places."""
    result = np.full(len(numbers), fill, dtype=np.int64)
    result[by:] = numbers[: max(0, len(numbers) - by)]
    return result
