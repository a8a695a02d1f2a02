"""What the trainer and the evaluator need of a loader of packed rows; `model.batches` is the one for shards."""

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor


class PackedBatch(Protocol):
    """Rows of packed documents: ids, labels (-100 on padding) and document numbers, each (B, T)."""

    @property
    def inputs(self) -> Tensor: ...

    @property
    def labels(self) -> Tensor: ...

    @property
    def segment_ids(self) -> Tensor: ...

    @property
    def sources(self) -> tuple[str, ...]: ...


class BatchSource(Protocol):
    """Gives batches for ever (or `None` at its end) and knows its place."""

    def next_batch(self) -> Any: ...

    def state_dict(self) -> Mapping[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...
