"""The documentation that a Python machine holds, as articles: docstrings read from source files, and help topics.

Nothing is imported: sources are parsed by `ast`. The result depends only on the files of the
interpreter and of the installed packages.
"""

import ast
import gc
import inspect
import os
import sysconfig
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from jobs.demo.prose import Block, Code, Definitions, Heading, Items, Paragraph, block_text, blocks_of, words_and_tokens

# Packages with much good prose first, as far as they are installed; then whatever else there is.
_PREFERRED = (
    "networkx",
    "numpy",
    "torch",
    "apache_beam",
    "sympy",
    "scipy",
    "pandas",
    "sklearn",
    "pydantic",
    "hypothesis",
)
_NOT_READ = frozenset(
    [
        "__pycache__",
        "site-packages",
        "dist-packages",
        "test",
        "tests",
        "testing",
        "_vendor",
        "vendor",
        "_vendored",
        "vendored",
        "external",
        "benchmarks",
        "idlelib",
        "lib2to3",
        "turtledemo",
        "ensurepip",
        "distutils",
        "_pytest",
        "conftest",
        "pydoc_data",
    ]
)
_MAX_FILE_BYTES = 400_000
ARTICLE_BYTES = 7_000
_LEAST_WORD_SHARE = 0.86
_LEAST_LISTING_BYTES = 800
_LEAST_QUOTED_BYTES = 400
_SMALL_BYTES = 1_000
_PAGES_A_PACKAGE = 180


@dataclass(slots=True)
class Section:
    """What one class or function says of itself. `signature` is its call, or empty for a module."""

    name: str
    signature: str
    blocks: list[Block]

    @property
    def num_bytes(self) -> int:
        """The size of its prose."""
        return sum(block_bytes(block) for block in self.blocks)


@dataclass(slots=True)
class Article:
    """One page of documentation: `path` is without ending, `listing` is code that has a page of its own."""

    path: str
    title: str
    package: str
    sections: list[Section] = field(default_factory=list)
    listing: list[str] = field(default_factory=list)

    @property
    def num_bytes(self) -> int:
        """The size of its prose."""
        return sum(section.num_bytes for section in self.sections)


def block_bytes(block: Block) -> int:
    """The bytes of prose in a block; code counts nothing."""
    match block:
        case Paragraph(text) | Heading(text):
            return len(text)
        case Items(entries):
            return sum(map(len, entries))
        case Definitions(rows):
            return sum(len(meaning) for _, _, meaning in rows)
    return 0


def articles(*, at_least_bytes: int) -> list[Article]:
    """Articles about the interpreter's topics, its library, and installed packages, until there is enough prose."""
    collects = gc.isenabled()
    gc.disable()  # syntax trees are many small objects and hold no cycles: looking for some costs a third of the time
    try:
        return [readable(article) for article in _articles(at_least_bytes)]
    finally:
        if collects:
            gc.enable()


def _articles(at_least_bytes: int) -> list[Article]:
    found = topics()
    held = sum(article.num_bytes for article in found)
    for name, modules in _packages():
        if held >= at_least_bytes:
            break
        more = package_articles(name, modules, at_most=_PAGES_A_PACKAGE)
        found += more
        held += sum(article.num_bytes for article in more)
    return found


def _packages() -> Iterator[tuple[str, Iterator[tuple[str, str]]]]:
    """The library of the interpreter, then the installed packages, with their modules."""
    yield "library", _modules(sysconfig.get_paths()["stdlib"], "")
    for name, folder in _installed():
        yield name, _modules(folder, name)


def readable(article: Article) -> Article:
    """`article` with as much of its code as leaves it mostly prose; the rest of the code goes to its listing."""
    prose = "\n".join(
        block_text(block) for section in article.sections for block in section.blocks if not isinstance(block, Code)
    )
    words, tokens = words_and_tokens(prose)
    listing: list[str] = []

    def shown(code: str) -> bool:
        nonlocal words, tokens
        more_words, more_tokens = words_and_tokens(code)
        if "{" in code or words + more_words < _LEAST_WORD_SHARE * (tokens + more_tokens):
            listing.append(code)
            return False
        words, tokens = words + more_words, tokens + more_tokens
        return True

    sections = [
        Section(
            section.name,
            section.signature if section.signature and shown(section.signature) else "",
            [block for block in section.blocks if not isinstance(block, Code) or shown(block.text)],
        )
        for section in article.sections
    ]
    if sum(map(len, listing)) < _LEAST_LISTING_BYTES:
        listing = []
    return Article(article.path, article.title, article.package, sections, listing)


def topics() -> list[Article]:
    """The help topics of the interpreter (what `help("LISTS")` shows)."""
    path = os.path.join(sysconfig.get_paths()["stdlib"], "pydoc_data", "topics.py")
    tree = _parsed(path, max_bytes=1 << 22)
    if tree is None:
        return []
    found: list[Article] = []
    for node in tree.body:
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(node.value, ast.Dict):
            for name, text in ast.literal_eval(node.value).items():
                found += _split(Article(f"topics/{name}", f"Topic: {name}", "topics", _topic_sections(name, text)))
    return found


def _topic_sections(name: str, text: str) -> list[Section]:
    sections = [Section(name, "", [])]
    for block in blocks_of(inspect.cleandoc(text)):
        if isinstance(block, Heading):
            sections.append(Section(block.text, "", []))
        else:
            sections[-1].blocks.append(block)
    return [section for section in sections if section.blocks]


def package_articles(package: str, modules: Iterator[tuple[str, str]], *, at_most: int) -> list[Article]:
    """One or more articles for each module with much to say; small modules share theirs."""
    found: list[Article] = []
    small: list[Section] = []
    for name, path in modules:
        if len(found) >= at_most:
            break
        sections = module_sections(name, path)
        size = sum(section.num_bytes for section in sections)
        if size >= _SMALL_BYTES:
            found += _split(Article(f"{package}/{name}", name, package, sections))
        elif size > 200:
            small += sections
    return found + _split(Article(f"{package}/further-modules", f"Further modules of {package}", package, small))


def _split(article: Article) -> list[Article]:
    """`article` as several of a readable length, at the borders of sections."""
    parts: list[list[Section]] = [[]]
    held = 0
    for section in article.sections:
        if held > ARTICLE_BYTES:
            parts.append([])
            held = 0
        parts[-1].append(section)
        held += section.num_bytes
    if len(parts) > 1 and held < _SMALL_BYTES:
        last = parts.pop()
        parts[-1] += last
    if len(parts) == 1:
        return [article] if article.num_bytes >= _SMALL_BYTES // 2 else []
    return [
        Article(f"{article.path}-{number}", f"{article.title}, part {number}", article.package, sections)
        for number, sections in enumerate(parts, start=1)
    ]


def module_sections(name: str, path: str) -> list[Section]:
    """What a module, its classes and functions say of themselves, each paragraph once."""
    tree = _parsed(path, max_bytes=_MAX_FILE_BYTES)
    if tree is None:
        return []
    seen: set[Block] = set()
    found = (_section(node, label, seen) for node, label in _documented(tree, name))
    return [section for section in found if section is not None]


def _documented(tree: ast.Module, name: str) -> Iterator[tuple[ast.AST, str]]:
    yield tree, name
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and not node.name.startswith("_"):
            yield node, node.name
            for inner in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef)) and not inner.name.startswith("_"):
                    yield inner, f"{node.name}.{inner.name}"


def _section(node: ast.AST, label: str, seen: set[Block]) -> Section | None:
    text = (
        ast.get_docstring(node)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        else None
    )
    if not text or len(text.split()) < 12:
        return None
    blocks = []
    for block in blocks_of(text):
        if block not in seen:
            seen.add(block)
            blocks.append(block)
    section = Section(label, _signature(node, label), _without_bare_headings(blocks))
    return section if section.num_bytes > 80 else None


def _without_bare_headings(blocks: Sequence[Block]) -> list[Block]:
    """`blocks` without headings that have nothing to read below them."""
    kept: list[Block] = []
    for block in reversed(blocks):
        if not isinstance(block, Heading) or (kept and not isinstance(kept[-1], (Heading, Code))):
            kept.append(block)
    return kept[::-1]


def _signature(node: ast.AST, label: str) -> str:
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return ""
    arguments = ast.unparse(node.args)
    return f"{label}({arguments})" if len(arguments) < 100 else f"{label}(…)"


def _parsed(path: str, *, max_bytes: int) -> ast.Module | None:
    try:
        if os.path.getsize(path) > max_bytes:
            return None
        with open(path, "rb") as file:
            source = file.read()
        if sum(map(len, source.split(b'"""')[1::2])) + sum(map(len, source.split(b"'''")[1::2])) < _LEAST_QUOTED_BYTES:
            return None  # without docstrings worth a parse, and parsing is what takes the time
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _modules(folder: str, package: str) -> Iterator[tuple[str, str]]:
    """The public modules below `folder`, with their dotted names, in order."""
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(
            name for name in folders if name not in _NOT_READ and not name.startswith((".", "_")) and "-" not in name
        )
        for file in sorted(files):
            name, ending = os.path.splitext(file)
            if (ending == ".py" and not name.startswith("_")) or file == "__init__.py":
                parts = [*os.path.relpath(here, folder).split(os.sep), "" if name == "__init__" else name]
                dotted = ".".join(part for part in (package, *parts) if part not in ("", "."))
                if dotted and name not in _NOT_READ:
                    yield dotted, os.path.join(here, file)


def _installed() -> list[tuple[str, str]]:
    """The installed packages and their folders, those of `_PREFERRED` first."""
    folders: dict[str, str] = {}
    for root in dict.fromkeys(sysconfig.get_paths()[key] for key in ("purelib", "platlib")):
        if os.path.isdir(root):
            for name in sorted(os.listdir(root)):
                folder = os.path.join(root, name)
                if (
                    name.isidentifier()
                    and name not in _NOT_READ
                    and os.path.isfile(os.path.join(folder, "__init__.py"))
                ):
                    folders.setdefault(name, folder)
    preferred = [name for name in _PREFERRED if name in folders]
    return [
        (name, folders[name]) for name in [*preferred, *(name for name in sorted(folders) if name not in preferred)]
    ]
