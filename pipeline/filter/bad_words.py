"""Words of a list in a text, as C4 looks for them: a page with any word of the list is out.

The lists are plain files, one word or phrase a line, named after the language (`en`, `de`, …), as in the public "List
of Dirty, Naughty, Obscene, and Otherwise Bad Words" that C4 used (CC BY 4.0). None is shipped. Whatever their case,
words match between characters that are no letters or digits; in languages written without spaces, anywhere.
"""

import hashlib
from collections.abc import Callable

import regex

from pipeline.errors import InputError
from pipeline.filter.stopwords import UNSPACED
from pipeline.places import join
from pipeline.storage import exists, list_files, read_bytes

Search = Callable[[str], int]


class BadWords:
    """The lists of a folder, each read when its language first comes up. Languages without a list have no answer."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._searches: dict[str, Search | None] = {}
        if not list_files(folder):
            raise InputError(
                f"filter.c4.bad_words names {folder}, where there is no file; it wants one for each language"
            )

    def count(self, text: str, language: str) -> int | None:
        """How many places in `text` have a listed word; none where there is no list for `language`."""
        if language not in self._searches:
            self._searches[language] = self._read(language)
        search = self._searches[language]
        return None if search is None else search(text)

    def _read(self, language: str) -> Search | None:
        path = join(self._folder, language)
        if not language.isalnum() or not exists(path):
            return None
        lines = (line.strip() for line in read_bytes(path).decode("utf-8-sig", "replace").split("\n"))
        return searching([line for line in lines if line and not line.startswith("#")], spaced=language not in UNSPACED)


def searching(words: list[str], *, spaced: bool) -> Search | None:
    """What counts `words` in a text."""
    if not words:
        return None
    listed = r"\L<words>"
    pattern = regex.compile(
        rf"(?<![\w]){listed}(?![\w])" if spaced else listed, regex.IGNORECASE | regex.V1, words=words
    )
    return lambda text: len(pattern.findall(text))


def lists_sha256(folder: str) -> str:
    """What names the content of all lists in the fingerprint of a step."""
    digest = hashlib.sha256()
    for path in sorted(list_files(folder)):
        digest.update(hashlib.sha256(read_bytes(path)).digest())
    return digest.hexdigest()
