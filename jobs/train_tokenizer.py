"""Learns the tokenizer of a run: RUN/counts → RUN/tokenizer.

In: the count table. Out: `tokenizer.json`, `tokenizer.lock` (what made it), `tokenizer.tiktoken` (the
same ranks for tiktoken) and `fertility.json` (what it is worth). No text is read.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jobs.engine import Engine
from jobs.fertility import report
from jobs.progress import Progress
from pipeline.count.loading import Table, load_table, prune
from pipeline.errors import InputError, SettingError
from pipeline.manifests import Manifest, read_manifest
from pipeline.pack.encoder import open_encoder
from pipeline.places import join
from pipeline.steps import Receipt, Step, content_of, write_receipt
from pipeline.storage import checksum, json_bytes, read_bytes, write_bytes
from tokenizer.config import TokenizerConfig
from tokenizer.encoding import Encoder
from tokenizer.importing import from_tiktoken
from tokenizer.locking import FORMAT, lock_value
from tokenizer.patterns import Pattern, pattern_named
from tokenizer.training import learn
from tokenizer.writing import tiktoken_ranks, tokenizer_json

if TYPE_CHECKING:
    from jobs.config import RunConfig

TOKENIZER = "tokenizer"
_RECEIPT = "tokenizer"


def main(config: "RunConfig", engine: Engine, *, force: bool = False) -> Manifest:
    """The manifest of RUN/tokenizer, made now unless it is up to date."""
    return train_run(config.run.folder, config.tokenizer, force=force)


def train_run(run: str, config: TokenizerConfig, *, force: bool = False) -> Manifest:
    """As `main`, for the run in folder `run`."""
    counts = join(run, "counts")
    step = Step(
        run=run, name=TOKENIZER, outputs=(TOKENIZER,), settings={"tokenizer": _settings(config)}, inputs={"counts": counts},
        external=[checksum(path)[0] for path in (config.existing, config.compare_with) if path],
    )  # fmt: skip
    if not force and step.is_current():
        Progress.note("tokenizer: up to date")
        return read_manifest(step.folder(TOKENIZER))
    table = load_table(counts, weights=config.source_weights)
    made = _taken_over(table, config) if config.existing else _learned(table, config, content_of(read_manifest(counts)))
    step.begin(force=force)  # nothing that settings and inputs can get wrong comes after this
    entries = tuple(write_bytes(join(step.folder(TOKENIZER), name), content) for name, content in made.files.items())
    write_receipt(step.attempt_folder, Receipt(shard=_RECEIPT, files={TOKENIZER: entries}))
    Progress.note(f"tokenizer: {made.counts['tokens']} tokens {made.origin}")
    return step.commit([_RECEIPT], counts=made.counts)


@dataclass(frozen=True, kw_only=True)
class _Made:
    """A tokenizer as files by name, its counts, and where its tokens are from."""

    files: Mapping[str, bytes]
    counts: Mapping[str, int]
    origin: str


def _learned(table: Table, config: TokenizerConfig, counts: str) -> _Made:
    words, dropped = prune(table.words, config.min_count)
    if words.is_large:
        Progress.note("tokenizer: the counts stand for 2^62 bytes or more, so merges are learned in Python's integers")
    try:
        vocabulary = learn(
            words, vocab_size=config.vocab_size, specials=config.specials,
            min_frequency=config.min_frequency, max_token_bytes=config.max_token_bytes,
        )  # fmt: skip
    except ValueError as error:
        raise SettingError(f"tokenizer: {error}") from None
    training = {
        "counts": counts,
        "settings": _settings(config),
        "pretokens": int(words.counts.astype(object).sum()),
        "types": len(words),
        "text_bytes": words.num_bytes,
        "dropped_below_min_count": {"pretokens": dropped[0], "bytes": dropped[1]},
    }
    pattern = pattern_named(table.info.pattern)
    text = tokenizer_json(vocabulary, pattern)
    encoder = Encoder(text)  # refuses what would not load or would be unsafe
    files = {
        "tokenizer.json": text.encode(),
        "tokenizer.lock": json_bytes(lock_value(vocabulary, pattern, text, training)),
        "tokenizer.tiktoken": tiktoken_ranks(vocabulary),
        "fertility.json": json_bytes(report(encoder, table, config.compare_with)),
    }
    numbers = {"tokens": len(vocabulary), "types": len(words)}
    return _Made(files=files, counts=numbers, origin=f"from {len(words)} different pre-tokens")


def _taken_over(table: Table, config: TokenizerConfig) -> _Made:
    """The tokenizer `config.existing`, as it is; of a rank file, the `tokenizer.json` with its ids."""
    encoder, content = existing_tokenizer(config, table.info.pattern)
    lock = {"format": FORMAT, "existing": config.existing, "hash": encoder.hash, "special_ids": encoder.specials}
    files = {
        "tokenizer.json": content,
        "tokenizer.lock": json_bytes(lock),
        "fertility.json": json_bytes(report(encoder, table, config.compare_with)),
    }
    return _Made(files=files, counts={"tokens": encoder.vocab_size}, origin=f"of {config.existing}")


def existing_tokenizer(config: TokenizerConfig, pattern: str) -> tuple[Encoder, bytes]:
    """The tokenizer `config.existing`, and its `tokenizer.json`; `pattern` cuts the text for a rank file.

    Raises:
        InputError: there is none, or it is not usable.
    """
    content = read_bytes(config.existing)
    if content.lstrip().startswith(b"{"):
        return open_encoder(config.existing), content
    encoder = _of_ranks(content, pattern_named(pattern), config)
    return encoder, encoder.text.encode()


def _of_ranks(ranks: bytes, pattern: Pattern, config: TokenizerConfig) -> Encoder:
    try:
        value = from_tiktoken(ranks, pattern, config.existing_special_ids or config.specials)
        return Encoder(json.dumps(value, ensure_ascii=False, indent=1) + "\n")
    except ValueError as error:
        raise InputError(f"{config.existing} is neither a tokenizer.json nor a usable rank file: {error}") from None


def _settings(config: TokenizerConfig) -> dict[str, Any]:
    return {name: getattr(config, name) for name in TokenizerConfig.__dataclass_fields__}
