"""Fixtures for the tests of the filter stage."""

import pytest

from pipeline.filter.words import Vocabulary
from pipeline.records import Document


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    """A vocabulary that the tests of a module share."""
    return Vocabulary()


def document(text: str, language: str = "en", **known: str) -> Document:
    """A document with `text`."""
    return Document(id="0" * 32, url="https://example.org/", text=text, language=language, language_score=0.99, **known)
