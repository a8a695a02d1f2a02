"""Filtered documents → survivors, each duplicate rejected with the survivor and the verified similarity.

Guarantees: each document leaves exactly once; the outputs depend on the documents, their files and the
settings, never on workers, bundles or arrival; texts never leave their shard, what meets are hashes,
bands of signatures and shingle sets of candidates, through files with byte ranges (see `exchange`).
The phases are listed in `phases`.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import apache_beam as beam

from pipeline.dedup.phases import Phase
from pipeline.dedup.plan import phase_of
from pipeline.stage import ProcessShards
from pipeline.steps import Step


class RunPhases(beam.PTransform):  # type: ignore[type-arg]  # Beam's generics say nothing here
    """Shards of some phases (as JSON text) → receipts of the last; a phase begins when the one before has ended."""

    def __init__(self, step: Step, phases: Sequence[Phase]) -> None:
        super().__init__()
        self._step = step
        self._phases = phases

    def expand(self, shards: Any) -> Any:
        """Chains the phases; each waits for the end of the one before, as a side input that holds nothing."""
        done = None
        for phase in self._phases:
            mine = shards | f"Take/{phase.name}" >> beam.Filter(_is_of, phase.name)
            if done is not None:
                ended = done | f"End/{phase.name}" >> beam.FlatMap(_nothing)  # that it ended, not 10,000 receipts
                mine = mine | f"Await/{phase.name}" >> beam.Map(_after, beam.pvalue.AsIter(ended))
            done = mine | f"Run/{phase.name}" >> ProcessShards(self._step, phase.worker)
        return done


def _is_of(element: str, phase: str) -> bool:
    return phase_of(json.loads(element)["work"]) == phase


def _nothing(_receipt: str) -> Iterable[str]:
    return ()


def _after(element: str, _ended: Any) -> str:
    return element
