"""UTF-8 that was taken for Windows-1252 and encoded again (`Ã©` for `é`) → the text as it was.

A text is changed only if that explains all of it: each of its characters beyond ASCII is part of such a sequence, and there are many. In
a text as it was meant that does not happen, since a letter with an accent, a dash or a quotation mark stands alone somewhere; a text
of which only a part was encoded twice stays as it is, and so does one that is about the matter.
"""

import re

_RUN = re.compile("[^\x00-\x7f]+")
_MIN_RUNS = 10
_ABOUT_IT = re.compile("mojibake|double.?encod", re.IGNORECASE)


def _byte_of() -> dict[int, int]:
    """The byte of each character of Windows-1252; its five gaps are control characters, as in browsers."""
    return {ord(bytes((byte,)).decode("cp1252", "ignore") or chr(byte)): byte for byte in range(0x80, 0x100)}


_BYTE_OF = _byte_of()


def undo_double_encoding(text: str) -> str:
    """`text` decoded once more if all of it was encoded twice, else itself. Ends at the first run that was not."""
    if text.isascii():
        return text
    pieces: list[str] = []
    end = num_runs = 0
    for run in _RUN.finditer(text):
        try:
            once = run[0].translate(_BYTE_OF).encode("latin-1").decode("utf-8")
        except UnicodeError:
            return text
        pieces += (text[end : run.start()], once)
        end = run.end()
        num_runs += 1
    if num_runs < _MIN_RUNS or _ABOUT_IT.search(text):
        return text
    return "".join((*pieces, text[end:]))
