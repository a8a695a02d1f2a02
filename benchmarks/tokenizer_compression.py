"""How well learned vocabularies compress text that they have not seen, ours beside that of `tokenizers` from the same text."""

import io
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.tokenizer_measuring import END, VOCAB_SIZE, measured

_HELD_OUT = 5  # one document in so many


def compression(data: Path, corpora: tuple[str, ...], num_bytes: float) -> None:
    """Prints bytes per token of 32,000 tokens on held-out documents, in all and by corpus. More is better."""
    print(
        f"Held-out bytes per token, {VOCAB_SIZE} tokens from {num_bytes / 1e6 * (1 - 1 / _HELD_OUT):.0f} MB, one document in five held out"
    )
    print(f"  {'':36} {'all':>8}  " + "  ".join(name[:12].rjust(12) for name in corpora))
    for who, pattern in (("tokenizers", "gpt2"), ("corpusmill", "gpt2"), ("tokenizers", "o200k"), ("corpusmill", "o200k"), ("corpusmill", "scripts")):  # fmt: skip
        row = measured(held_out_ratios, data, corpora, num_bytes, who, pattern)
        ratios = "  ".join(f"{row['ratios'][name]:12.4f}" for name in corpora)
        print(f"  {who + ', pattern ' + pattern:36} {row['all']:8.4f}  {ratios}", flush=True)


def held_out_ratios(data: Path, corpora: tuple[str, ...], num_bytes: float, who: str, pattern: str) -> dict[str, Any]:
    """Bytes per token of one vocabulary, in all and by corpus."""
    from tokenizer.encoding import Encoder

    documents = list(read_documents(data, corpora, num_bytes))
    learning = [text for number, (_, text) in enumerate(documents) if number % _HELD_OUT]
    encoder = Encoder((_by_tokenizers if who == "tokenizers" else _by_us)(learning, pattern), backend="corpusmill")
    held_out = documents[::_HELD_OUT]
    num_bytes_of: dict[str, int] = defaultdict(int)
    num_tokens_of: dict[str, int] = defaultdict(int)
    for (name, text), ids in zip(held_out, encoder.encode_batch([text for _, text in held_out]), strict=True):
        num_bytes_of[name] += len(text.encode())
        num_tokens_of[name] += len(ids)
    return {
        "all": sum(num_bytes_of.values()) / sum(num_tokens_of.values()),
        "ratios": {name: num_bytes_of[name] / max(num_tokens_of[name], 1) for name in corpora},
    }


def read_documents(data: Path, corpora: tuple[str, ...], num_bytes: float) -> Iterator[tuple[str, str]]:
    """Documents of all corpora by turns, with the name of the corpus, until `num_bytes` of text are read."""
    import zstandard

    files = {
        name: io.TextIOWrapper(zstandard.open(data / f"corpora/{name}.jsonl.zst", "rb"), "utf-8", newline="\n")
        for name in corpora
    }
    size = 0
    while files and size < num_bytes:
        for name, file in list(files.items()):
            line = file.readline()
            if not line:
                del files[name]
                continue
            text = json.loads(line)["text"]
            size += len(text.encode())
            yield name, text


def _by_tokenizers(texts: list[str], pattern: str) -> str:
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

    from tokenizer.patterns import pattern_named

    theirs = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(pattern_named(pattern).regex), "isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    theirs.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE, special_tokens=[END], initial_alphabet=alphabet, show_progress=False
    )
    theirs.train_from_iterator(texts, trainer)
    text: str = theirs.to_str()
    return text


def _by_us(texts: list[str], pattern: str) -> str:
    from tokenizer.counting import CountingMethod
    from tokenizer.patterns import pattern_named
    from tokenizer.training import learn
    from tokenizer.writing import tokenizer_json

    counter = CountingMethod(pattern_named(pattern), longest=256).counter()
    for text in texts:
        encoded = np.frombuffer(text.encode(), dtype=np.uint8)
        counter.add(encoded, np.array([0, len(encoded)]))
    vocabulary = learn(counter.take().words, vocab_size=VOCAB_SIZE, specials=(END,))
    return tokenizer_json(vocabulary, pattern_named(pattern))
