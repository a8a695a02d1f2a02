"""Packs the documents of a run into shards: RUN/documents + RUN/tokenizer → RUN/shards.

The manifest of RUN/shards names `train/*.arrow`, `heldout/*.arrow` and a batch index a split, and
counts documents, tokens, labels, rows, padding and bytes of text by split, and the held-out and
training bytes by source and language. See `docs/shards.md`.
"""

from collections import Counter
from collections.abc import Iterator
from statistics import median
from typing import TYPE_CHECKING, Any

import apache_beam as beam

from jobs.engine import Engine, explaining, run_pipeline, run_step, watch
from jobs.progress import Progress
from pipeline.errors import DataError
from pipeline.manifests import Manifest, dataset_files, read_manifest
from pipeline.pack.config import PackConfig
from pipeline.pack.encoder import TOKENIZER_FILE, open_encoder
from pipeline.pack.format import FORMAT, SHARDS
from pipeline.pack.plain import spec_of
from pipeline.pack.splits import HeldOut
from pipeline.pack.stage import ENCODED, EncodePart, PackShard, plan_shards, write_indexes
from pipeline.places import join
from pipeline.stage import ProcessShards, shard_elements
from pipeline.steps import Shard, Step
from pipeline.storage import remove_tree
from pipeline.tables import read_batches
from tokenizer.backends import REFERENCE

if TYPE_CHECKING:
    from jobs.config import RunConfig

_DOCUMENT_SECONDS = 0.0003  # about what a document takes on one core, in either pass


def main(config: "RunConfig", engine: Engine, *, force: bool = False) -> Manifest:
    """The manifest of RUN/shards, made now unless it is up to date.

    Raises:
        DataError: there is no document to train on, or none to hold out although some should be.
    """
    return pack_run(config.run.folder, config.pack, engine, force=force)


def pack_run(run: str, config: PackConfig, engine: Engine, *, force: bool = False) -> Manifest:
    """As `main`, for the run in folder `run`."""
    step = _step(run, SHARDS, config)
    if not force and step.is_current():
        remove_tree(join(run, ENCODED))  # left by an attempt that was killed right after its commit
        Progress.note("pack: up to date")
        return read_manifest(step.folder(SHARDS))
    encoded = _encode(run, config, engine)
    _check_splits(encoded, config, run)
    manifest = _pack(step, encoded, config, engine, force=force)
    remove_tree(join(run, ENCODED))
    return manifest


def _encode(run: str, config: PackConfig, engine: Engine) -> Manifest:
    paths = dataset_files(join(run, "documents"))
    worker = EncodePart(tokenizer=join(run, "tokenizer", TOKENIZER_FILE), held_out=_held_out(paths, config))
    step = _step(run, ENCODED, config)
    shards = [Shard(name=f"part-{number:06d}", work=path) for number, path in enumerate(paths)]
    return run_step(
        step,
        shards,
        lambda elements: elements | "EncodeDocuments" >> ProcessShards(step, worker),
        engine,
        label="encode",
        record_seconds=_DOCUMENT_SECONDS,
        lines_of=_encoders,
    )


def _encoders(choices: list[Any]) -> Iterator[str]:
    """Which libraries encoded, and how fast each was when a worker chose (the median over the workers)."""
    if not choices:
        yield f"encode: by {REFERENCE}; no worker had text enough to look for a faster library"
    for backend, workers in sorted(Counter(choice["backend"] for choice in choices).items()):
        alike = [choice for choice in choices if choice["backend"] == backend]
        names = {name for choice in alike for name in choice["speeds"]}
        speeds = {
            name: median(choice["speeds"][name] for choice in alike if name in choice["speeds"]) for name in names
        }
        shown = ", ".join(f"{name} {speeds[name]:.1f}" for name in sorted(names, key=lambda name: -speeds[name]))
        refused = {reason for choice in alike for reason in choice["refused"].values()}
        yield (
            f"encode: by {backend}, which {workers} worker(s) found fastest; MB a CPU second: {shown}"
            + "".join(f"; {reason}" for reason in sorted(refused))
        )


def _pack(step: Step, encoded: Manifest, config: PackConfig, engine: Engine, *, force: bool) -> Manifest:
    encoder = open_encoder(join(step.run, "tokenizer", TOKENIZER_FILE))
    spec = spec_of(encoder, config)
    shards = plan_shards(encoded.counts, config.shard_tokens)
    worker = PackShard(encoded=join(step.run, ENCODED), config=config, spec=spec)
    done = step.begin(force=force)
    if not done.issuperset(shard.name for shard in shards):
        with watch(step, "pack", total=len(shards)), explaining(step):
            sized = engine.sized(_DOCUMENT_SECONDS * encoded.num_records, len(shards))
            run_pipeline(lambda pipeline: _wire(pipeline, step, shards, worker), sized, step=step)
    write_indexes(step, spec)
    return step.commit([shard.name for shard in shards], counts={"rejected": 0})


def _wire(pipeline: Any, step: Step, shards: list[Shard], worker: PackShard) -> Any:
    return pipeline | "Shards" >> beam.Create(shard_elements(shards)) | "PackShards" >> ProcessShards(step, worker)


def _step(run: str, output: str, config: PackConfig) -> Step:
    inputs = {name: join(run, name) for name in ("documents", "tokenizer")}
    return Step(
        run=run, name=output, outputs=(output,), settings={"format": FORMAT, "pack": _settings(config)}, inputs=inputs,
        passing=output == ENCODED,
    )  # fmt: skip


def _settings(config: PackConfig) -> dict[str, Any]:
    return {name: getattr(config, name) for name in config.__dataclass_fields__}


def _held_out(paths: list[str], config: PackConfig) -> HeldOut:
    if config.heldout_documents is None:
        return HeldOut.by_share(config.heldout_share, config.heldout_seed)
    return HeldOut.by_number(config.heldout_documents, _ids(paths), config.heldout_seed)


def _ids(paths: list[str]) -> Iterator[str]:
    for path in paths:
        for batch in read_batches(path, ["id"], batch_rows=65536):
            yield from batch.column("id").to_pylist()


def _check_splits(encoded: Manifest, config: PackConfig, run: str) -> None:
    num_documents = encoded.counts.get("read", 0)
    if not encoded.counts.get("train/labels"):
        raise DataError(
            f"{join(run, 'documents')} leaves no document to train on: "
            f"it has {num_documents}, and the held-out split takes all"
        )
    wanted = config.heldout_share > 0 if config.heldout_documents is None else config.heldout_documents > 0
    if wanted and not encoded.counts.get("heldout/labels"):
        raise DataError(
            f"no document of {num_documents} fell into the held-out share of {config.heldout_share}: "
            "raise pack.heldout_share, or set pack.heldout_documents"
        )
