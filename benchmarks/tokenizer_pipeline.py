"""Encoding within the pipeline: from the text in Parquet to ids in arrays, in files, in shards. Part of `benchmarks.tokenizer`."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.tokenizer_measuring import cpu_seconds, load_texts, measured, write_tokenizer

_LIBRARIES = ("corpusmill", "gigatoken", "fastokens")
_PART_DOCUMENTS = 20_000


def speeds(texts: Path, pattern: str) -> None:
    """Prints MB a CPU second of each stretch of the way, beside the encoder alone."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "learned.json"
        megabytes = measured(write_tokenizer, texts, pattern, path)["megabytes"]
        measured(write_run, texts, path, folder)
        print(
            f"From Parquet to ids, {megabytes:.1f} MB, pattern {pattern}, MB a CPU second, as a share of the encoder alone"
        )
        measured(to_arrays, folder, "corpusmill")  # compiles, once per machine
        for library in _LIBRARIES:
            alone = measured(from_memory, texts, folder, library)
            if "missing" in alone:
                print(f"  {library:12} not available: {alone['missing']}")
                continue
            for name, row in (
                ("encoder alone, text in memory", alone),
                ("Parquet to arrays", measured(to_arrays, folder, library)),
                ("Parquet to files by bucket", measured(to_files, folder, library)),
            ):
                _print(f"{library}, {name}", megabytes / row["seconds"], megabytes / alone["seconds"])
        packed, chosen = measured(to_shards, folder)["seconds"], measured(choosing, folder)["seconds"]
        _print("the whole of `corpusmill pack`", megabytes / packed, None)
        print(f"  {packed:.1f} CPU seconds, of which about {chosen:.1f} find the fastest encoder, whatever the size")


def _print(name: str, speed: float, alone: float | None) -> None:
    share = "" if alone is None else f" = {speed / alone:4.2f}"
    print(f"  {name:46} {speed:7.1f} MB/s{share}", flush=True)


def write_run(texts: Path, tokenizer: Path, folder: str) -> dict[str, Any]:
    """A run with the texts as documents and with the tokenizer."""
    from pipeline.places import join
    from pipeline.records import Document, page_id
    from pipeline.steps import Receipt, Step, write_receipt
    from pipeline.storage import write_bytes
    from pipeline.tables import DOCUMENTS, TableWriter, document_row

    step = Step(run=folder, name="dedup", outputs=("documents",))
    step.begin()
    every, entries = load_texts(texts), []
    for start in range(0, len(every), _PART_DOCUMENTS):
        with TableWriter(join(step.folder("documents"), f"part-{start:08d}.parquet"), DOCUMENTS) as table:
            for number, text in enumerate(every[start : start + _PART_DOCUMENTS], start):
                url = f"https://example.org/{number}"
                document = Document(id=page_id(url, text.encode()), url=url, text=text, source="web", language="")
                table.append(document_row(document))
        entries.append(table.entry())
    write_receipt(step.attempt_folder, Receipt(shard="all", files={"documents": tuple(entries)}))
    step.commit(["all"])
    step = Step(run=folder, name="tokenizer", outputs=("tokenizer",))
    step.begin()
    entry = write_bytes(join(step.folder("tokenizer"), "tokenizer.json"), tokenizer.read_bytes())
    write_receipt(step.attempt_folder, Receipt(shard="all", files={"tokenizer": (entry,)}))
    step.commit(["all"])
    return {}


def from_memory(texts: Path, folder: str, library: str) -> dict[str, Any]:
    """The encoder alone."""
    every = load_texts(texts)
    try:
        encoder = _encoder(folder, library)
    except ValueError as error:
        return {"missing": str(error).rpartition(": ")[2]}
    before = cpu_seconds()
    for start in range(0, len(every), 64):
        encoder.encode_batch(every[start : start + 64])
    return {"seconds": cpu_seconds() - before}


def to_arrays(folder: str, library: str) -> dict[str, Any]:
    """Documents are read from Parquet and encoded batch by batch; the ids are dropped."""
    encoder = _encoder(folder, library)
    before = cpu_seconds()
    for texts in _read(folder):
        encoder.encode_batch(texts)
    return {"seconds": cpu_seconds() - before}


def to_files(folder: str, library: str) -> dict[str, Any]:
    """The first pass of packing: tokens by bucket of document id, on disk."""
    from pipeline.manifests import dataset_files
    from pipeline.pack.splits import HeldOut
    from pipeline.pack.stage import EncodePart
    from pipeline.stage import Outputs
    from pipeline.steps import Shard

    tokenizer = f"{folder}/tokenizer/tokenizer.json"
    worker = EncodePart(tokenizer=tokenizer, held_out=HeldOut.by_share(0.01, 0), backend=library)
    worker.setup()
    before = cpu_seconds()
    with tempfile.TemporaryDirectory() as output:
        for number, path in enumerate(dataset_files(f"{folder}/documents")):
            shard = Shard(name=f"part-{number:06d}", work=path)
            worker.process(shard, Outputs(output, shard.name))
    return {"seconds": cpu_seconds() - before}


def to_shards(folder: str) -> dict[str, Any]:
    """The job: both passes, Beam, the choice of the encoder, checksums and manifests, in one process."""
    from jobs.engine import Engine
    from jobs.pack import pack_run
    from pipeline.pack.config import PackConfig

    before = cpu_seconds()
    pack_run(folder, PackConfig(), Engine(workers=1))
    return {"seconds": cpu_seconds() - before}


def choosing(folder: str) -> dict[str, Any]:
    """What it costs to find the fastest encoder, as every worker does that has text enough."""
    before = cpu_seconds()
    _encoder(folder, "fastest")
    return {"seconds": cpu_seconds() - before}


def _encoder(folder: str, library: str) -> Any:
    from tokenizer.encoding import load_encoder

    return load_encoder(f"{folder}/tokenizer/tokenizer.json", backend=library)


def _read(folder: str) -> Iterator[list[str]]:
    from pipeline.manifests import dataset_files
    from pipeline.tables import read_batches

    for path in dataset_files(f"{folder}/documents"):
        for batch in read_batches(path, ["text"]):
            yield batch.column("text").to_pylist()
