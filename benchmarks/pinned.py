"""What page-locked memory brings on a GPU: batches copied beside the work on the batch before, or one after the other.

Three ways to bring the same batches to the GPU, each followed by work of about the given time:

* pageable: `batch.to(device)`, which waits for the work before it;
* pinned: `Batches(pin_memory=True)`, `batch.to(device)`;
* pinned, beside the work: the same with `non_blocking=True`, as training should do it.

    python -m benchmarks.pinned [--rows 256] [--length 2048] [--steps 200] [--work-ms 2]
"""

import argparse
import tempfile
import time

import torch
from torch import Tensor

from benchmarks.loader import make_shards
from model.batches import Batches


def main() -> None:
    """Prints milliseconds a step, and checks that every copy is whole."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--length", type=int, default=2048)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--work-ms", type=float, default=2.0)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("not measured: there is no GPU here")
        return
    print(torch.cuda.get_device_name())
    with tempfile.TemporaryDirectory() as folder:
        shards = make_shards(f"{folder}/run", 8 * arguments.rows, arguments.length)
        work = Work(arguments.work_ms)
        ways = {
            "pageable": (False, False),
            "pinned": (True, False),
            "pinned, beside the work": (True, True),
        }
        for name, (pin, beside) in ways.items():
            milliseconds = step_time(shards, work, arguments.rows, arguments.steps, pin=pin, beside=beside)
            print(f"{name:26s} {milliseconds:8.3f} ms a step (the work alone: {work.milliseconds:.3f})")


class Work:
    """Products of matrices that keep the GPU busy for about `milliseconds`."""

    def __init__(self, milliseconds: float) -> None:
        self.matrix = torch.randn(2048, 2048, device="cuda")
        self.times = 1
        self._timed(10)
        self.times = max(1, round(milliseconds / self._timed(50)))
        self.milliseconds = self._timed(50)

    def do(self) -> None:
        for _ in range(self.times):
            torch.mm(self.matrix, self.matrix)

    def _timed(self, repeat: int) -> float:
        torch.cuda.synchronize()
        begin = time.perf_counter()
        for _ in range(repeat):
            self.do()
        torch.cuda.synchronize()
        return (time.perf_counter() - begin) * 1e3 / repeat


def step_time(shards: str, work: Work, rows: int, steps: int, *, pin: bool, beside: bool) -> float:
    """Milliseconds a step of copying and working, the loader's own time hidden by its thread as far as it goes."""
    batches = Batches(shards, batch_rows=rows, prefetch=8, pin_memory=pin)
    sums: list[tuple[int, Tensor]] = []
    for step in range(steps + 10):
        if step == 10:
            torch.cuda.synchronize()
            begin = time.perf_counter()
        batch = batches.next_batch()
        assert batch is not None
        assert batch.tokens.is_pinned() == pin
        there = batch.to("cuda", non_blocking=beside)
        work.do()
        if step % 10 == 0:
            sums.append((int(batch.tokens.sum()), there.tokens.sum()))
    torch.cuda.synchronize()
    milliseconds = (time.perf_counter() - begin) * 1e3 / steps
    batches.close()
    assert all(here == int(copied) for here, copied in sums), "a copy is not what was copied"
    return milliseconds


if __name__ == "__main__":
    main()
