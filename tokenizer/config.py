"""Settings of the tokenizer: the table `[tokenizer]`."""

from dataclasses import dataclass, field

from tokenizer.vocabulary import END_OF_TEXT


@dataclass(frozen=True, kw_only=True)
class TokenizerConfig:
    """What vocabulary is learned from the count table. The pattern that cuts text is set in `[count]`."""

    vocab_size: int = 32768
    """Tokens in all: special tokens, 256 bytes, and what is learned. A multiple of 128 suits accelerators."""

    special_tokens: tuple[str, ...] = (END_OF_TEXT, "<|pad|>")
    """Names of the special tokens, ids from 0. The first separates documents and must be `<|endoftext|>`."""

    reserved_tokens: int = 6
    """Special tokens `<|reserved_0|>` … kept for later use, such as chat markers."""

    min_frequency: int = 2
    """Pairs that occur less often are not merged."""

    min_count: int = 1
    """Pre-tokens that occur less often are left out; what that drops is written into `tokenizer.lock`."""

    max_token_bytes: int | None = None
    """Merges into a token of this many bytes or more are not made. Unlimited where it is left out."""

    source_weights: dict[str, int] = field(default_factory=dict)
    """Whole numbers by which the counts of a source are multiplied (0 leaves it out); 1 for sources not named."""

    existing: str = ""
    """A `tokenizer.json` to use as it is instead of learning one (GPT-2's, LLaMA's), or a rank file of tiktoken, which is
    cut by `count.pattern`: a path or URL. Empty: learn."""

    existing_special_ids: dict[str, int] = field(default_factory=dict)
    """Special tokens of a rank file and their ids. Left out, those of `special_tokens` and the reserved ones follow the last rank."""

    compare_with: str = ""
    """Another `tokenizer.json` (GPT-2's, say) to stand beside ours in `fertility.json`."""

    def __post_init__(self) -> None:
        """Checks ranges and contradictions."""
        smallest = len(self.specials) + 256
        if not smallest <= self.vocab_size <= 1 << 24:
            raise ValueError(
                f"tokenizer.vocab_size is {self.vocab_size}; allowed is {smallest} (special tokens and bytes) to {1 << 24}"
            )
        if not self.special_tokens or self.special_tokens[0] != END_OF_TEXT:
            raise ValueError(
                f"tokenizer.special_tokens is {list(self.special_tokens)}; the first must be {END_OF_TEXT!r}"
            )
        if len(set(self.specials)) < len(self.specials) or not all(self.specials):
            raise ValueError(
                f"tokenizer.special_tokens is {list(self.special_tokens)}; names must differ and not be empty"
            )
        for name, least in (("reserved_tokens", 0), ("min_frequency", 1), ("min_count", 1), ("max_token_bytes", 2)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"tokenizer.{name} is {value}; allowed is {least} or more")
        for source, weight in self.source_weights.items():
            if not 0 <= weight <= 1 << 20:
                raise ValueError(f"tokenizer.source_weights.{source} is {weight}; allowed is 0 to {1 << 20}")

    @property
    def specials(self) -> tuple[str, ...]:
        """All special tokens in order of id."""
        return (*self.special_tokens, *(f"<|reserved_{number}|>" for number in range(self.reserved_tokens)))
