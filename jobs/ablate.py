"""Judges changes of the data by models: one base run, some variants, equal budgets, several seeds.

In: the settings of the runs. The base is made up to its shards; a variant with the same pages is made from
the base's (`jobs.refilter`: from stored measures where they are enough), another from its own. What is up to
date is skipped. Then models of the base's [model] and [train] are trained on the shards of each with several
seeds. All are scored on the text of the same documents, those that the base held out, in bits per byte, which
no tokenizer changes. Out: BASE/ablation.json, BASE/ablation.svg, and a line for each variant: the difference
with its 95 % confidence interval, paired by seed.
"""

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from jobs import checks, curate, dedup, run
from jobs.engine import Engine
from jobs.lock import opened
from jobs.plots import intervals
from jobs.progress import Progress
from jobs.train import train_run
from model.checkpoint import load_model
from model.comparison import Difference, difference, interval_plot
from model.config import ModelConfig
from model.evaluate_config import EvaluateConfig
from model.evaluator import Evaluator, token_bytes
from model.rows import rows_of_documents
from model.train_config import TrainConfig
from pipeline import storage
from pipeline.errors import DataError, SettingError
from pipeline.manifests import dataset_files
from pipeline.pack.shards import ShardSet
from pipeline.places import join
from pipeline.tables import read_rows
from tokenizer.encoding import load_encoder

if TYPE_CHECKING:
    from jobs.config import RunConfig

RESULT = "ablation.json"
PLOT = "ablation.svg"


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """Bits per byte by run and seed, and the difference of each variant to the base."""

    bits_per_byte: Mapping[str, Sequence[float]]
    differences: Mapping[str, Difference]


def main(
    config: "RunConfig", engine: Engine, *, variants: Sequence["RunConfig"], seeds: int = 3, force: bool = False
) -> Ablation:
    """Makes the shards of the base `config` and of all `variants`, and compares what models learn from them.

    `force` redoes the shards of the variants.

    Raises:
        SettingError: a setting is wrong, see `jobs.checks`; or a variant changes how models are made or scored; see `compare` too.
    """
    checks.check(config, [checks.WHOLE, *run.BEFORE_TRAINING, "train"])
    for variant in variants:
        _check_same(config, variant)
        checks.check(variant, [checks.WHOLE, *run.BEFORE_TRAINING])
    _check_names([each.run.folder for each in (config, *variants)], seeds)
    for job in run.jobs_of(config)[:-2]:  # all but train and evaluate
        job(config, engine)
    for variant in variants:
        with opened(variant):
            _make_shards(config, variant, engine, force=force)
    return compare(
        config.run.folder,
        [each.run.folder for each in variants],
        config.model,
        config.train,
        config.evaluate,
        seeds=seeds,
    )


def _check_same(base: "RunConfig", variant: "RunConfig") -> None:
    """Only the data may differ: every model is made and scored by the settings of the base."""
    for table in ("model", "train", "evaluate"):
        if getattr(base, table) != getattr(variant, table):
            raise SettingError(
                f"the variant {variant.run.folder} has another [{table}] than the base; an ablation compares data, "
                "with models made and scored alike"
            )


def _make_shards(base: "RunConfig", variant: "RunConfig", engine: Engine, *, force: bool) -> None:
    """The shards of a variant, from the pages of the base unless it has pages of its own."""
    if (base.crawl, base.ingest) == (variant.crawl, variant.ingest):
        curate.filter_variant(base, variant, engine, force=force)
        later = (dedup.main, *run.jobs_of(variant)[2:-2])
    else:
        later = run.jobs_of(variant)[:-2]
    for job in later:
        job(variant, engine, force=force)


def _check_names(runs: Sequence[str], seeds: int) -> list[str]:
    names = [posixpath.basename(each.rstrip("/")) for each in runs]
    if len(set(names)) < len(names) or seeds < 1:
        raise SettingError(
            f"an ablation needs runs of different names and at least one seed; got {', '.join(names)} and {seeds}"
        )
    return names


def compare(
    base: str,
    variants: Sequence[str],
    model: ModelConfig,
    train: TrainConfig,
    evaluate: EvaluateConfig,
    *,
    seeds: int = 3,
) -> Ablation:
    """As `main`, for runs whose shards are made.

    Raises:
        SettingError: two runs have one name, or there is no seed.
        DataError: a variant trained on what the base held out.
    """
    names = _check_names([base, *variants], seeds)
    texts = held_out_texts(base, evaluate.max_tokens)
    for folder in variants:
        _check_apart(folder, {name for name, _ in texts})
    results: dict[str, list[float]] = {name: [] for name in names}
    for seed in range(seeds):
        for name, folder in zip(names, (base, *variants), strict=True):
            seeded = replace(train, seed=train.seed + seed)
            results[name].append(_trained(base, name, folder, model, seeded, evaluate, texts))
            Progress.note(f"ablate: {name}, seed {seeded.seed}: {results[name][-1]:.4f} bits per byte")
    differences = {name: difference(results[names[0]], results[name]) for name in names[1:]}
    ablation = Ablation(bits_per_byte=results, differences=differences)
    storage.write_json(join(base, RESULT), _as_json(ablation, len(texts)))
    storage.write_bytes(
        join(base, PLOT), intervals(ablation.differences, "bits per byte less those of " + names[0]).encode()
    )
    _show(ablation, names[0])
    return ablation


def held_out_texts(folder: str, max_tokens: int | None = None) -> list[tuple[str, str]]:
    """The id and text of each held-out document of a run, by id; with `max_tokens`, as many as have about so many."""
    wanted, taken = set(), 0
    for name, tokens in _documents(folder, "heldout"):
        if max_tokens is not None and taken >= max_tokens:
            break
        wanted.add(name)
        taken += tokens
    rows = (row for path in dataset_files(join(folder, "documents")) for row in read_rows(path, ["id", "text"]))
    return sorted((row["id"], row["text"]) for row in rows if row["id"] in wanted)


def _documents(folder: str, split: str) -> list[tuple[str, int]]:
    """The ids of the documents of a split, and the labels of each piece."""
    shards = ShardSet.open(join(folder, "shards"), split)
    found = []
    for source in shards.sources:
        for number in range(shards.num_rows(source)):
            row = shards.row(source, number)
            found += [
                (name.hex(), end - start) for name, start, end in zip(row.doc_ids, row.starts, row.ends, strict=True)
            ]
    shards.close()
    return found


def _check_apart(folder: str, held_out: set[str]) -> None:
    seen = held_out & {name for name, _ in _documents(folder, "train")}
    if seen:
        raise DataError(
            f"{folder} trains on {len(seen)} documents that the base holds out, the first is {min(seen)}: "
            "give both the same pack.heldout_share and pack.heldout_seed"
        )


def _trained(
    base: str,
    name: str,
    folder: str,
    model: ModelConfig,
    train: TrainConfig,
    evaluate: EvaluateConfig,
    texts: Sequence[tuple[str, str]],
) -> float:
    """The bits per byte of one model on `texts`, trained now unless it was."""
    out = join(base, "ablation", name, f"seed-{train.seed}")
    train_run(folder, model, train, out=out)
    encoder = load_encoder(join(folder, "tokenizer", "tokenizer.json"))
    trained = load_model(join(out, "model"))
    evaluator = Evaluator(
        evaluate,
        token_bytes(encoder.decode_bytes, encoder.vocab_size, encoder.specials.values()),
        within_documents=train.within_documents,
    )
    length = trained.architecture.context_length
    documents = [encoder.encode(text) for _, text in texts]
    rows = max(1, evaluate.batch_tokens // length)
    tallies = evaluator.scores(
        trained, rows_of_documents(documents, end_id=encoder.end_of_text_id, length=length, batch_rows=rows)
    )
    return tallies.total.scores()["bits_per_byte"]


def _as_json(ablation: Ablation, num_documents: int) -> dict[str, Any]:
    differences = {
        name: {"mean": each.mean, "low": each.low, "high": each.high, "decided": each.decided}
        for name, each in ablation.differences.items()
    }
    return {"bits_per_byte": ablation.bits_per_byte, "differences": differences, "heldout_documents": num_documents}


def _show(ablation: Ablation, base: str) -> None:
    scores = ablation.bits_per_byte[base]
    Progress.note(
        f"ablate: {base} has {sum(scores) / len(scores):.4f} bits per byte over {len(scores)} seeds; "
        "of the others the difference and its 95 % interval, paired by seed; below zero is better"
    )
    for line in interval_plot(list(ablation.differences.items())):
        Progress.note(f"ablate: {line}")
