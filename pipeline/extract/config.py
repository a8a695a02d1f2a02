"""The settings of extraction: `[extract]` and `[extract.language]`."""

from dataclasses import dataclass, field
from typing import Literal

from pipeline.errors import SettingError
from pipeline.language_codes import unusual_code

Engine = Literal["blocks", "combined", "trafilatura", "trafilatura_fast", "resiliparse", "justext"]
Scope = Literal["auto", "article", "page"]


def _require(holds: bool, name: str, value: object, allowed: str) -> None:
    if not holds:
        raise SettingError(f"{name} = {value!r} is not allowed: it must be {allowed}")


@dataclass(frozen=True, kw_only=True)
class LanguageConfig:
    """How the language of a document is found, and which languages are kept."""

    # `combined` and `py3langid` know 140 languages and need no download: the first asks py3langid and, for short texts,
    # a small model of ours as well. `fasttext` needs a model file.
    identifier: Literal["combined", "py3langid", "fasttext"] = "combined"
    # The fastText model, for example lid.176.bin, or one with labels such as `eng_Latn` (GlotLID, OpenLID, lid218), which
    # become our codes; any path, also s3://. One at https:// is downloaded once, into
    # the user's cache folder, and needs `model_sha256`.
    model_path: str = ""
    # If given, the model is refused unless its SHA-256 is this one.
    model_sha256: str = ""
    # At most this much of a document is looked at, in pieces spread over it. 0: all of it.
    sample_chars: int = 1000
    # The languages of this many paragraphs, spread over the text, are measured: `main_language_share` is the share of
    # those in the language of the document, `second_language_share` that of the commonest other. 0: none.
    paragraphs: int = 5
    # Documents in other languages are rejected as `other_language`. Empty: every language is kept.
    keep: tuple[str, ...] = ()
    # Documents whose language is less certain are rejected as `unsure_language`.
    min_score: float = 0.0

    def __post_init__(self) -> None:
        _require(self.sample_chars >= 0, "extract.language.sample_chars", self.sample_chars, "0 or more")
        _require(self.paragraphs >= 0, "extract.language.paragraphs", self.paragraphs, "0 or more")
        _require(0 <= self.min_score <= 1, "extract.language.min_score", self.min_score, "between 0 and 1")
        if unusual := unusual_code(self.keep):
            stated, code = unusual
            raise SettingError(f"extract.language.keep has {stated!r}, whose code here is {code!r}")
        if self.identifier == "fasttext" and not self.model_path:
            raise SettingError(
                'extract.language.identifier = "fasttext" needs extract.language.model_path, the model file'
            )
        if self.model_path.startswith(("http://", "https://")) and not self.model_sha256:
            raise SettingError(
                f"extract.language.model_path is a download ({self.model_path}), so extract.language.model_sha256 must say what it has to be"
            )
        if self.identifier != "fasttext" and (self.model_path or self.model_sha256):
            raise SettingError(
                f'extract.language.model_path is only read with identifier = "fasttext", not {self.identifier!r}'
            )


@dataclass(frozen=True, kw_only=True)
class ExtractConfig:
    """How the text of a page is found, and how large and slow a page may be."""

    # What finds the text: `blocks` (our classifier of text blocks), `combined` (blocks, and trafilatura where the
    # result is doubtful), `trafilatura`, `trafilatura_fast` (without its second opinions), `resiliparse` (fastest),
    # `justext` (paragraphs by length, links and the function words of the page's language).
    engine: Engine = "blocks"
    # What counts as the text, for `blocks` and `combined`: `article`, the body of an article and nothing beside it;
    # `page`,
    # all that readers came for (posts of a forum, entries of a listing); `auto`, the page where there is no article.
    scope: Scope = "auto"
    # Pages on which `blocks` expects its text to be worse than this (F1, 0..1) are rejected as `no_main_text`: pages of
    # menus and forms. `combined` asks trafilatura before.
    min_expected_f1: float = 0.2
    # Whether readers' comments below an article belong to the text (trafilatura and resiliparse only).
    comments: bool = False
    # Whether tables belong to the text.
    tables: bool = True
    # Shorter texts are rejected as `empty_text`.
    min_text_chars: int = 1
    # Limits that depend on the page alone: beyond them it is rejected as `too_large`, `too_many_tags`, `too_deep`.
    max_page_bytes: int = 8 << 20
    max_tags: int = 200_000
    max_depth: int = 1000
    # The largest share of a page that may be replacement and control characters, else `undecodable`.
    max_undecodable_share: float = 0.05
    # Whether pages are extracted in a child process, where the next two limits hold: `too_slow`, `too_much_memory`.
    isolate: bool = True
    max_cpu_seconds: int = 30
    max_memory_bytes: int = 2 << 30
    language: LanguageConfig = field(default_factory=LanguageConfig)

    def __post_init__(self) -> None:
        if self.comments and self.engine in ("blocks", "combined", "justext"):
            raise SettingError(
                f'extract.comments = true contradicts extract.engine = "{self.engine}", which takes none'
            )
        for name in ("max_page_bytes", "max_tags", "max_depth", "max_cpu_seconds", "min_text_chars"):
            _require(getattr(self, name) >= 1, f"extract.{name}", getattr(self, name), "1 or more")
        _require(
            self.max_memory_bytes >= 64 << 20, "extract.max_memory_bytes", self.max_memory_bytes, "at least 64 MiB"
        )
        least = self.min_expected_f1
        _require(0 <= least <= 1, "extract.min_expected_f1", least, "between 0 and 1")
        share = self.max_undecodable_share
        _require(0 <= share <= 1, "extract.max_undecodable_share", share, "between 0 and 1")
