"""The packer: documents a CPU second, padding and cuts, against OLMo-core's packer and simple ways.

Lengths are web-like (lognormal, median 600 tokens, sigma 1.1), or those of a JSON-lines file with `tokens`.
OLMo-core (`ai2-olmo-core`) is measured where it is installed.

    python -m benchmarks.packing [--documents 1000000] [--length 2048] [--repeat 3]
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.pack.packing import pack

Lengths = npt.NDArray[np.int64]


def main() -> None:
    """Prints a table of speed and quality."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--length", type=int, default=2048)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    generator = np.random.default_rng(0)
    sizes = generator.lognormal(np.log(600), 1.1, arguments.documents).astype(np.int64)
    lengths = np.maximum(1, sizes)
    print(f"{len(lengths)} documents, {lengths.sum()} labels, rows of {arguments.length}")
    print(f"{'':34s} {'M documents / CPU s':>20s} {'rows':>9s} {'padding':>9s} {'cut though it would fit':>24s}")
    length, repeat = arguments.length, arguments.repeat
    for method in ("best_fit", "concat", "one_per_row"):
        _report(f"corpusmill {method}", lengths, length, repeat, partial(_ours, lengths, length, method))
    try:
        from olmo_core.data.utils import InstancePacker
    except ImportError as error:
        print(f"OLMo-core InstancePacker: not measured, {error.name} is not installed")
        return
    some = lengths[: arguments.documents // 5]
    _report("OLMo-core (first fifth)", some, length, 1, partial(_olmo, InstancePacker, some, length))
    _report("corpusmill best_fit (first fifth)", some, length, repeat, partial(_ours, some, length, "best_fit"))


def _ours(lengths: Lengths, length: int, method: Any) -> tuple[int, int]:
    layout = pack(lengths, length, method)
    cut = layout.document[layout.offset > 0]
    return layout.num_rows, len(np.unique(cut[lengths[cut] <= length]))


def _olmo(packer: Any, lengths: Lengths, length: int) -> tuple[int, int]:
    """Documents cut at the row length beforehand, as it wants them."""
    pieces = np.concatenate((np.full(int((lengths // length).sum()), length), (lengths % length)[lengths % length > 0]))
    ends = np.cumsum(pieces)
    indices = np.stack((ends - pieces, ends), axis=1)
    rows, _, _ = packer(length).pack_documents(indices)
    return len(rows), 0


def _report(name: str, lengths: Lengths, length: int, repeat: int, run: Callable[[], tuple[int, int]]) -> None:
    seconds = []
    for _ in range(repeat):
        begin = time.process_time()
        num_rows, cuts = run()
        seconds.append(time.process_time() - begin)
    padding = 1 - lengths.sum() / (num_rows * length)
    rate = len(lengths) / statistics.median(seconds) / 1e6
    print(f"{name:34s} {rate:20.2f} {num_rows:9d} {padding:9.4%} {cuts / len(lengths):24.2%}")


if __name__ == "__main__":
    main()
