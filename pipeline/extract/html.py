"""One page → its text, metadata and language.

No I/O; nothing is remembered from page to page that could change an answer.
"""

from collections.abc import Mapping
from dataclasses import replace

from selectolax.lexbor import LexborHTMLParser, SelectolaxError

from pipeline.charset import Decoded, decode
from pipeline.extract.banners import drop_banners
from pipeline.extract.bounds import refuse_markup, refuse_payload
from pipeline.extract.clutter import drop_clutter
from pipeline.extract.code_rows import join_code_rows
from pipeline.extract.config import ExtractConfig
from pipeline.extract.dates import iso_date
from pipeline.extract.engines import Source, TextFinder
from pipeline.extract.formulas import write_formulas
from pipeline.extract.language import LanguageFinder
from pipeline.extract.licences import licence_name
from pipeline.extract.metadata import read_metadata
from pipeline.extract.normalise import normalise, one_line
from pipeline.extract.results import Extracted, Metadata, Refused
from pipeline.extract.threads import OneThread
from pipeline.extract.xml_pages import as_html


class PageExtractor:
    """Extracts pages of any media type, each alone; make it in `setup`, since it loads models."""

    def __init__(self, config: ExtractConfig) -> None:
        self._config = config
        self.languages = LanguageFinder(config.language)
        self._finder = TextFinder(config, self.languages)
        self._one_thread = OneThread()

    def extract(
        self,
        payload: bytes,
        *,
        url: str = "",
        media_type: str = "text/html",
        charset: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> Extracted | Refused:
        """The text of a page with its language. What the page does not say of itself comes from `metadata`."""
        with self._one_thread:
            return self._extract(payload, url, media_type, charset, metadata or {})

    def _extract(
        self, payload: bytes, url: str, media_type: str, charset: str, metadata: Mapping[str, str]
    ) -> Extracted | Refused:
        if media_type == "text/plain":
            result = extract_plain(payload, charset=charset, config=self._config)
        else:
            result = extract_html(payload, url=url, charset=charset, config=self._config, finder=self._finder)
        if isinstance(result, Refused):
            return result
        return _with_language(_with_source_metadata(result, metadata), self._config, self.languages)


def extract_html(
    payload: bytes, *, url: str = "", charset: str = "", config: ExtractConfig, finder: TextFinder | None = None
) -> Extracted | Refused:
    """The main text and the metadata of an HTML page; `charset` is what the transport said."""
    if refused := refuse_payload(payload, config):
        return refused
    decoded = decode(payload, transport=charset)
    html = as_html(decoded.text.replace("\x00", ""))
    if refused := _refuse_damaged(decoded, config) or refuse_markup(html, config):
        return refused
    try:
        tree = LexborHTMLParser(html)
    except SelectolaxError as error:
        return Refused(reason="unparsable", detail=str(error))
    metadata = read_metadata(tree, url, html)
    if _prepare(tree, html) and config.engine != "blocks":
        html = tree.html or html  # for the engines that parse it themselves
    found = (finder or TextFinder(config)).find(Source(html, tree, metadata.kind == "article"))
    if found.text and found.expected_f1 < config.min_expected_f1:
        return Refused(reason="no_main_text", value=found.expected_f1, threshold=config.min_expected_f1)
    return _checked(Extracted(text=normalise(found.text), metadata=metadata, charset=decoded.charset), config)


def _prepare(tree: LexborHTMLParser, html: str) -> bool:
    """Brings formulas and code into the form that they are meant in, and takes out clutter and banners. Whether anything was changed."""
    return write_formulas(tree) + drop_clutter(tree) + join_code_rows(tree) + drop_banners(tree, html) > 0


def extract_plain(payload: bytes, *, charset: str = "", config: ExtractConfig) -> Extracted | Refused:
    """The text of a plain-text page."""
    if refused := refuse_payload(payload, config):
        return refused
    decoded = decode(payload, transport=charset, html=False)
    if refused := _refuse_damaged(decoded, config):
        return refused
    return _checked(Extracted(text=normalise(decoded.text), charset=decoded.charset), config)


def _refuse_damaged(decoded: Decoded, config: ExtractConfig) -> Refused | None:
    if decoded.damaged_share <= config.max_undecodable_share:
        return None
    return Refused(
        reason="undecodable",
        detail=f"as {decoded.charset}",
        value=decoded.damaged_share,
        threshold=config.max_undecodable_share,
    )


def _checked(result: Extracted, config: ExtractConfig) -> Extracted | Refused:
    num_chars = len(result.text)
    if num_chars < config.min_text_chars:
        return Refused(reason="empty_text", value=num_chars, threshold=config.min_text_chars)
    return result


def _with_source_metadata(result: Extracted, stated: Mapping[str, str]) -> Extracted:
    if not stated:
        return result
    page = result.metadata
    merged = Metadata(
        title=page.title or one_line(stated.get("title", "")),
        author=page.author or one_line(stated.get("author", "")),
        date=page.date or iso_date(stated.get("date", "")),
        canonical=page.canonical,
        licence=page.licence or licence_name(stated.get("licence") or stated.get("license") or ""),
    )
    return Extracted(text=result.text, metadata=merged, charset=result.charset)


def _with_language(result: Extracted, config: ExtractConfig, languages: LanguageFinder) -> Extracted | Refused:
    language, score = languages.of_document(result.text)
    wanted = config.language
    if wanted.keep and language not in wanted.keep:
        return Refused(reason="other_language", detail=language, value=score)
    if score < wanted.min_score:
        return Refused(reason="unsure_language", detail=language, value=score, threshold=wanted.min_score)
    shares = languages.shares(result.text, wanted.paragraphs) if wanted.paragraphs else {}
    return replace(result, language=language, language_score=score, language_shares=shares)
