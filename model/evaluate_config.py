"""The settings of evaluation and of generated text: the table [evaluate]. Reading settings imports no torch."""

import math
from dataclasses import dataclass, field
from typing import Literal

from model.train_config import PrecisionKind
from pipeline.errors import SettingError

Smoothing = Literal["kneser_ney", "witten_bell"]


@dataclass(frozen=True, kw_only=True)
class DecodingConfig:
    """How text is generated: the options of `corpusmill generate` and of the samples of an evaluation."""

    max_tokens: int = 128
    temperature: float = 1.0
    """0 takes the likeliest token; 1 samples from the model as it is; in between is bolder to safer."""
    top_k: int | None = None
    """Only the k likeliest tokens."""
    top_p: float | None = None
    """Only the likeliest tokens that together have this probability (nucleus)."""
    min_p: float | None = None
    """Only tokens at least this share as likely as the likeliest."""
    repetition_penalty: float = 1.0
    """Divides the logits of tokens that occurred, the prompt included (multiplies negative ones)."""
    frequency_penalty: float = 0.0
    """Subtracted from a logit for each time that its token was generated."""
    presence_penalty: float = 0.0
    """Subtracted from the logit of every token that was generated."""
    num_beams: int = 1
    """Above 1: beam search for the likeliest text, with the penalties; nothing is sampled."""
    length_penalty: float = 1.0
    """Of beam search: scores are divided by length to this power."""
    stop: tuple[str, ...] = ()
    """Texts before which generation ends; the end of a document always ends it."""
    stop_tokens: tuple[int, ...] = ()
    """Ids before which it ends."""
    seed: int = 0

    def __post_init__(self) -> None:
        self._require(self.max_tokens >= 1, "max_tokens", "a whole number from 1")
        self._require(self.temperature >= 0, "temperature", "a number from 0")
        self._require(self.top_k is None or self.top_k >= 1, "top_k", "a whole number from 1")
        self._require(self.top_p is None or 0 < self.top_p <= 1, "top_p", "a number above 0 and up to 1")
        self._require(self.min_p is None or 0 <= self.min_p <= 1, "min_p", "a number from 0 to 1")
        self._require(self.repetition_penalty > 0, "repetition_penalty", "a number above 0")
        for name in ("frequency_penalty", "presence_penalty", "length_penalty"):
            self._require(math.isfinite(getattr(self, name)), name, "a number")
        self._require(self.num_beams >= 1, "num_beams", "a whole number from 1")
        self._require(-(1 << 63) <= self.seed < 1 << 63, "seed", "a whole number of 64 bits")
        self._require(all(self.stop), "stop", "texts that are not empty")

    def _require(self, fine: bool, name: str, allowed: str) -> None:
        if not fine:
            raise SettingError(f"{name} is {getattr(self, name)!r}; allowed is {allowed}")

    @property
    def penalises(self) -> bool:
        """Whether what was said before changes the logits."""
        return self.repetition_penalty != 1 or self.frequency_penalty != 0 or self.presence_penalty != 0


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """The table [evaluate]."""

    batch_tokens: int = 8192
    """Positions in memory at a time."""
    max_tokens: int | None = None
    """Held-out positions to score; unset: all."""
    ngram_order: int = 8
    """Counting models of orders 1 up to this are the baselines; 0: none."""
    ngram_smoothing: Smoothing = "kneser_ney"
    """kneser_ney (interpolated, modified) or witten_bell."""
    ngram_tokens: int = 25_000_000
    """Training positions that the baselines count at most (40 bytes of memory each an order)."""
    questions: tuple[str, ...] = ()
    """Files of multiple-choice questions (JSON lines with query, choices and gold, or as in HellaSwag or WinoGrande), or of
    texts to complete (context and continuation, as in LAMBADA)."""
    num_shots: int = 0
    """So many other questions of the same file, with their answers, stand before each."""
    arpa: bool = False
    """Write the longest counting model to evaluation/ngram.arpa, for KenLM and others."""
    num_samples: int = 4
    """Texts generated for the report, with `sampling`."""
    sample_prompts: tuple[str, ...] = ()
    """Beginnings to continue; unset: from the start of a document."""
    sampling: DecodingConfig = field(
        default_factory=lambda: DecodingConfig(max_tokens=100, temperature=0.8, top_p=0.95)
    )
    precision: PrecisionKind = "fp32"
    """This and the next two: as in [train]."""
    device: str = "auto"
    threads: int = 1

    def __post_init__(self) -> None:
        for name in ("batch_tokens", "ngram_tokens", "threads"):
            self._require(getattr(self, name) >= 1, name, "a whole number from 1")
        for name in ("ngram_order", "num_samples", "num_shots"):
            self._require(getattr(self, name) >= 0, name, "a whole number from 0")
        self._require(self.max_tokens is None or self.max_tokens >= 1, "max_tokens", "a whole number from 1")

    def _require(self, fine: bool, name: str, allowed: str) -> None:
        if not fine:
            raise SettingError(f"evaluate.{name} is {getattr(self, name)!r}; allowed is {allowed}")
