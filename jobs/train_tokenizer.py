"""Learns the tokenizer of a run: RUN/counts → RUN/tokenizer.

In: the count table. Out: `tokenizer.json`, `tokenizer.lock` (what made it), `tokenizer.tiktoken` (the
same ranks for tiktoken) and `fertility.json` (what it is worth). No text is read.
"""

import json
from typing import TYPE_CHECKING, Any

from jobs.engine import Engine
from jobs.fertility import report
from jobs.progress import Progress
from pipeline.count.loading import Table, load_table, prune
from pipeline.errors import InputError, SettingError
from pipeline.manifests import Manifest, read_manifest
from pipeline.pack.encoder import open_encoder
from pipeline.steps import Receipt, Step, content_of, write_receipt
from pipeline.storage import checksum, join, read_bytes, write_bytes, write_json
from tokenizer.config import TokenizerConfig
from tokenizer.encoding import Encoder
from tokenizer.importing import from_tiktoken
from tokenizer.locking import FORMAT, lock_value
from tokenizer.patterns import Pattern, pattern_named
from tokenizer.training import learn
from tokenizer.vocabulary import Vocabulary
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
    step.begin(force=force)
    table = load_table(counts, weights=config.source_weights)
    counted = (
        _take_over(step, table, config)
        if config.existing
        else _learn(step, table, config, content_of(read_manifest(counts)))
    )
    return step.commit([_RECEIPT], counts=counted)


def _learn(step: Step, table: Table, config: TokenizerConfig, counts: str) -> dict[str, int]:
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
    _write(step, table, vocabulary, training, config.compare_with)
    Progress.note(f"tokenizer: {len(vocabulary)} tokens from {len(words)} different pre-tokens")
    return {"tokens": len(vocabulary), "types": len(words)}


def _take_over(step: Step, table: Table, config: TokenizerConfig) -> dict[str, int]:
    """Copies the tokenizer `config.existing` into the run, as it is; of a rank file, the `tokenizer.json` with its ids."""
    content = read_bytes(config.existing)
    if content.lstrip().startswith(b"{"):
        encoder = open_encoder(config.existing)
    else:
        encoder = _of_ranks(content, pattern_named(table.info.pattern), config)
        content = encoder.text.encode()
    folder = step.folder(TOKENIZER)
    lock = {"format": FORMAT, "existing": config.existing, "hash": encoder.hash, "special_ids": encoder.specials}
    entries = (
        write_bytes(join(folder, "tokenizer.json"), content),
        write_json(join(folder, "tokenizer.lock"), lock),
        write_json(join(folder, "fertility.json"), report(encoder, table, config.compare_with)),
    )
    write_receipt(step.attempt_folder, Receipt(shard=_RECEIPT, files={TOKENIZER: entries}))
    Progress.note(f"tokenizer: {encoder.vocab_size} tokens of {config.existing}")
    return {"tokens": encoder.vocab_size}


def _of_ranks(ranks: bytes, pattern: Pattern, config: TokenizerConfig) -> Encoder:
    try:
        value = from_tiktoken(ranks, pattern, config.existing_special_ids or config.specials)
        return Encoder(json.dumps(value, ensure_ascii=False, indent=1) + "\n")
    except ValueError as error:
        raise InputError(f"{config.existing} is neither a tokenizer.json nor a usable rank file: {error}") from None


def _write(step: Step, table: Table, vocabulary: Vocabulary, training: dict[str, Any], compare_with: str) -> None:
    pattern = pattern_named(table.info.pattern)
    text = tokenizer_json(vocabulary, pattern)
    encoder = Encoder(text)  # refuses what would not load or would be unsafe
    folder = step.folder(TOKENIZER)
    entries = (
        write_bytes(join(folder, "tokenizer.json"), text.encode()),
        write_json(join(folder, "tokenizer.lock"), lock_value(vocabulary, pattern, text, training)),
        write_bytes(join(folder, "tokenizer.tiktoken"), tiktoken_ranks(vocabulary)),
        write_json(join(folder, "fertility.json"), report(encoder, table, compare_with)),
    )
    write_receipt(step.attempt_folder, Receipt(shard=_RECEIPT, files={TOKENIZER: entries}))


def _settings(config: TokenizerConfig) -> dict[str, Any]:
    return {name: getattr(config, name) for name in TokenizerConfig.__dataclass_fields__}
