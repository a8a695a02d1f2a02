"""Settings of counting: the table `[count]`."""

from dataclasses import dataclass

from pipeline.errors import SettingError
from tokenizer.patterns import pattern_named


@dataclass(frozen=True, kw_only=True)
class CountConfig:
    """How pre-tokens are counted over the documents of a run."""

    pattern: str = "o200k@1"
    """How text is cut into pre-tokens: the name of a pattern, with its version or the newest (see docs/tokenizer.md)."""

    max_pretoken_bytes: int = 256
    """Longer pre-tokens (base64, rows of dashes) are left out of the table and counted apart."""

    by_language: bool = True
    """Whether counts are kept apart by language, for the fertility report, and not only by source."""

    max_types: int = 2_000_000
    """Different pre-tokens that a worker holds before it writes them out: about 150 bytes each."""

    partitions: int = 8
    """Files of the table; each is summed up by one worker. More for corpora of many gigabytes."""

    min_count: int = 1
    """Rows of the finished table that count less are dropped from it; the dropped mass is noted beside it."""

    def __post_init__(self) -> None:
        """Checks the ranges and the name of the pattern."""
        try:
            pattern_named(self.pattern)
        except ValueError as error:
            raise SettingError(f"count.{error}") from None
        for name, least, most in (
            ("max_pretoken_bytes", 4, 1 << 16),
            ("max_types", 1000, 1 << 28),
            ("partitions", 1, 4096),
            ("min_count", 1, 1 << 40),
        ):
            if not least <= getattr(self, name) <= most:
                raise SettingError(f"count.{name} is {getattr(self, name)}; allowed is {least} to {most}")
