"""How text is cut into pre-tokens: named, versioned regular expressions.

A name with its version never changes its meaning; a better pattern is a new version. All are written
in the common subset of the engines that have to agree on them (`regex`, Oniguruma, PCRE2): no
possessive quantifiers, no class arithmetic.
"""

from dataclasses import dataclass

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
# Without class arithmetic: letters and marks are what is none of the other categories, nor in a script without spaces.
_LEAD = r"[^\r\n\p{L}\p{M}\p{N}]"
_NOT_SPACED = r"\p{N}\p{P}\p{S}\p{Z}\p{C}\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}ー"
_SPACED_UPPER = rf"[^{_NOT_SPACED}\p{{Ll}}]"
_SPACED_LOWER = rf"[^{_NOT_SPACED}\p{{Lu}}\p{{Lt}}]"
_BREAKS = r"\s*[\r\n]+|\s+(?!\S)|\s+"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """One way to cut text. Every character of a text is in exactly one of its matches."""

    name: str
    version: int
    regex: str

    @property
    def label(self) -> str:
        """Name and version, as settings, tables and locks write them."""
        return f"{self.name}@{self.version}"


# GPT-2: English contractions, letters, numbers of any length, the rest; one space leads a word.
GPT2 = Pattern(name="gpt2", version=1, regex=r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")

# GPT-4 (cl100k) and LLaMA 3: any one character may lead a word, digits by one to three, line breaks end a run of spaces.
CL100K = Pattern(
    name="cl100k",
    version=1,
    regex=_CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + _BREAKS,
)
LLAMA3 = Pattern(name="llama3", version=1, regex=CL100K.regex)

# GPT-4o (o200k): as cl100k, and words are cut where lower case turns to upper, marks belong to letters, contractions stay with their word.
O200K = Pattern(
    name="o200k",
    version=1,
    regex=(
        rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_CONTRACTIONS}?"
        rf"|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_CONTRACTIONS}?"
        rf"|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_BREAKS}"
    ),
)

# Scripts: as o200k, and scripts without spaces are cut where Japanese is read in phrases (Chinese characters with the
# hiragana behind them, katakana, South-East Asian runs), never longer than 32 characters; indentation stays with its line break.
SCRIPTS = Pattern(
    name="scripts",
    version=1,
    regex=(
        rf"{_LEAD}?\p{{Han}}{{1,16}}[\p{{Hiragana}}ー]{{0,16}}|{_LEAD}?[\p{{Hiragana}}ー]{{1,16}}|{_LEAD}?[\p{{Katakana}}ー]{{1,16}}"
        rf"|{_LEAD}?(?:(?!\p{{N}})[\p{{Thai}}\p{{Lao}}\p{{Khmer}}\p{{Myanmar}}]){{1,24}}"
        rf"|{_LEAD}?{_SPACED_UPPER}*{_SPACED_LOWER}+{_CONTRACTIONS}?"
        rf"|{_LEAD}?{_SPACED_UPPER}+{_SPACED_LOWER}*{_CONTRACTIONS}?"
        r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+[ \t]*|\s+(?!\S)|\s+"
    ),
)

PATTERNS = {pattern.label: pattern for pattern in (GPT2, CL100K, LLAMA3, O200K, SCRIPTS)}


def pattern_named(label: str) -> Pattern:
    """The pattern with this label; a name alone means its newest version.

    Raises:
        ValueError: there is none.
    """
    if label in PATTERNS:
        return PATTERNS[label]
    versions = [pattern for pattern in PATTERNS.values() if pattern.name == label]
    if not versions:
        raise ValueError(f"pattern is {label!r}; known are {', '.join(sorted(PATTERNS))}")
    return max(versions, key=lambda pattern: pattern.version)


def pattern_of_regex(regex: str) -> Pattern | None:
    """The known pattern that this regular expression is, if any."""
    return next((pattern for pattern in PATTERNS.values() if pattern.regex == regex), None)
