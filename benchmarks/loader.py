"""Random access and training batches: our shards against MosaicML streaming, litdata, `datasets` and raw numpy.

All hold the same rows, and hand out rows at random: once as arrays, whose first and last token are read,
and once as rows of an int64 batch, as training needs them, filled by the same code for all. CPU seconds
of this process and of its threads, repetitions interleaved, the median of each; page cache warm.

    python -m benchmarks.loader [--rows 20480] [--length 2048] [--repeat 5]
"""

import argparse
import hashlib
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model.batches import Batches
from pipeline.pack.config import PackConfig
from pipeline.pack.format import ShardSpec
from pipeline.pack.rows import TokenisedDocument, pack_blocks
from pipeline.pack.shard_writer import ShardWriter, write_index
from pipeline.pack.shards import ShardSet
from pipeline.steps import Receipt, Step, write_receipt

Rows = Callable[[npt.NDArray[np.int64]], Iterable[npt.NDArray[Any]]]
END_OF_TEXT, VOCAB_SIZE, BATCH_ROWS, FILES = 0, 32_000, 32, 8


def main() -> None:
    """Prints a table of rates and of ratios to the best of the others."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_480)
    parser.add_argument("--length", type=int, default=2048)
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        shards = make_shards(f"{folder}/run", arguments.rows, arguments.length)
        rows = ShardSet.open(shards)
        tokens = np.concatenate([block.tokens for _, block in rows.blocks()])
        print(f"{len(tokens)} rows of {tokens.shape[1]} tokens, {tokens.nbytes >> 20} MiB of uint16")
        readers = make_readers(folder, rows, tokens)
        report_rows(readers, tokens, arguments.repeat)
        report_batches(shards, tokens, arguments.repeat)
        report_first_batch(shards, arguments.repeat)


def make_shards(run: str, num_rows: int, length: int) -> str:
    """Shards of documents of web-like lengths (lognormal, median 600 tokens), about `num_rows` rows."""
    generator = np.random.default_rng(0)
    spec = ShardSpec(
        sequence_length=length, vocab_size=VOCAB_SIZE, end_of_text_id=END_OF_TEXT, tokenizer_hash="00" * 32
    )
    step = Step(run=run, name="shards", outputs=("shards",))
    step.begin()
    files, entries = {}, []
    for number in range(FILES):
        documents = _documents(number, num_rows * length // FILES, generator, spec)
        path = f"train/{number:05d}-of-{FILES:05d}.arrow"
        with ShardWriter(f"{step.folder('shards')}/{path}", spec) as writer:
            for block in pack_blocks(documents, PackConfig(sequence_length=length), spec):
                writer.append(block)
        files[path] = writer.entries
        entries.append(writer.entry())
    entries.append(write_index(step.folder("shards"), "train", spec, files))
    write_receipt(step.attempt_folder, Receipt(shard="all", files={"shards": tuple(entries)}))
    step.commit(["all"])
    return step.folder("shards")


def _documents(
    file: int, num_tokens: int, generator: np.random.Generator, spec: ShardSpec
) -> Iterator[TokenisedDocument]:
    number = 0
    while num_tokens > 0:
        size = max(1, int(generator.lognormal(np.log(600), 1.1)))
        tokens = generator.integers(1, VOCAB_SIZE, size, dtype=spec.dtype)
        doc_id = hashlib.blake2b(f"{file} {number}".encode(), digest_size=16).digest()
        yield TokenisedDocument(id=doc_id, source="web", tokens=tokens)
        num_tokens -= size + 1
        number += 1


def make_readers(folder: str, rows: ShardSet, tokens: npt.NDArray[Any]) -> dict[str, Rows]:
    """What gives rows by number, for each format that is installed."""
    makers: dict[str, Callable[[str, npt.NDArray[Any]], Rows]] = {
        "raw numpy (np.memmap, viewed once)": raw_numpy,
        "mosaicml-streaming": mosaic_streaming,
        "litdata": litdata_optimized,
        "datasets (Arrow)": hf_datasets,
    }
    readers = {"corpusmill": corpusmill(rows)}
    for name, make in makers.items():
        try:
            readers[name] = make(f"{folder}/{name.split()[0]}", tokens)
        except ImportError as error:
            print(f"{name}: not measured, {error.name} is not installed")
    return readers


def corpusmill(rows: ShardSet) -> Rows:
    """Our shards, as the loader reads them."""

    return partial(rows.token_rows, 0)


def raw_numpy(folder: str, tokens: npt.NDArray[Any]) -> Rows:
    """One flat file of tokens a shard, mapped."""
    Path(folder).mkdir()
    bounds = np.linspace(0, len(tokens), FILES + 1).astype(np.int64)
    views = []
    for number in range(FILES):
        part = tokens[bounds[number] : bounds[number + 1]]
        part.tofile(f"{folder}/{number}.bin")
        views.append(np.asarray(np.memmap(f"{folder}/{number}.bin", tokens.dtype, "r", shape=part.shape)))

    def read(numbers: npt.NDArray[np.int64]) -> list[npt.NDArray[Any]]:
        files = np.searchsorted(bounds, numbers, side="right") - 1
        places = numbers - bounds[files]
        return [views[file][place] for file, place in zip(files.tolist(), places.tolist(), strict=True)]

    return read


def mosaic_streaming(folder: str, tokens: npt.NDArray[Any]) -> Rows:
    """MDS written by its own writer, read by its own reader."""
    from streaming import LocalDataset, MDSWriter

    with MDSWriter(out=folder, columns={"tokens": f"ndarray:uint16:{tokens.shape[1]}"}) as writer:
        for row in tokens:
            writer.write({"tokens": row})
    dataset = LocalDataset(local=folder)

    return lambda numbers: [dataset[number]["tokens"] for number in numbers.tolist()]


def litdata_optimized(folder: str, tokens: npt.NDArray[Any]) -> Rows:
    """Chunks of tokens in 32 bits, its own token loader (it has no 16-bit unsigned tokens)."""
    import torch
    from litdata import StreamingDataset, TokensLoader
    from litdata.streaming.writer import BinaryWriter

    width = tokens.shape[1]
    writer = BinaryWriter(folder, chunk_bytes="64MB", item_loader=TokensLoader(block_size=width))
    for number, row in enumerate(tokens):
        writer[number] = torch.from_numpy(row.astype(np.int32))
    writer.done()
    writer.merge()
    dataset = StreamingDataset(folder, item_loader=TokensLoader(block_size=width), shuffle=False)

    return lambda numbers: [dataset[number].numpy() for number in numbers.tolist()]


def hf_datasets(folder: str, tokens: npt.NDArray[Any]) -> Rows:
    """An Arrow dataset on disk in `numpy` format, asked for whole batches, which is its fastest way."""
    import datasets
    import pyarrow as pa

    datasets.disable_progress_bars()
    values = pa.FixedSizeListArray.from_arrays(pa.array(tokens.reshape(-1)), tokens.shape[1])
    datasets.Dataset(pa.table({"tokens": values})).save_to_disk(folder)
    dataset = datasets.load_from_disk(folder).with_format("numpy")

    return lambda numbers: dataset[numbers.tolist()]["tokens"]


def report_rows(readers: dict[str, Rows], tokens: npt.NDArray[Any], repeat: int) -> None:
    """Rows at random, 32 at a time."""
    generator = np.random.default_rng(1)
    for name, read in readers.items():
        numbers = generator.integers(0, len(tokens), BATCH_ROWS)
        assert np.array_equal(np.stack(list(read(numbers))), tokens[numbers]), f"{name} gives other rows"
    uses = {"rows at random, as arrays": _touch, "rows at random, in an int64 batch": _filler(tokens)}
    for title, use in uses.items():
        rates: dict[str, list[float]] = {name: [] for name in readers}
        for _ in range(repeat):
            for name, read in readers.items():
                rates[name].append(_rate(read, use, generator.integers(0, len(tokens), (20_000, BATCH_ROWS))))
        medians = {name: statistics.median(values) for name, values in rates.items()}
        print(f"\n{title:40s} {'rows / CPU s':>12s} {'Mtok / CPU s':>12s}  corpusmill is")
        for name, rate in medians.items():
            million = rate * tokens.shape[1] / 1e6
            print(f"{name:40s} {rate:12,.0f} {million:12,.1f}  {medians['corpusmill'] / rate:6.2f} x")


def _touch(rows: Iterable[npt.NDArray[Any]]) -> None:
    for row in rows:
        row[0], row[-1]


def _filler(tokens: npt.NDArray[Any]) -> Callable[[Iterable[npt.NDArray[Any]]], None]:
    out = np.empty(BATCH_ROWS * tokens.shape[1], dtype=np.int64)

    def fill(rows: Iterable[npt.NDArray[Any]]) -> None:
        out[:] = np.concatenate(list(rows))  # one cast for all is faster than one a row

    return fill


def _rate(read: Rows, use: Callable[[Iterable[npt.NDArray[Any]]], None], batches: npt.NDArray[np.int64]) -> float:
    begin, num_rows = time.process_time(), 0
    for numbers in batches:
        use(read(numbers))
        num_rows += len(numbers)
        if time.process_time() - begin > 0.7:
            break
    return num_rows / (time.process_time() - begin)


def report_batches(shards: str, tokens: npt.NDArray[Any], repeat: int) -> None:
    """Shuffled training batches from the loader, with what each further tensor costs."""
    print(f"\n{'training batches, shuffled, 32 rows':60s} {'Mtok / CPU s':>12s}")
    variants = {
        "tokens int64, cu_seqlens (first pass, checksums)": (True, ()),
        "tokens int64, cu_seqlens": (False, ()),
        "tokens int64, cu_seqlens, labels": (False, ("labels",)),
        "tokens int64, cu_seqlens, labels, position_ids": (False, ("labels", "position_ids")),
    }
    rates: dict[str, list[float]] = {name: [] for name in variants}
    warm = Batches(shards, batch_rows=BATCH_ROWS, epochs=1, prefetch=0)
    for _ in warm:
        pass
    for _ in range(repeat):
        for name, (cold, wanted) in variants.items():
            batches = Batches(shards, batch_rows=BATCH_ROWS, prefetch=0) if cold else warm
            batches.samples = 0
            begin = time.process_time()
            for _ in range(len(tokens) // BATCH_ROWS):
                batch = batches.next_batch()
                for tensor in wanted:
                    getattr(batch, tensor)
            seconds = time.process_time() - begin
            rates[name].append(len(tokens) // BATCH_ROWS * BATCH_ROWS * (tokens.shape[1] - 1) / seconds / 1e6)
    for name, values in rates.items():
        print(f"{name:60s} {statistics.median(values):12,.1f}")


def report_first_batch(shards: str, repeat: int) -> None:
    """From nothing to the batch at sample 10**12, as a resumed run would see it."""
    state = Batches(shards, batch_rows=BATCH_ROWS, weights={"web": 1}, prefetch=0).state_dict() | {"samples": 10**12}
    walls, cpus = [], []
    for _ in range(repeat * 2):
        wall, cpu = time.perf_counter(), time.process_time()
        batches = Batches(shards, batch_rows=BATCH_ROWS, prefetch=0)
        batches.load_state_dict(json.loads(json.dumps(state)))
        batches.next_batch()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    print(
        f"\nfirst batch at sample 10^12, opening included: {statistics.median(walls) * 1e3:.1f} ms "
        f"({statistics.median(cpus) * 1e3:.1f} ms of CPU)"
    )


if __name__ == "__main__":
    main()
