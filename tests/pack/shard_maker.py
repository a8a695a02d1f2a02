"""Small sets of shards for tests, written by the code that writes real ones."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pipeline.pack.config import PackConfig
from pipeline.pack.format import ShardSpec
from pipeline.pack.rows import TokenisedDocument, pack_blocks
from pipeline.pack.shard_writer import ShardWriter, write_index
from pipeline.steps import Receipt, Step, write_receipt
from tokenizer.alphabet import BYTE_TOKENS
from tokenizer.patterns import pattern_named
from tokenizer.vocabulary import Vocabulary
from tokenizer.writing import tokenizer_json

END_OF_TEXT = 0


def byte_tokenizer() -> str:
    """A `tokenizer.json` whose tokens are the 256 bytes and end-of-text."""
    vocabulary = Vocabulary(specials=("<|endoftext|>",), tokens=BYTE_TOKENS, merges=())
    value = tokenizer_json(vocabulary, pattern_named("gpt2"))
    return value if isinstance(value, str) else json.dumps(value)


def spec_of(sequence_length: int, *, vocab_size: int = 1000) -> ShardSpec:
    """A spec with end-of-text 0."""
    return ShardSpec(
        sequence_length=sequence_length, vocab_size=vocab_size, end_of_text_id=END_OF_TEXT, tokenizer_hash="ab" * 32
    )


def document(name: str, num_tokens: int, *, source: str = "web", spec: ShardSpec) -> TokenisedDocument:
    """A document of random tokens that depend on its name."""
    doc_id = hashlib.blake2b(name.encode(), digest_size=16).digest()
    generator = np.random.default_rng(int.from_bytes(doc_id[:4], "big"))
    tokens = generator.integers(1, spec.vocab_size, num_tokens).astype(spec.dtype)
    return TokenisedDocument(id=doc_id, source=source, tokens=tokens)


def documents_of(lengths: Sequence[int], *, source: str, spec: ShardSpec) -> list[TokenisedDocument]:
    """One document for each length."""
    return [document(f"{source} {i}", n, source=source, spec=spec) for i, n in enumerate(lengths)]


def write_shards(
    run: Path | str, documents: Mapping[str, Sequence[Sequence[TokenisedDocument]]], spec: ShardSpec, **settings: object
) -> str:
    """A complete set of shards: for each split, the documents of each of its files. Returns its folder."""
    step = Step(run=str(run), name="shards", outputs=("shards",))
    step.begin()
    config = PackConfig(sequence_length=spec.sequence_length, **settings)  # type: ignore[arg-type]
    entries = []
    for split, parts in documents.items():
        files = {}
        for number, part in enumerate(parts):
            path = f"{split}/{number:05d}.arrow"
            with ShardWriter(f"{step.folder('shards')}/{path}", spec) as writer:
                for block in pack_blocks(part, config, spec):
                    writer.append(block)
            files[path] = writer.entries
            entries.append(writer.entry())
        entries.append(write_index(step.folder("shards"), split, spec, files))
    write_receipt(step.attempt_folder, Receipt(shard="all", files={"shards": tuple(entries)}))
    step.commit(["all"])
    return step.folder("shards")
