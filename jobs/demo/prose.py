"""The plain text of docstrings and help topics as blocks of a page: prose, code, lists, definitions."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_ROLE = re.compile(r":[\w:+.-]+:`~?(?:[^`<]*<)?([^`>]+)>?`")
_LINK = re.compile(r"`([^`<]+?)\s*<https?://[^>]+>`_{1,2}")
_LITERAL = re.compile(r"``([^`]+)``|`([^`]+)`_?")
_BULLET = re.compile(r"(?:[-*•+]|\(?\d{1,2}[.)])\s+(?=\S)")
_UNDERLINE = re.compile(r"([=\-~*^\"#])\1{2,}\s*$")
_GROUP = re.compile(
    r"(args|arguments|parameters|params|returns?|yields?|raises|attributes|inputs?|outputs?"
    r"|keyword args|keyword arguments|other parameters)\s*:?\s*$",
    re.IGNORECASE,
)
_FIELD = re.compile(r":(?:param|arg|type|returns?|rtype|raises?|keyword)\b([^:]*):\s*(.*)")
_DEFINITION = re.compile(r"(\*{0,2}[A-Za-z_][\w.\[\]*, ]{0,60}?)\s*(?:\(([^)]{1,80})\))?\s*:\s+(\S.*)$")
_NUMPY_DEFINITION = re.compile(r"(\*{0,2}[A-Za-z_][\w.*, ]{0,60}?)\s*(?::\s*(.{1,120}))?$")
_DIRECTIVE = re.compile(r"\.\.\s+[\w:-]+::?\s*(.*)$")
_WORD = re.compile(r"[^\W\d_](?:[\w.'\u2019-]*\w)?")
_SIGN = re.compile(r"\w+|[^\w\s`]")
_PROSE_SHARE = 0.8
_QUOTED_NAME = re.compile(r"""(?<![\w"])"([A-Za-z_][\w.]*(?:\(\))?)"(?![\w"])""")
_EMPHASIS = re.compile(r"(?<![\w*])\*([A-Za-z_][\w ]*)\*(?![\w*])")
_REFERENCE = re.compile(r"\.\. \[(\w+)\]\s*")
_SENTENCE_END = re.compile(r"[.!?:][\"')\]]*$")


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text; names of code are between backticks."""

    text: str


@dataclass(frozen=True, slots=True)
class Code:
    """Lines of code or of output, verbatim."""

    text: str


@dataclass(frozen=True, slots=True)
class Items:
    """The entries of a list."""

    entries: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Definitions:
    """Rows of (name, kind, meaning)."""

    rows: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Heading:
    """The heading of what follows."""

    text: str


Block = Paragraph | Code | Items | Definitions | Heading


def block_text(block: Block) -> str:
    """All text of a block."""
    match block:
        case Paragraph(text) | Heading(text) | Code(text):
            return text
        case Items(entries):
            return "\n".join(entries)
        case Definitions(rows):
            return "\n".join(" ".join(row) for row in rows)


def words_and_tokens(text: str) -> tuple[int, int]:
    """How many tokens of `text` have letters, and how many there are; every sign is a token of its own."""
    rest, words = _WORD.subn(" ", text)
    return words, words + len(_SIGN.findall(rest))


def reads_as_prose(text: str) -> bool:
    """Whether `text` is mostly words."""
    words, tokens = words_and_tokens(text)
    return words >= _PROSE_SHARE * tokens


def blocks_of(text: str) -> list[Block]:
    """The blocks of a cleaned docstring, in order."""
    return list(_blocks(_chunks(text.expandtabs().split("\n"))))


def _chunks(lines: Sequence[str]) -> Iterator[list[str]]:
    chunk: list[str] = []
    for line in lines:
        if line.strip():
            chunk.append(line.rstrip())
        elif chunk:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _blocks(chunks: Iterator[list[str]]) -> Iterator[Block]:
    code_follows, group = False, ""
    for chunk in chunks:
        if len(chunk) > 1 and _UNDERLINE.match(chunk[1].strip()) and len(chunk[0].split()) < 12:
            group = chunk[0].strip().lower()
            if not _GROUP.match(group):
                yield Heading(_inline(chunk[0].strip()))
            chunk = chunk[2:]
        if not chunk or (len(chunk) == 1 and _UNDERLINE.match(chunk[0].strip())):
            continue
        if _GROUP.match(chunk[0].strip()):
            group, chunk = chunk[0].strip().rstrip(":").lower(), chunk[1:]
        if chunk:
            block = _block(chunk, code_follows, group)
            if block is not None:
                yield block
            code_follows = chunk[-1].endswith("::")
            group = group if isinstance(block, Definitions) else ""


def _block(chunk: list[str], code_follows: bool, group: str) -> Block | None:
    indent = min(len(line) - len(line.lstrip()) for line in chunk)
    first = chunk[0].strip()
    if first.startswith((">>>", "...", "$ ", "In [")) or (code_follows and indent >= 2):
        return Code("\n".join(line[indent:] for line in chunk))
    if _FIELD.match(first):
        return _fields(chunk)
    if _BULLET.match(first):
        return _items(chunk)
    if group and _GROUP.match(group):
        return _definitions(chunk)
    directive = _DIRECTIVE.match(first)
    if directive:
        rest = [directive[1], *chunk[1:]]
        return _paragraph(rest) if any(line.strip() for line in rest) else None
    if indent >= 4 and not _SENTENCE_END.search(chunk[-1]):
        return Code("\n".join(line[indent:] for line in chunk))
    return _paragraph(chunk)


def _paragraph(lines: Sequence[str]) -> Paragraph | Code | None:
    """Prose, if it reads as such; grammars and formulas are code."""
    text = _inline(_REFERENCE.sub("", " ".join(line.strip() for line in lines)))
    text = text.removesuffix("::") + ":" if text.endswith("::") else text
    if text.endswith(":") and len(text.split()) < 4:
        return None
    if "{" in text or "::=" in text or not reads_as_prose(text):
        return Code("\n".join(lines))
    return Paragraph(text) if len(text.split()) >= 4 and (_SENTENCE_END.search(text) or len(text) > 60) else None


def _items(lines: Sequence[str]) -> Items:
    entries: list[str] = []
    for line in lines:
        stripped = line.strip()
        mark = _BULLET.match(stripped)
        if mark:
            entries.append(stripped[mark.end() :])
        elif entries:
            entries[-1] += " " + stripped
    return Items(tuple(_inline(entry) for entry in entries))


def _fields(lines: Sequence[str]) -> Definitions | None:
    rows: list[list[str]] = []
    for line in lines:
        match = _FIELD.match(line.strip())
        if match:
            rows.append([match[1].strip(), "", match[2]])
        elif rows:
            rows[-1][2] += " " + line.strip()
    return _table(rows)


def _definitions(lines: Sequence[str]) -> Definitions | Paragraph | Code | None:
    """Definitions in the style of numpy (`name : kind`, meaning indented) or of Google (`name (kind): meaning`)."""
    indent = len(lines[0]) - len(lines[0].lstrip())
    rows: list[list[str]] = []
    for line in lines:
        stripped = line.strip()
        if len(line) - len(line.lstrip()) > indent and rows:
            rows[-1][2] = f"{rows[-1][2]} {stripped}".strip()
            continue
        match = _DEFINITION.match(stripped)
        numpy = _NUMPY_DEFINITION.match(stripped)
        if match and not (numpy and numpy[2] and len(match[3].split()) < 4):
            rows.append([match[1], match[2] or "", match[3]])
        elif numpy:
            rows.append([numpy[1], numpy[2] or "", ""])
        elif rows:
            rows[-1][2] = f"{rows[-1][2]} {stripped}".strip()
    return _table(rows) or _paragraph(lines)


def _table(rows: Sequence[Sequence[str]]) -> Definitions | None:
    kept = tuple(
        (name.strip("* "), "" if "{" in kind else _inline(kind), _inline(meaning))
        for name, kind, meaning in rows
        if len(meaning.split()) > 3 and "{" not in meaning and reads_as_prose(meaning)
    )
    return Definitions(kept) if kept else None


def _inline(text: str) -> str:
    """`text` on one line with its markup reduced to backticks around names of code."""
    text = _ROLE.sub(r"``\1``", text)
    text = _LINK.sub(r"\1", text)
    text = _LITERAL.sub(lambda match: f"`{match[1] or match[2]}`", text)
    text = _QUOTED_NAME.sub(r"`\1`", text)
    text = _EMPHASIS.sub(r"\1", text)
    return " ".join(text.replace("**", "").split())
