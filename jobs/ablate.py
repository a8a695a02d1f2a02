"""Judges changes of the data by models: one base run, some variants, equal budgets, several seeds.

In: the settings of the runs. Every run is made up to its shards (what is up to date is skipped); then
models of the base's [model] and [train] are trained on the shards of each with several seeds. All are
scored on the text of the same documents, those that the base held out, in bits per byte, which no
tokenizer changes. Out: BASE/ablation.json, and a line for each variant: the difference with its 95 %
confidence interval over seeds.
"""

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from jobs.engine import Engine
from jobs.progress import Progress
from jobs.train import train_run
from model.checkpoint import load_model
from model.comparison import Difference, difference, interval_plot
from model.config import ModelConfig
from model.evaluator import EvaluateConfig, Evaluator, token_bytes
from model.rows import rows_of_documents
from model.trainer import TrainConfig
from pipeline import storage
from pipeline.errors import DataError, SettingError
from pipeline.pack.shards import ShardSet
from pipeline.storage import dataset_files, join
from pipeline.tables import read_rows
from tokenizer.encoding import load_encoder

if TYPE_CHECKING:
    from jobs.config import RunConfig

RESULT = "ablation.json"


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """Bits per byte by run and seed, and the difference of each variant to the base."""

    bits_per_byte: Mapping[str, Sequence[float]]
    differences: Mapping[str, Difference]


def main(config: "RunConfig", engine: Engine, *, variants: Sequence["RunConfig"], seeds: int = 3) -> Ablation:
    """Makes the shards of the base `config` and of all `variants`, and compares what models learn from them."""
    from jobs.run import jobs_of

    for each in (config, *variants):
        for job in jobs_of(each)[:-2]:  # all but train and evaluate
            job(each, engine)
    return compare(
        config.run.folder,
        [each.run.folder for each in variants],
        config.model,
        config.train,
        config.evaluate,
        seeds=seeds,
    )


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
    names = [posixpath.basename(run.rstrip("/")) for run in (base, *variants)]
    if len(set(names)) < len(names) or seeds < 1:
        raise SettingError(
            f"an ablation needs runs of different names and at least one seed; got {', '.join(names)} and {seeds}"
        )
    texts = held_out_texts(base, evaluate.max_tokens)
    for run in variants:
        _check_apart(run, {name for name, _ in texts})
    results: dict[str, list[float]] = {}
    for name, run in zip(names, (base, *variants), strict=True):
        results[name] = [
            _trained(base, name, run, model, replace(train, seed=train.seed + seed), evaluate, texts)
            for seed in range(seeds)
        ]
    differences = {name: difference(results[names[0]], results[name]) for name in names[1:]}
    ablation = Ablation(bits_per_byte=results, differences=differences)
    storage.write_json(join(base, RESULT), _as_json(ablation, len(texts)))
    _show(ablation, names[0])
    return ablation


def held_out_texts(run: str, max_tokens: int | None = None) -> list[tuple[str, str]]:
    """The id and text of each held-out document of a run, by id; with `max_tokens`, as many as have about so many."""
    wanted, taken = set(), 0
    for name, tokens in _documents(run, "heldout"):
        if max_tokens is not None and taken >= max_tokens:
            break
        wanted.add(name)
        taken += tokens
    rows = (row for path in dataset_files(join(run, "documents")) for row in read_rows(path, ["id", "text"]))
    return sorted((row["id"], row["text"]) for row in rows if row["id"] in wanted)


def _documents(run: str, split: str) -> list[tuple[str, int]]:
    """The ids of the documents of a split, and the labels of each piece."""
    shards = ShardSet.open(join(run, "shards"), split)
    found = []
    for source in shards.sources:
        for number in range(shards.num_rows(source)):
            row = shards.row(source, number)
            found += [
                (name.hex(), end - start) for name, start, end in zip(row.doc_ids, row.starts, row.ends, strict=True)
            ]
    shards.close()
    return found


def _check_apart(run: str, held_out: set[str]) -> None:
    seen = held_out & {name for name, _ in _documents(run, "train")}
    if seen:
        raise DataError(
            f"{run} trains on {len(seen)} documents that the base holds out, the first is {min(seen)}: "
            "give both the same pack.heldout_share and pack.heldout_seed"
        )


def _trained(
    base: str,
    name: str,
    run: str,
    model: ModelConfig,
    train: TrainConfig,
    evaluate: EvaluateConfig,
    texts: Sequence[tuple[str, str]],
) -> float:
    """The bits per byte of one model on `texts`, trained now unless it was."""
    out = join(base, "ablation", name, f"seed-{train.seed}")
    Progress.note(f"ablate: {name}, seed {train.seed}")
    train_run(run, model, train, out=out)
    encoder = load_encoder(join(run, "tokenizer", "tokenizer.json"))
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
        f"ablate: {base} has {sum(scores) / len(scores):.4f} bits per byte over {len(scores)} seeds; below zero is better than it"
    )
    for line in interval_plot(list(ablation.differences.items())):
        Progress.note(f"ablate: {line}")
