"""Texts and tokenizers that several tests use."""

import json
from collections import Counter
from pathlib import Path

import pytest
import zstandard

from tokenizer.patterns import pattern_named
from tokenizer.splitting import Splitter
from tokenizer.training import WordCounts, learn
from tokenizer.writing import tokenizer_json

# A little of everything: enough to learn a few hundred merges from.
PARAGRAPHS = [
    "It is a truth universally acknowledged, that it isn't what it's said to be; we'll see, I'd say, they've been there.",
    "def train(model: Model, steps: int = 1_000) -> None:\n    for step in range(steps):\n        model.update(step)\n\n\n# end\n",
    "Die Straße, über die wir liefen, war naß; der Weg führte übers Feld, und überall lag Schnee. ÜBERALL!",
    "Всё счастливые семьи похожи друг на друга, каждая несчастливая семья несчастлива по-своему.",
    "敏捷的棕色狐狸跳过了懒狗。敏捷的狐狸,懒狗。吾輩は猫である。名前はまだ無い。カタカナ、ひらがな。",
    "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता प्राप्त है। ภาษาไทยเขียนติดกัน",
    "12 345 6789 3.14159 1,000,000 2024-02-29 192.168.0.1 x=1;y=22;z=333\t\ttabs  two   three    four\r\n\r\n",
    "👩‍👩‍👧‍👦 🏳️‍🌈 e\u0301 \u00a0\u2003\u3000 \u0085\u001c <|endoftext|> <|endoftext|><|pad|> ſ'ſ I'M WE'LL HTTPServer iPhone ǅ",
]


@pytest.fixture(scope="session")
def paragraphs() -> list[str]:
    """Texts of many kinds."""
    return PARAGRAPHS


@pytest.fixture(scope="session")
def small_json() -> str:
    """A `tokenizer.json` learned from the paragraphs."""
    counts = Splitter(pattern_named("o200k")).count(PARAGRAPHS * 3)
    vocabulary = learn(WordCounts.of(counts), vocab_size=600, specials=("<|endoftext|>", "<|pad|>"))
    return tokenizer_json(vocabulary, pattern_named("o200k"))


def read_corpus(path: Path, num_bytes: int) -> list[str]:
    """The first documents of a `*.jsonl.zst` corpus, about `num_bytes` of text."""
    texts, size = [], 0
    with zstandard.open(path, "rt", encoding="utf-8", newline="\n") as lines:
        for line in lines:
            texts.append(json.loads(line)["text"])
            size += len(texts[-1].encode())
            if size >= num_bytes:
                break
    return texts


@pytest.fixture(scope="session")
def real_texts(shared_data: Path) -> list[str]:
    """Four megabytes of real text in English, Chinese, Japanese, Russian, French and Hindi."""
    names = ("en_blog_18f", "en_tech_pep_rfc", "zh_mixed", "ja_aozora", "ru_eltec_dracor", "fr_eltec", "hi_midas")
    return [
        text[:200_000] for name in names for text in read_corpus(shared_data / "corpora" / f"{name}.jsonl.zst", 600_000)
    ]


@pytest.fixture(scope="session")
def real_counts(real_texts: list[str]) -> Counter[bytes]:
    """The pre-tokens of the real texts by the pattern of cl100k."""
    return Splitter(pattern_named("cl100k")).count(real_texts)
