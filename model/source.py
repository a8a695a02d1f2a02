"""What the trainer and the evaluator need of a loader of packed rows; `model.batches` is the one for shards."""

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor


class PackedBatch(Protocol):
    """Rows of packed documents: ids, labels (-100 on padding) and document numbers, each (B, T)."""

    @property
    def inputs(self) -> Tensor:
        """What the model reads."""
        ...

    @property
    def labels(self) -> Tensor:
        """What it should say next."""
        ...

    @property
    def segment_ids(self) -> Tensor:
        """Equal for positions of one document of a row."""
        ...

    @property
    def sources(self) -> tuple[str, ...]:
        """The source of each row."""
        ...


class BatchSource(Protocol):
    """Gives batches for ever (or `None` at its end) and knows its place."""

    def next_batch(self) -> Any:
        """A `PackedBatch`, or None at the end."""
        ...

    def state_dict(self) -> Mapping[str, Any]:
        """The place behind the last batch, as JSON."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes to a place."""
        ...
