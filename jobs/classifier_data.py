"""Labelled texts for training a classifier: what counts as bad, and what training may never see.

A text is held out by the smallest hash of its shingles (eight letters in a row, whatever the case, numbers, signs,
names and addresses), so the decision needs no other text and stays when sets are added. Near-duplicates mostly share
that hash; those that do not are found by MinHash bands and left out of training.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.errors import InputError
from pipeline.filter.reading import normalise, readable, sentences
from pipeline.jsonl import read_records
from pipeline.language_codes import language_code
from tokenizer.compiling import kept

HELD_OUT_OF = 5
_SHINGLE_LETTERS = 8
_BANDS, _ROWS = 6, 5
# Pieces of a text with marked characters count less than whole texts.
_PIECE_WEIGHT = 0.5
_STAND_INS = {"user", "url", "mail"}


@dataclass(frozen=True, kw_only=True)
class Source:
    """One labelled input: its file, which labels are bad, which are left out, and what the card says of it."""

    path: str
    bad: tuple[str, ...]
    skip: tuple[str, ...] = ()
    licence: str = ""
    # Only records in these languages; all where none is named.
    languages: tuple[str, ...] = ()
    # What its texts count for in training a linear model; less for labels that are doubtful or made from templates.
    weight: float = 1.0
    # Where a clean document has its text.
    text_field: str = "text"

    @property
    def name(self) -> str:
        """The file's name without its endings."""
        return os.path.basename(self.path).split(".")[0]

    def is_bad(self, label: str) -> bool:
        """Whether a label is one of the bad ones; `!good` in `bad` means every label but that."""
        return label in self.bad or any(bad.startswith("!") and label != bad[1:] for bad in self.bad)


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A labelled text. `key` is shared by near-duplicates, mostly, and decides the part and the fold."""

    source: str
    language: str
    text: str
    bad: bool
    key: int = 0
    weight: float = 1.0

    @property
    def group(self) -> tuple[str, str]:
        """Within a group the labels are balanced."""
        return self.source, self.language


@dataclass(kw_only=True)
class Split:
    """What is trained on, and what is held out. `num_near` texts were left out for their likeness to held-out ones."""

    train: list[Example] = field(default_factory=list)
    heldout: list[Example] = field(default_factory=list)
    clean_train: list[Example] = field(default_factory=list)
    clean_heldout: list[Example] = field(default_factory=list)
    num_near: int = 0


def read_split(
    sources: Sequence[Source], clean: Sequence[Source] = (), clean_documents: int = 0, *, fifth: int = 0
) -> Split:
    """All examples, each once: a fifth held out, the others to train on. `fifth` says which, 0 to 4.

    Raises:
        InputError: a record lacks text or label, or all labels are alike.
    """
    split = Split()
    seen: set[bytes] = set()
    train: list[tuple[Example, dict[str, Any]]] = []
    for source in sources:
        labels: set[str] = set()
        for place, record in enumerate(read_records(source.path), start=1):
            example = _example(source, record, place)
            labels.add(str(record["label"]))
            if example is None or not _is_new(example, seen):
                continue
            if is_held_out(example.key, fifth):
                split.heldout.append(example)
            else:
                train.append((example, record))
        _check_labels(source, labels)
    near = near_duplicates([example.text for example, _ in train], [example.text for example in split.heldout])
    split.num_near = sum(near)
    for (example, record), is_near in zip(train, near, strict=True):
        if not is_near:
            split.train += [example, *pieces_by_span(example, record)]
    for source in clean:
        for example in clean_examples(source, clean_documents):
            (split.clean_heldout if is_held_out(example.key, fifth) else split.clean_train).append(example)
    if not {True, False} <= {example.bad for example in split.train} | ({False} if split.clean_train else set()):
        raise InputError(
            f"the texts to learn from are all good or all bad; a classifier needs both. Left out are the fifth that is held out and "
            f"{split.num_near} texts that are like one of it"
        )
    return split


def clean_examples(source: Source, number: int) -> Iterator[Example]:
    """A piece of each of the first `number` documents of a source: from its middle if it is long."""
    for count, record in enumerate(read_records(source.path)):
        if count >= number:
            return
        if not isinstance(text := record.get(source.text_field), str):
            raise InputError(
                f"{source.path}: record {count + 1} lacks a `{source.text_field}` that is a string; it has {', '.join(record) or 'nothing'}"
            )
        piece = text[40_000:56_000] or text[:16_000]
        yield Example(
            source=source.name, language=str(record.get("lang") or ""), text=piece, bad=False, key=key_of(piece)
        )


def clean_sentences(sources: Sequence[Source]) -> tuple[list[Example], list[Example]]:
    """The sentences of `sources` in their languages, each once: those to use, and the fifth held out.

    A code of three letters becomes one of two. Of records with a `kind` only sentences are taken.

    Raises:
        InputError: a record lacks text or language.
    """
    used: list[Example] = []
    heldout: list[Example] = []
    seen: set[bytes] = set()
    for source in sources:
        for place, record in enumerate(read_records(source.path), start=1):
            if not isinstance(record.get("text"), str) or not isinstance(record.get("lang"), str):
                raise InputError(
                    f"{source.path}: record {place} lacks a `lang` or a `text` that are strings; it has {', '.join(record) or 'nothing'}"
                )
            text, language = record["text"], language_code(record["lang"])
            if language not in source.languages or record.get("kind", "sentences") != "sentences":
                continue
            example = Example(source=source.name, language=language, text=text, bad=False, key=key_of(text), weight=source.weight)  # fmt: skip
            if _is_new(example, seen):
                (heldout if is_held_out(example.key) else used).append(example)
    return used, heldout


def is_held_out(key: int, fifth: int = 0) -> bool:
    """Whether training may not see the texts of this key, when it is this fifth that is held out."""
    return key % HELD_OUT_OF == fifth


def fold_of(key: int, num_folds: int) -> int:
    """Which of the parts of the training part a text belongs to."""
    return key // HELD_OUT_OF % num_folds


def key_of(text: str) -> int:
    """The smallest hash of the text's shingles."""
    return int(_signature(text, 1)[0])


def near_duplicates(texts: Sequence[str], others: Sequence[str]) -> list[bool]:
    """Which of `texts` are like one of `others`: share a band, which those with four fifths of shingles in common mostly do."""
    known = {band for text in others for band in _bands(text)}
    return [any(band in known for band in _bands(text)) for text in texts]


def _bands(text: str) -> list[bytes]:
    signature = _signature(text, _BANDS * _ROWS)
    return [bytes([band]) + signature[band * _ROWS : (band + 1) * _ROWS].tobytes() for band in range(_BANDS)]


def _signature(text: str, number: int) -> npt.NDArray[np.uint64]:
    words = [word for word in normalise(readable(text)).split() if word not in _STAND_INS]
    letters = "".join(filter(str.isalpha, "".join(words))) or text
    points = np.frombuffer(letters.encode("utf-32-le", "replace"), np.uint32)
    return _smallest(points, number)


@kept(nogil=True)
def _smallest(points: npt.NDArray[np.uint32], number: int) -> npt.NDArray[np.uint64]:
    """The smallest values of `number` hash functions over the shingles; a text shorter than one is one."""
    smallest = np.full(number, np.uint64(0xFFFFFFFFFFFFFFFF))
    for start in range(max(1, len(points) - _SHINGLE_LETTERS + 1)):
        shingle = np.uint64(1)
        for position in range(start, min(start + _SHINGLE_LETTERS, len(points))):
            shingle = shingle * np.uint64(0x100000001B3) + np.uint64(points[position])
        for function in range(number):
            value = shingle + np.uint64(function + 1) * np.uint64(0x9E3779B97F4A7C15)
            for _ in range(2):
                value = (value ^ (value >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
            value ^= value >> np.uint64(32)
            smallest[function] = min(smallest[function], value)
    for function in range(number):  # the smallest of many is small: mixed again, so that it says nothing of the length
        smallest[function] = (smallest[function] * np.uint64(0x9E3779B97F4A7C15)) ^ (
            smallest[function] >> np.uint64(29)
        )
        smallest[function] = (smallest[function] ^ (smallest[function] >> np.uint64(32))) >> np.uint64(1)
    return smallest


def _check_labels(source: Source, labels: set[str]) -> None:
    """Raises: InputError: a label that is said to be bad or left out stands nowhere in the file."""
    named = {label.removeprefix("!") for label in (*source.bad, *source.skip)}
    if unknown := sorted(named - labels):
        found = ", ".join(sorted(labels)[:20]) or "none"
        raise InputError(f"{source.path}: no record has the label {', '.join(unknown)}; its labels are {found}")


def _example(source: Source, record: dict[str, Any], place: int) -> Example | None:
    if not isinstance(record.get("text"), str) or "label" not in record:
        has = ", ".join(sorted(record))
        raise InputError(f"{source.path}: record {place} lacks a `label`, or a `text` that is a string; it has {has}")
    label = str(record["label"])
    language = str(record.get("lang") or "")
    if label in source.skip or (source.languages and language not in source.languages):
        return None
    text = record["text"]
    return Example(
        source=source.name, language=language, text=text, bad=source.is_bad(label), key=key_of(text), weight=source.weight
    )  # fmt: skip


def _is_new(example: Example, seen: set[bytes]) -> bool:
    digest = hashlib.sha256(normalise(readable(example.text)).encode()).digest()
    known = digest in seen
    seen.add(digest)
    return not known


def pieces_by_span(example: Example, record: dict[str, Any]) -> Iterator[Example]:
    """What marked characters add: the marked words are bad, the text without them and its unmarked sentences good."""
    marked = set(record.get("spans") or ()) if isinstance(record.get("spans"), list) else set()
    if not marked or not all(isinstance(position, int) for position in marked):
        return
    text = example.text
    pieces = [
        ("".join(char if i in marked else " " for i, char in enumerate(text)), True),
        ("".join(" " if i in marked else char for i, char in enumerate(text)), False),
    ]
    start = 0
    for sentence in sentences(text):
        start = max(start, text.find(sentence, start))
        pieces.append((sentence, any(position in marked for position in range(start, start + len(sentence)))))
        start += len(sentence)
    for piece, bad in pieces:
        yield Example(
            source=f"{example.source} spans", language=example.language, text=piece, bad=bad, key=example.key, weight=_PIECE_WEIGHT
        )  # fmt: skip
