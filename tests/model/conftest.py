"""A small run on disk: documents of real text, a byte-level tokenizer, packed shards."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from jobs.engine import Engine
from jobs.pack import pack_run
from pipeline import storage
from pipeline.atomic import FileEntry
from pipeline.manifests import Manifest, write_manifest
from pipeline.pack.config import PackConfig
from pipeline.places import join
from pipeline.tables import DOCUMENTS, TableWriter


def make_run(run: str, texts: Sequence[str], *, vocab_size: int, sequence_length: int, heldout: int = 4) -> str:
    """A run folder with documents (of two sources), tokenizer and shards."""
    _complete(
        run, "tokenizer", storage.write_bytes(join(run, "tokenizer", "tokenizer.json"), _tokenizer(texts, vocab_size))
    )
    with TableWriter(join(run, "documents", "part-000000.parquet"), DOCUMENTS) as table:
        for index, text in enumerate(texts):
            name = hashlib.blake2b(str(index).encode(), digest_size=16).hexdigest()
            table.append(
                {"id": name, "url": f"http://x/{index}", "text": text, "language": "en", "source": f"s{index % 2}"}
            )
    _complete(run, "documents", table.entry())
    pack_run(run, PackConfig(sequence_length=sequence_length, heldout_documents=heldout), Engine())
    return run


def _complete(run: str, name: str, entry: FileEntry) -> None:
    folder = join(run, name)
    write_manifest(folder, Manifest(kind=name, fingerprint=name, files=(entry.relative_to(folder),)))


def _tokenizer(texts: Sequence[str], vocab_size: int) -> bytes:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return str(tokenizer.to_str()).encode()


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> str:
    """About 150 kB of plays in documents of 60 or 1,500 characters, rows of 64."""
    text = (shared_data / "corpora/tinyshakespeare/input.txt").read_text()[:150_000]
    texts = [
        text[start : start + (1500 if start % 4500 else 60)] for start in range(0, len(text), 1500)
    ]  # some fit a row
    return make_run(str(tmp_path_factory.mktemp("run")), texts, vocab_size=600, sequence_length=64)
