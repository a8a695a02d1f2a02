r"""Formulas come out as the TeX that the page carries, once, in the forms that the web has them in."""

import pytest

from pipeline.extract.config import ExtractConfig
from pipeline.extract.html import extract_html
from pipeline.extract.results import Extracted

QUADRATIC = r"x=\frac{-b}{2a}"
MATHML = (
    "<math{}><semantics><mrow><mi>x</mi><mo>=</mo><mfrac><mrow><mo>−</mo><mi>b</mi></mrow><mrow><mn>2</mn><mi>a</mi>"
    '</mrow></mfrac></mrow><annotation encoding="application/x-tex">{}</annotation></semantics></math>'
)
WITH_TEX = MATHML.format("", QUADRATIC)
FORMS = {
    "annotation": (WITH_TEX, rf"\({QUADRATIC}\)"),
    "display": (MATHML.format(' display="block"', QUADRATIC), rf"\[{QUADRATIC}\]"),
    "alttext": (rf'<math alttext="{QUADRATIC}"><mi>x</mi></math>', rf"\({QUADRATIC}\)"),
    "katex": (
        f'<span class="katex"><span class="katex-mathml">{WITH_TEX}</span><span class="katex-html" aria-hidden="true">'
        "<span>x</span><span>=</span><span>2a</span><span>−b</span></span></span>",
        rf"\({QUADRATIC}\)",
    ),
    "katex display": (
        f'<span class="katex-display"><span class="katex"><span class="katex-mathml">{WITH_TEX}</span>'
        '<span class="katex-html" aria-hidden="true"><span>x=2a−b</span></span></span></span>',
        rf"\[{QUADRATIC}\]",
    ),
    "mathjax 2": (
        '<span class="MathJax_Preview">x=b</span><div class="MathJax_Display"><span class="MathJax" id="MathJax-Element-1-Frame"><nobr>'
        rf'x=−b2a</nobr></span></div><script type="math/tex; mode=display">{QUADRATIC}</script>',
        rf"\[{QUADRATIC}\]",
    ),
    "mathjax 3": (
        '<mjx-container class="MathJax" jax="CHTML" display="true"><mjx-math><mjx-mi>x</mjx-mi></mjx-math><mjx-assistive-mml>'
        '<math display="block"><mi>x</mi><mo>=</mo><mfrac><mrow><mo>−</mo><mi>b</mi></mrow><mrow><mn>2</mn><mi>a</mi></mrow>'
        "</mfrac></math></mjx-assistive-mml></mjx-container>",
        rf"\[{QUADRATIC}\]",
    ),
    "wikipedia": (
        '<span class="mwe-math-element"><span class="mwe-math-mathml-inline mwe-math-mathml-a11y" style="display: none;">'
        + MATHML.format(r' alttext="{\displaystyle y}"', rf"{{\displaystyle {QUADRATIC}}}")
        + rf'</span><img class="mwe-math-fallback-image-inline" alt="{{\displaystyle {QUADRATIC}}}"></span>',
        rf"\({QUADRATIC}\)",
    ),
    "picture": (rf'<img src="p.png" alt="{QUADRATIC}" class="latex">', rf"\({QUADRATIC}\)"),
    "bare mathml": (
        "<math><msup><mi>e</mi><mrow><mi>i</mi><mi>π</mi></mrow></msup><mo>+</mo><msqrt><msub><mi>x</mi><mn>1</mn></msub></msqrt>"
        "<mo>≤</mo><mroot><mn>2</mn><mn>3</mn></mroot><mtext>for all</mtext></math>",
        r"\(e^{iπ}+\sqrt{x_{1}}\le \sqrt[3]{2}\text{for all}\)",
    ),
}  # fmt: skip
PAGE = "<html><body><article><h1>Roots of a polynomial</h1><p>{}</p><p>{}</p><p>{}</p></article></body></html>"
BEFORE, AFTER = "Whoever has to solve such an equation by hand writes down first of all that", "holds for every line of the table, and checks it afterwards with one of the roots that are known already."  # fmt: skip


def text_of(formula: str, engine: str = "blocks") -> str:
    page = PAGE.format(AFTER, f"{BEFORE} {formula} {AFTER}", AFTER.upper())
    found = extract_html(page.encode(), config=ExtractConfig(engine=engine))
    assert isinstance(found, Extracted)
    return found.text


@pytest.mark.parametrize("form", FORMS)
def test_each_form(form: str) -> None:
    formula, expected = FORMS[form]
    assert f"{BEFORE} {expected} {AFTER}" in " ".join(text_of(formula).split())


@pytest.mark.parametrize("engine", ["combined", "resiliparse", "trafilatura"])
def test_other_engines_get_it_too(engine: str) -> None:
    text = text_of(FORMS["katex"][0], engine)
    assert rf"\({QUADRATIC}\)" in text
    assert "2a−b" not in text


def test_hostile_formulas_are_only_text() -> None:
    for formula in (
        "<math>" * 400 + "x" + "</math>" * 400,
        "<math>" + "<mfrac>" * 300 + "x",
        "<span class=katex>" * 300 + "<math></math>",
        '<div class="MathJax_Display"><span class="MathJax">a</span></div>' * 50,
        '<math alttext=""></math><script type="math/tex"></script><img class=latex alt>',
    ):
        assert "Whoever" in text_of(formula)


@pytest.mark.parametrize("name", ["katex", "MathJax", "mwe-math-element"])
def test_an_article_with_such_a_class_is_kept(name: str) -> None:
    formulas = WITH_TEX + "and" + WITH_TEX + '<script type="math/tex">y</script>'
    page = PAGE.format(AFTER, f"{BEFORE} {formulas} {AFTER}", AFTER * 60).replace(
        "<article>", f'<article class="{name}">'
    )
    found = extract_html(page.encode(), config=ExtractConfig())
    assert isinstance(found, Extracted)
    assert f"{BEFORE} \\({QUADRATIC}\\)and\\({QUADRATIC}\\)\\(y\\) {AFTER}" in found.text


def test_prose_about_prices_is_left_alone() -> None:
    assert "from $3 to $5 a piece" in text_of("from $3 to $5 a piece")
