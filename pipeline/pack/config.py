"""Settings of the packer: the table `[pack]`."""

from dataclasses import dataclass
from typing import Literal

from pipeline.errors import SettingError

MAX_SEQUENCE_LENGTH = 1 << 20


@dataclass(frozen=True, kw_only=True)
class PackConfig:
    """How documents become training rows of a fixed length, and which of them are held out."""

    sequence_length: int = 1024
    """Positions in a row (T). A row stores T+1 tokens: inputs and, one further on, labels."""

    method: Literal["best_fit", "concat", "one_per_row"] = "best_fit"
    """`best_fit` cuts only documents longer than a row and fills rows best-fit decreasing; `concat`
    cuts wherever a row ends; `one_per_row` gives each document a row of its own and pads it."""

    heldout_share: float = 0.01
    """Share of the documents, 0 to below 1, kept for evaluation, chosen by a hash of the document id."""

    heldout_documents: int | None = None
    """If set, exactly this many documents are held out instead (costs a pass over all ids)."""

    heldout_seed: int = 0
    """Another seed holds out other documents."""

    separate_sources: bool = True
    """Whether a row holds documents of one source only, so that training can weigh the sources."""

    shard_tokens: int = 1 << 26
    """Tokens in a shard file, about. The number of files follows from it and the number of tokens alone."""

    def __post_init__(self) -> None:
        """Checks the ranges."""
        _check_range("sequence_length", self.sequence_length, 2, MAX_SEQUENCE_LENGTH)
        _check_range("shard_tokens", self.shard_tokens, self.sequence_length, 1 << 31)
        if not 0.0 <= self.heldout_share < 1.0:
            raise SettingError(f"pack.heldout_share is {self.heldout_share}; allowed is 0 to below 1")
        if self.heldout_documents is not None and self.heldout_documents < 0:
            raise SettingError(f"pack.heldout_documents is {self.heldout_documents}; allowed is 0 or more")
        if self.method not in ("best_fit", "concat", "one_per_row"):
            raise SettingError(f"pack.method is {self.method!r}; allowed are best_fit, concat and one_per_row")


def _check_range(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise SettingError(f"pack.{name} is {value}; allowed is {least} to {most}")
