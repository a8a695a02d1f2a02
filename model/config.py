"""The settings of the model: the table [model], its presets, and the architecture that they resolve to.

`ModelConfig` is what a person writes: a preset and whatever differs from it. `Architecture` is what
a model is built from and what a checkpoint remembers: every number is known.
"""

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, NamedTuple

from pipeline.errors import DataError, SettingError

FfnKind = Literal["relu", "relu2", "gelu", "silu", "swish", "bilinear", "glu", "reglu", "geglu", "swiglu"]
AttentionKind = Literal["mha", "gqa", "mqa", "mla"]
NormKind = Literal["rmsnorm", "layernorm"]
NormPlace = Literal["pre", "post"]
PositionKind = Literal["rope", "sinusoidal", "learned", "relative", "none"]

GATED: frozenset[str] = frozenset({"bilinear", "glu", "reglu", "geglu", "swiglu"})


class Shape(NamedTuple):
    """The numbers of a preset."""

    hidden_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    ffn_size: int


# Named after the parameters outside the embeddings, about. The table of memory and
# FLOPs in docs/model.md is printed by `corpusmill sizes`.
PRESETS: dict[str, Shape] = {
    "1m": Shape(160, 4, 5, 5, 424),
    "3m": Shape(256, 4, 8, 4, 688),
    "10m": Shape(384, 6, 6, 3, 1024),
    "30m": Shape(512, 10, 8, 4, 1376),
    "85m": Shape(768, 12, 12, 12, 2048),
    "300m": Shape(1024, 24, 16, 8, 2816),
    "1b": Shape(2048, 16, 32, 8, 8192),
}


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Which part stands in each place of the Transformer. The defaults are those of LLaMA."""

    ffn: FfnKind = "swiglu"
    """The feed-forward layer: relu, relu2 (squared), gelu, silu, swish (with a learned β), or one with a gate: bilinear, glu, reglu, geglu, swiglu."""
    attention: AttentionKind = "gqa"
    """mha: a key for every head; gqa: heads share keys in groups; mqa: one key for all; mla: keys from a small latent."""
    norm: NormKind = "rmsnorm"
    norm_place: NormPlace = "pre"
    """pre: before attention and feed-forward (needs little warm-up); post: after the residual sum, as in 2017."""
    norm_epsilon: float = 1e-5
    """Added to the mean square (or variance) before the root."""
    positions: PositionKind = "rope"
    """rope rotates queries and keys; relative learns a bias for each distance; sinusoidal and learned are added once."""
    rope_theta: float = 10_000.0
    """rope: the base of the wavelengths."""
    query_key_norm: bool = False
    """Normalise each query and key head, which bounds the attention logits."""
    tie_embeddings: bool = True
    """Use the token embeddings as the output layer too."""
    biases: bool = False
    """Bias terms in attention and feed-forward layers (LLaMA has none)."""
    dropout: float = 0.0
    """Share of activations zeroed in training, after the embeddings, attention and feed-forward."""
    initial_std: float = 0.02
    """Standard deviation of the initial weights; those that write to the residual stream get 1/sqrt(2 × layers) of it."""
    causal: bool = True
    """Each token sees only those before it. False: an encoder, for masked language modelling."""
    latent_query_size: int | None = None
    """mla: size of the latent of the queries; unset: queries come straight from the hidden state."""
    latent_key_size: int = 64
    """mla: size of the latent of keys and values, which is all that the cache holds, beside `rotary_size`."""
    rotary_size: int = 16
    """mla: the part of a query or key head that carries the position."""

    def check(self) -> None:
        """Raises SettingError for values out of range, and for parts that contradict each other."""
        _require(0.0 <= self.dropout < 1.0, "model.dropout", self.dropout, "0 <= dropout < 1")
        _require(self.norm_epsilon > 0.0, "model.norm_epsilon", self.norm_epsilon, "a number above 0")
        _require(self.initial_std > 0.0, "model.initial_std", self.initial_std, "a number above 0")
        _require(self.rope_theta > 0.0, "model.rope_theta", self.rope_theta, "a number above 0")
        if self.attention == "mla":
            _require(
                self.positions == "rope", "model.positions", self.positions, "'rope', because model.attention is 'mla'"
            )
            _require(not self.query_key_norm, "model.query_key_norm", True, "false, because model.attention is 'mla'")
            _require(self.latent_key_size > 0, "model.latent_key_size", self.latent_key_size, "a whole number above 0")
            _require(
                self.rotary_size > 0 and self.rotary_size % 2 == 0,
                "model.rotary_size",
                self.rotary_size,
                "an even number above 0",
            )
            _require(
                self.latent_query_size is None or self.latent_query_size > 0,
                "model.latent_query_size",
                self.latent_query_size,
                "a whole number above 0, or unset",
            )


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Parts):
    """The table [model]: a preset for the size, and what differs from it."""

    preset: str = "1m"
    """1m, 3m, 10m, 30m, 85m, 300m or 1b: parameters outside the embeddings, about."""
    hidden_size: int | None = None
    """Width of the residual stream; unset: as in the preset. So with the next four."""
    num_layers: int | None = None
    num_heads: int | None = None
    num_kv_heads: int | None = None
    """gqa: how many heads have keys of their own; must divide num_heads."""
    ffn_size: int | None = None
    """Unset with a hidden_size: 4 × hidden_size, or 8/3 of it with a gate, which has as many weights."""
    head_size: int | None = None
    """Size of one head; unset: hidden_size / num_heads."""

    def __post_init__(self) -> None:
        _require(self.preset in PRESETS, "model.preset", self.preset, "one of " + ", ".join(PRESETS))
        self.architecture(vocab_size=1, context_length=1)

    def check_trainable(self) -> None:
        """Raises SettingError for a model that the train job cannot train: its objective is the next token."""
        if not self.causal:
            raise SettingError(
                "model.causal is false, an encoder, which would see the token that training asks for; set "
                "model.causal = true, or train the encoder from Python (docs/model.md says how)"
            )

    def architecture(self, *, vocab_size: int, context_length: int) -> "Architecture":
        """The architecture for a tokenizer of `vocab_size` and rows of `context_length` inputs.

        Raises:
            SettingError: the settings contradict each other.
        """
        preset = PRESETS[self.preset]
        hidden = _given(self.hidden_size, preset.hidden_size)
        heads = _given(self.num_heads, preset.num_heads)
        ffn_size = preset.ffn_size if self._as_preset else matched_ffn_size(hidden, self.ffn)
        return Architecture(
            vocab_size=vocab_size,
            context_length=context_length,
            hidden_size=hidden,
            num_layers=_given(self.num_layers, preset.num_layers),
            num_heads=heads,
            num_kv_heads=self._kv_heads(heads, preset),
            head_size=_given(self.head_size, max(1, hidden // max(1, heads))),
            ffn_size=_given(self.ffn_size, ffn_size),
            **{part.name: getattr(self, part.name) for part in fields(Parts)},
        )

    @property
    def _as_preset(self) -> bool:
        return self.hidden_size is None and self.ffn in GATED

    def _kv_heads(self, heads: int, preset: Shape) -> int:
        given = self.num_kv_heads
        if self.attention == "gqa":
            return _given(given, preset.num_kv_heads if self.num_heads is None else heads)
        fixed = 1 if self.attention == "mqa" else heads
        _require(
            given in (None, fixed),
            "model.num_kv_heads",
            given,
            f"{fixed}, because model.attention is {self.attention!r}",
        )
        return fixed


@dataclass(frozen=True, kw_only=True)
class Architecture(Parts):
    """A model with every number known. `context_length` is the number of inputs in a row."""

    vocab_size: int
    context_length: int
    hidden_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_size: int
    ffn_size: int

    def __post_init__(self) -> None:
        for name in (
            "vocab_size",
            "context_length",
            "hidden_size",
            "num_layers",
            "num_heads",
            "num_kv_heads",
            "head_size",
            "ffn_size",
        ):
            _require(getattr(self, name) > 0, f"model.{name}", getattr(self, name), "a whole number above 0")
        self.check()
        _require(
            self.num_heads % self.num_kv_heads == 0,
            "model.num_kv_heads",
            self.num_kv_heads,
            f"a divisor of model.num_heads, which is {self.num_heads}",
        )
        _require(
            self.head_size % 2 == 0 or self.positions != "rope",
            "model.head_size",
            self.head_size,
            "an even number, because rope turns pairs (hidden_size / num_heads if unset)",
        )

    @property
    def gated(self) -> bool:
        """Whether the feed-forward layer has a gate."""
        return self.ffn in GATED

    def to_json(self) -> dict[str, Any]:
        """All values, as JSON."""
        return asdict(self)

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Architecture":
        """The architecture that `to_json` described.

        Raises:
            DataError: a value is unknown or missing.
        """
        try:
            return Architecture(**value)
        except TypeError as error:
            raise DataError(f"the description of the model is not one of ours: {error}") from None


def matched_ffn_size(hidden_size: int, ffn: str) -> int:
    """The inner size that gives every kind of feed-forward layer about 8 × hidden_size² weights, a multiple of 8."""
    wanted = hidden_size * 8 / 3 if ffn in GATED else hidden_size * 4.0
    return max(8, 8 * round(wanted / 8))


def _given(value: int | None, otherwise: int) -> int:
    return otherwise if value is None else value


def _require(fine: bool, setting: str, value: object, allowed: str) -> None:
    if not fine:
        raise SettingError(f"{setting} is {value!r}; allowed is {allowed}")
