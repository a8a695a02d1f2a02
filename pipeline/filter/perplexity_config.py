"""`[filter.perplexity.LANGUAGE]`: an n-gram model of a language, and how surprised by a text it may be."""

from dataclasses import dataclass
from typing import Literal

from pipeline.errors import SettingError

PerplexityDialect = Literal["ccnet", "lines", "plain"]


@dataclass(frozen=True, kw_only=True)
class PerplexityConfig:
    """The model of one language and the perplexities that are kept; without bounds documents are measured and nothing more.

    None is shipped: those of CCNet are `xx.arpa.bin` with `xx.sp.model`, and anybody's KenLM model serves.
    """

    # What KenLM reads: an ARPA file, also gzipped, or its own binary form.
    model: str
    # The SentencePiece model that the text was cut with when the model was made; empty: white space.
    tokenizer: str = ""
    # How a text is read: as CCNet does; the same line by line; or as it stands.
    dialect: PerplexityDialect = "ccnet"
    min_perplexity: float | None = None
    max_perplexity: float | None = None
    # If given, the files are refused unless these are their SHA-256; downloads at https:// need them.
    sha256: str = ""
    tokenizer_sha256: str = ""

    def __post_init__(self) -> None:
        if not self.model:
            raise SettingError("model is empty; name a KenLM model, such as en.arpa.bin")
        if self.tokenizer_sha256 and not self.tokenizer:
            raise SettingError("tokenizer is empty; name the SentencePiece model that tokenizer_sha256 is about")
        for name, path, sha256 in (("", self.model, self.sha256), ("tokenizer_", self.tokenizer, self.tokenizer_sha256)):  # fmt: skip
            if path.startswith(("http://", "https://")) and not sha256:
                raise SettingError(f"{path} is a download, so {name}sha256 must say what it has to be")
        for name, bound in (("min_perplexity", self.min_perplexity), ("max_perplexity", self.max_perplexity)):
            if bound is not None and bound < 1:
                raise SettingError(f"{name} is {bound}; a perplexity is 1 or more")
        if self.min_perplexity is not None and self.max_perplexity is not None and self.min_perplexity > self.max_perplexity:  # fmt: skip
            raise SettingError(
                f"min_perplexity is {self.min_perplexity}, more than max_perplexity, {self.max_perplexity}"
            )
