"""Pages → documents with text, metadata and language, or rejections with the reason.

Each page is judged alone: neither its place in a shard, nor the pages before it, nor the speed of
the machine reaches its document. A page that is too large, too deep, too slow or too hungry is
rejected (`too_large`, `too_many_tags`, `too_deep`, `too_slow`, `too_much_memory`, `crashed`), as is one
without text (`undecodable`, `unparsable`, `no_main_text`, `empty_text`) or in an unwanted language (`other_language`,
`unsure_language`); the worker goes on.
"""

from collections.abc import Sequence

from pipeline.extract.config import ExtractConfig
from pipeline.extract.html import PageExtractor
from pipeline.extract.isolation import ChildExtractor, Question
from pipeline.extract.results import Extracted, Refused
from pipeline.records import Document, Page, Rejection

LANGUAGE_MEASURES = ("main_language_share", "second_language_share")


class ExtractText:
    """The judge of extraction: a page becomes a `Document` or a `Rejection`."""

    stage = "extract"

    def __init__(self, config: ExtractConfig) -> None:
        self._config = config
        self._extractor: ChildExtractor | _InProcess | None = None

    def __getstate__(self) -> dict[str, object]:
        return {"_config": self._config, "_extractor": None}

    @property
    def measures(self) -> Sequence[str]:
        """The shares of the languages of paragraphs; the filter measures texts."""
        return LANGUAGE_MEASURES if self._config.language.paragraphs else ()

    def setup(self) -> None:
        """Starts the child process, or loads the models here where isolation is off."""
        self._extractor = ChildExtractor(self._config) if self._config.isolate else _InProcess(self._config)

    def close(self) -> None:
        """Ends the child process, which otherwise ends with this one."""
        if isinstance(self._extractor, ChildExtractor):
            self._extractor.close()

    def judge(self, page: Page) -> Document | Rejection:
        """The document of `page`, or why there is none."""
        assert self._extractor is not None, "setup() comes first"
        question = Question(page.payload, page.url, page.media_type, page.charset, dict(page.metadata))
        result = self._extractor.extract(question)
        if isinstance(result, Refused):
            return Rejection(
                id=page.id, url=page.url, stage=self.stage, reason=result.reason,
                detail=result.detail, value=result.value, threshold=result.threshold,
            )  # fmt: skip
        return Document(
            id=page.id, url=page.url, text=result.text, source=page.source,
            title=result.metadata.title, author=result.metadata.author, date=result.metadata.date,
            licence=result.metadata.licence, language=result.language, language_score=result.language_score,
            canonical=result.metadata.canonical, metadata=page.kept, measures=_language_measures(result),
        )  # fmt: skip


def _language_measures(result: Extracted) -> dict[str, float]:
    """The shares by paragraph as measures; none where no paragraph could be judged."""
    if not result.language_shares:
        return {}
    main = result.language_shares.get(result.language, 0.0)
    others = (share for language, share in result.language_shares.items() if language != result.language)
    return dict(zip(LANGUAGE_MEASURES, (main, max(others, default=0.0)), strict=True))


class _InProcess:
    """Extracts pages in this process: about as fast, but a page that explodes takes the worker with it."""

    def __init__(self, config: ExtractConfig) -> None:
        self._extractor = PageExtractor(config)

    def extract(self, question: Question) -> Extracted | Refused:
        return self._extractor.extract(**question._asdict())
