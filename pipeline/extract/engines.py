"""Markup → text of the main content, by the engine that the settings name.

Nothing is remembered from page to page that could change an answer.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
from resiliparse.extract.html2text import extract_plain_text
from selectolax.lexbor import LexborHTMLParser

from pipeline.extract.blocks import Blocks, read_blocks
from pipeline.extract.classifier import ARTICLE, PAGE, Flags, Model, choose, load_model
from pipeline.extract.config import ExtractConfig
from pipeline.extract.features import FEATURES, features
from pipeline.extract.filling import fill_article, fill_page
from pipeline.extract.language import LanguageFinder
from pipeline.extract.render import render
from pipeline.extract.trimming import trim_article

if TYPE_CHECKING:
    from pipeline.extract.just_text import RunningText

# With less than this share of the text of the page, the article is not what the page is for. Pages that declare
# themselves articles are believed.
_MIN_ARTICLE_SHARE = 0.8
_MIN_DECLARED_SHARE = 0.3
# Below this expected F1, the engine `combined` asks trafilatura.
_DOUBTFUL_F1 = 0.7
_IS_H1 = FEATURES.index("tag_h1")
_LIKE_TITLE = FEATURES.index("like_title")
_TABLE_TAGS = frozenset(("table", "tr", "td", "th", "caption"))


class Source(NamedTuple):
    """A page as every engine may want it: markup, tree, and whether it declares itself an article."""

    html: str
    tree: LexborHTMLParser
    is_article: bool = False


class Found(NamedTuple):
    """The text, and how good the engine expects it to be (F1, 0..1), where it has an idea."""

    text: str
    expected_f1: float = 1.0


class TextFinder:
    """Finds the main text of pages; make it in `setup`, since it loads a model.

    `languages` spares the engine that has to know the language of a page, `justext`, a second finder of languages.
    """

    def __init__(self, config: ExtractConfig, languages: LanguageFinder | None = None) -> None:
        self._config = config
        self._model = load_model() if config.engine in ("blocks", "combined") else None
        self._running_text = _running_text(config, languages) if config.engine == "justext" else None

    def find(self, source: Source) -> Found:
        """The text of the main content, not yet normalised."""
        engine = self._config.engine
        if self._model is not None:
            found = by_blocks(source, self._config, self._model)
            if engine == "combined" and found.expected_f1 < _DOUBTFUL_F1:
                text = by_trafilatura(source.html, self._config)
                return Found(text) if text else found
            return found
        if self._running_text is not None:
            return Found(self._running_text.find(source.html))
        if engine == "resiliparse":
            return Found(by_resiliparse(source.html, self._config))
        return Found(by_trafilatura(source.html, self._config, fast=engine == "trafilatura_fast"))


def _running_text(config: ExtractConfig, languages: LanguageFinder | None) -> "RunningText":
    from pipeline.extract.just_text import RunningText  # lxml, which only this engine and trafilatura need

    return RunningText(languages or LanguageFinder(config.language), tables=config.tables)


def by_trafilatura(html: str, config: ExtractConfig, *, fast: bool = False) -> str:
    """trafilatura. `deduplicate` stays off: its cache is process-wide, a text would depend on the pages before it."""
    import trafilatura  # half a second, and only this engine needs it

    text = trafilatura.extract(
        html,
        fast=fast,
        include_comments=config.comments,
        include_tables=config.tables,
        deduplicate=False,
        with_metadata=False,
    )
    return text or ""


def by_resiliparse(html: str, config: ExtractConfig) -> str:
    """resiliparse: rules on names of classes and elements, compiled."""
    skipped = [] if config.tables else ["table"]
    return extract_plain_text(
        html,
        main_content=True,
        preserve_formatting=True,
        alt_texts=False,
        comments=config.comments,
        skip_elements=skipped,
    )


def by_blocks(source: Source, config: ExtractConfig, model: Model) -> Found:
    """Our classifier: the blocks of the page with the greatest expected F1.

    The heading that repeats the title is left out: it is the title.
    """
    page = read_blocks(source.tree)
    if not page.blocks:
        return Found("", 0.0)
    title = source.tree.css_first("title")
    matrix = features(page, " ".join(title.text().split()) if title is not None else "", model.hints)
    num_chars = np.array([len(block.text) for block in page.blocks])
    chosen, expected, scope = _in_scope(matrix, num_chars, source.is_article, config, model)
    chosen = trim_article(page, fill_article(page, chosen)) if scope == ARTICLE else fill_page(page, chosen)
    chosen &= ~((matrix[:, _IS_H1] > 0) & (matrix[:, _LIKE_TITLE] > 0))
    if not config.tables:
        chosen &= ~_in_tables(page)
    return Found(render(page, np.flatnonzero(chosen).tolist()), expected)


def _in_scope(
    matrix: npt.NDArray[np.float32],
    num_chars: npt.NDArray[np.int64],
    is_article: bool,
    config: ExtractConfig,
    model: Model,
) -> tuple[Flags, float, float]:
    """The blocks to keep by the scope that the settings want, the F1 to expect, and the scope."""
    if config.scope == "page":
        return *choose(model.network.probabilities(matrix, PAGE)[0], num_chars), PAGE
    if config.scope == "article":
        return *choose(model.network.probabilities(matrix, ARTICLE)[0], num_chars), ARTICLE
    of_article, of_page = model.network.probabilities(matrix, ARTICLE, PAGE)
    article, expected = choose(of_article, num_chars)
    whole, expected_whole = choose(of_page, num_chars)
    least = _MIN_DECLARED_SHARE if is_article else _MIN_ARTICLE_SHARE
    if num_chars[article].sum() < least * num_chars[whole].sum():
        return whole, expected_whole, PAGE
    return article, expected, ARTICLE


def _in_tables(page: Blocks) -> Flags:
    return np.array([page.elements[block.element].tag in _TABLE_TAGS for block in page.blocks], dtype=np.bool_)
