"""KenLM models for the tests of perplexity, small enough to work out by hand."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from pipeline.filter.config import FilterConfig
from pipeline.filter.perplexity_config import PerplexityConfig

needs_kenlm = pytest.mark.skipif(find_spec("kenlm") is None, reason="kenlm is not installed")
needs_sentencepiece = pytest.mark.skipif(
    find_spec("kenlm") is None or find_spec("sentencepiece") is None, reason="sentencepiece or kenlm is not installed"
)
ARPA = """\\data\\
ngram 1=6
ngram 2=3
ngram 3=1

\\1-grams:
-2\t<unk>
-99\t<s>\t-0.5
-1\t</s>
-0.7\tthe\t-0.3
-0.9\told\t-0.2
-1.2\tmill\t-0.4

\\2-grams:
-0.2\t<s> the\t-0.1
-0.4\tthe old\t-0.25
-0.3\tmill </s>

\\3-grams:
-0.1\t<s> the old

\\end\\
"""


def configured(model: Path, language: str = "en", **more: Any) -> FilterConfig:
    return FilterConfig(sets=(), perplexity={language: PerplexityConfig(model=str(model), **more)})
