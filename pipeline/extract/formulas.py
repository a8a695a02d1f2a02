r"""Formulas of a page → their TeX, where a reader sees them: `\(…\)` in a line, `\[…\]` standing alone.

Pages hold a formula up to three times over (for eyes, for screen readers, as TeX), and its plain text is none of
them: a fraction of MathML reads `ab`. Taken are, in this order, the TeX that MathML carries with it (`annotation`, W3C MathML
Core 6; `alttext` of LaTeXML), the scripts of MathJax 2, the descriptions of pictures (Wikipedia, WordPress), and at last MathML itself, written in TeX. What
is drawn beside it is taken out.
"""

import re
from collections.abc import Callable, Iterator

from selectolax.lexbor import LexborHTMLParser, LexborNode

# A page without any of these has no formulas; looking for plain strings takes microseconds, a pattern would take milliseconds.
# What holds one formula in several forms, at most so far above its MathML.
_HOLDERS = frozenset(("katex-display", "katex", "mwe-math-element"))
_LEVELS = 3
_DRAWN = (
    ".MathJax_Preview, .MathJax, .MathJax_Display, .MathJax_CHTML, .MathJax_SVG, .MJXc-display, .MathJax_SVG_Display"
)
_SCRIPTS = "script[type^='math/tex']"
_PICTURES = "img.latex, img.tex, img.mwe-math-fallback-image-inline, img.mwe-math-fallback-image-display"
_STYLED = re.compile(r"\{\\(?:display|text)style\s*(.*)\}", re.DOTALL)
_MAX_DEPTH = 60
_MAX_FORMULA_CHARS = 5000
_OPERATORS = {"−": "-", "×": r"\times ", "⋅": r"\cdot ", "≤": r"\le ", "≥": r"\ge ", "∑": r"\sum ", "∫": r"\int ", "→": r"\to ", "∞": r"\infty "}  # fmt: skip
_INVISIBLE = dict.fromkeys(map(ord, "\u2061\u2062\u2063\u2064"))


def write_formulas(tree: LexborHTMLParser) -> int:
    """Puts the TeX of each formula in its place, and takes the other forms of it away; returns how many there were."""
    if tree.css_first(f"math, {_SCRIPTS}, {_PICTURES}") is None:
        return 0
    written = _write_mathml(tree)
    scripts = tree.css(_SCRIPTS)
    for node in scripts:
        if tex := _clean(node.text()):
            _replace(node, tex, display="mode=display" in (node.attributes.get("type") or ""))
            written += 1
    for node in tree.css(_DRAWN) if scripts else ():
        if len(node.text()) <= _MAX_FORMULA_CHARS:
            node.replace_with("")
    for node in tree.css(_PICTURES):
        if tex := _clean(node.attributes.get("alt")):
            _replace(node, tex, display="mwe-math-fallback-image-display" in (node.attributes.get("class") or ""))
            written += 1
    return written


def _write_mathml(tree: LexborHTMLParser) -> int:
    """Each element is looked at a few times, however deep and however many."""
    written = 0
    taken_out: set[int] = set()
    holds_one: dict[int, bool] = {}
    for math in tree.css("math"):
        if math.mem_id in taken_out or not (tex := _best(math)):
            continue
        place = math
        for above in _holders_of(math):
            if above.mem_id not in holds_one:
                holds_one[above.mem_id] = _holds_one(above)
            if holds_one[above.mem_id]:
                place = above
        taken_out.update(inside.mem_id for inside in place.css("math"))
        _replace(place, tex, display=math.attributes.get("display") == "block" or _stands_alone(place))
        written += 1
    return written


def _holders_of(math: LexborNode) -> Iterator[LexborNode]:
    """The elements right above that hold other forms of the formula as well, from the inside out."""
    node = math.parent
    for _ in range(_LEVELS):
        if node is None:
            return
        if node.tag == "mjx-container" or _HOLDERS & set((node.attributes.get("class") or "").split()):
            yield node
        node = node.parent


def _holds_one(holder: LexborNode) -> bool:
    """Whether it is one formula: names of classes are free, and an article may bear one of these."""
    return len(holder.css("math")) == 1 and len(holder.text()) <= _MAX_FORMULA_CHARS


def _replace(node: LexborNode, tex: str, *, display: bool) -> None:
    node.replace_with(rf" \[{tex}\] " if display else rf"\({tex}\)")


def _stands_alone(holder: LexborNode) -> bool:
    return "katex-display" in (holder.attributes.get("class") or "") or holder.attributes.get("display") == "true"


def _best(math: LexborNode) -> str:
    """The TeX of MathML: what it carries with it, or else itself."""
    for note in math.css("annotation"):
        if "tex" in (note.attributes.get("encoding") or "").lower() and (tex := _clean(note.text())):
            return tex
    return _clean(math.attributes.get("alttext")) or _clean(_tex_of(math, 0))


def _clean(tex: str | None) -> str:
    """In one line, without the dollars or the braces of a style around all of it."""
    text = " ".join((tex or "").split()).strip("$").strip()
    styled = _STYLED.fullmatch(text)
    return styled[1].strip() if styled else text


def _tex_of(node: LexborNode, depth: int) -> str:
    """Presentation MathML as TeX, as far as its structure goes: fractions, roots, scripts, tables, fences."""
    if depth > _MAX_DEPTH:
        return node.text()
    tag = node.tag
    if tag in ("-text", "mi", "mn", "mo", "mtext", "ms"):
        text = (node.text_content if tag == "-text" else node.text()) or ""
        text = " ".join(text.translate(_INVISIBLE).split())
        return rf"\text{{{text}}}" if tag == "mtext" and text else _OPERATORS.get(text, text)
    if tag in ("annotation", "annotation-xml", "-comment"):
        return ""
    parts = [_tex_of(child, depth + 1) for child in node.iter(include_text=tag not in _STRUCTURES)]
    write = _STRUCTURES.get(tag or "")
    return write(parts) if write is not None else "".join(parts)


def _script(marks: str) -> Callable[[list[str]], str]:
    def write(parts: list[str]) -> str:
        base, *scripts = parts or [""]
        return (base if len(base) < 2 else f"{{{base}}}") + "".join(
            f"{mark}{{{script}}}" for mark, script in zip(marks, scripts, strict=False)
        )

    return write


_STRUCTURES: dict[str, Callable[[list[str]], str]] = {
    "mfrac": lambda parts: r"\frac" + "".join(f"{{{part}}}" for part in parts),
    "msqrt": lambda parts: rf"\sqrt{{{''.join(parts)}}}",
    "mroot": lambda parts: rf"\sqrt[{''.join(parts[1:])}]{{{''.join(parts[:1])}}}",
    "msup": _script("^"), "msub": _script("_"), "msubsup": _script("_^"),
    "mover": _script("^"), "munder": _script("_"), "munderover": _script("_^"),
    "mtr": lambda parts: " & ".join(parts),
    "mtable": lambda parts: r"\begin{matrix}" + r" \\ ".join(parts) + r"\end{matrix}",
    "mfenced": lambda parts: f"({','.join(parts)})",
}  # fmt: skip
