"""Chooses who encodes: the fastest library, as measured here and now, among those that agree with `tokenizers`.

The sample on which they must agree is `parity_sample`: awkward strings, characters from all over Unicode,
mixtures of scripts, signs and blanks, and 100 kB of the interpreter's own documentation; all ids of all texts must be equal. Speed is measured on
another 300 kB of it. Which library wins never shows in the ids, only in the time.
"""

import importlib
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tokenizer.backends import MAKERS, REFERENCE, Backend, HuggingFace, Ids, Renewed

_PARITY_CHARACTERS, _SPEED_CHARACTERS = 100_000, 300_000
FASTEST = "fastest"
_AWKWARD = (
    "", " ", "  ", "a", " a", "a ", "\n", "\r\n", " \n ", "\n\n\n", "today\n ", "today\n \n", "\t\tif x:\n\t\t\treturn  1\n", "x  y   z",
    "it's IT'S we'll WE'LL I'd'Ve 'ſ don’t 's's''s", "HTTPServer camelCase snake_case SCREAMING iPhone ǅǆ ÉCOLE école Éc",
    "0 12 123 1234 1234567890 1,234.5 ½ Ⅷ ٣٤٥ १२३४ 𝟘𝟙𝟚", "a/b//c\n/d http://example.org/x?y=1&z=2 <p class=\"x\">&amp;</p>",
    "!!! ... --- ===== ***bold*** `code` ```py\nx\n``` {{}} [](1) $x^2$", "\u00a0\u2003\u3000\u1680x\u0085y\u2028z\u001c\u001f",
    "敏捷的棕色狐狸跳过了懒狗。日本語のテキスト、カタカナとひらがな。", "สวัสดีชาวโลก ภาษาไทยไม่มีช่องว่าง", "नमस्ते दुनिया क्षत्रिय",
    "안녕하세요 세계", "مرحبا بالعالم ١٢٣", "שָׁלוֹם עולם", "e\u0301 n\u0303 a\u0308\u0323 \u0301x", "👩‍👩‍👧‍👦🏳️‍🌈🇩🇪👍🏽☃️", "\u200b\u200d\ufeff\ufffd\x00\x01\x7f",
    "<|endoftext|> <|pad|><|im_start|>user\n[INST] <s></s> <unk> <|reserved_0|>", "a" * 300, " " * 300, "\n" * 300, "ab" * 200, "字" * 200,
)  # fmt: skip

_KINDS = (
    " ", "\n", "\r\n", "\t ", "\u00a0\u3000", "abcdefgh", "ABCDEFG", "éèßñ", "ǅʰªſ", "'s'll'T", "0123456789", "٣१๑〇½Ⅷ", ".,;:!?", "([{<|>}])", "/_-=*#@",
    "、。「」・！", "的一是不了人我在有他", "漢字仮名交文", "のはがをにとでもかられ", "アイウエオカキンー", "ｱｲｳｰ゛々〆", "กขคงจฉชัิุ่้์ฯๆ", "ກຂຄງ", "កខគឃ។", "ကခဂဃ၊",
    "абвгдеё", "АБВГД", "αβγδε", "हिन्दीकाे", "한국어글", "עברית", "ابتثجح", "\u0301\u0308\u093e\u0e31\u3099", "👩\u200d🏽️🇩🇪☃", "\u200b\ufeff\x00\x1f\u0085",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The backend that encodes, and why: MB a CPU second of each that was measured, and what was against the others.

    Nothing is measured where the backend was named. Speeds are of this machine and moment, so they belong into a log only.
    """

    backend: Backend
    speeds: Mapping[str, float] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)


def parity_sample() -> list[str]:
    """The texts on which a library must give the ids of `tokenizers`."""
    from tokenizer.characters import assigned_text

    characters = assigned_text()
    swept = [characters[start : start + 4096] for start in range(0, len(characters), 4096)]
    spaced = [" ".join(text[:: len(text) // 64 + 1]) for text in swept]
    return [*_AWKWARD, *swept[:12], *spaced, *_mixtures(), _prose(0, _PARITY_CHARACTERS)]


def _mixtures() -> list[str]:
    """Runs of a few characters of one kind after another, in chance order (the same every time)."""
    draw = random.Random(0)
    return [
        "".join("".join(draw.choices(draw.choice(_KINDS), k=draw.choice((1, 1, 2, 3, 5, 9, 20)))) for _ in range(60))
        for _ in range(200)
    ]


def agrees(backend: Backend, sample: Sequence[str], expected: Sequence[Ids]) -> bool:
    """Whether `backend` gives exactly the expected ids."""
    found = backend.encode_batch(sample)
    return len(found) == len(expected) and all(map(np.array_equal, found, expected))


def choose_backend(name: str, value: dict[str, Any], *, also: Sequence[str] = ()) -> Choice:
    """The backend called `name`, or for `fastest` the fastest that agrees with `tokenizers`.

    `also` are texts to agree on besides the sample.

    Raises:
        ValueError: there is none of that name, it is not installed, does not fit or does not agree.
    """
    reference = HuggingFace(value)
    if name == REFERENCE:
        return Choice(backend=reference)
    sample = [*parity_sample(), *also]
    expected = reference.encode_batch(sample)
    if name != FASTEST:
        return Choice(backend=_checked(name, value, sample, expected))
    speeds: list[tuple[float, Backend]] = [(_speed(reference), reference)]
    refused = {}
    for candidate in MAKERS:
        try:
            backend = _checked(candidate, value, sample, expected)
        except ValueError as error:
            refused[candidate] = str(error)  # not installed, not able, or not equal: the others stand in
            continue
        speeds.append((_speed(backend), backend))
    fastest = max(speeds, key=lambda pair: pair[0])[1]
    return Choice(backend=fastest, speeds={backend.name: speed for speed, backend in speeds}, refused=refused)


def _checked(name: str, value: dict[str, Any], sample: Sequence[str], expected: Sequence[Ids]) -> Backend:
    if name not in MAKERS:
        raise ValueError(f"backend is {name!r}; known are auto, {FASTEST}, {REFERENCE}, {', '.join(MAKERS)}")
    try:
        backend = Renewed(lambda: MAKERS[name](value))
    except ImportError:
        raise ValueError(f"backend {name} is not installed; it comes with the extra fast-encode") from None
    except Exception as error:  # whatever a library of others raises for what it does not support
        raise ValueError(f"backend {name} cannot take this tokenizer: {error}") from error
    if not agrees(backend, sample, expected):
        raise ValueError(f"backend {name} does not give the ids of {REFERENCE} for this tokenizer")
    return backend


def _speed(backend: Backend) -> float:
    """MB a second of processor time, for text that the backend has not seen yet."""
    text = _prose(_PARITY_CHARACTERS, _SPEED_CHARACTERS)
    started = time.process_time()
    backend.encode_batch([text])
    return len(text.encode()) / 1e6 / max(time.process_time() - started, 1e-9)


def _prose(start: int, size: int) -> str:
    topics: dict[str, str] = importlib.import_module("pydoc_data.topics").topics
    return "\n".join(topics[name] for name in sorted(topics))[start : start + size]
