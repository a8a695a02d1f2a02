"""HTML pages with all that surrounds the text of real ones: menus, sidebars, breadcrumbs, notices, footers.

A `Theme` decides how the furniture looks and reads; the same article under two themes is what a
mirror is to its original.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from jobs.demo.library import Article, Section
from jobs.demo.prose import Block, Code, Definitions, Heading, Items, Paragraph

_TICKS = re.compile(r"`([^`]+)`")
Link = tuple[str, str]  # address, text


@dataclass(frozen=True, slots=True, kw_only=True)
class Theme:
    """The looks of one host: names in its menus, the order of its boxes, its notices."""

    name: str
    strapline: str
    cookie_notice: str
    footer: str
    menu: tuple[Link, ...]
    sidebar_first: bool = True
    content_tag: str = "main"


def page(
    theme: Theme, *, title: str, body: str, crumbs: Sequence[Link] = (), sidebar: Sequence[Link] = (),
    related: Sequence[Link] = (), head: str = "", language: str = "en",
) -> str:  # fmt: skip
    """A whole page around `body`."""
    side = _sidebar(sidebar) if sidebar else ""
    inner = f"{_crumbs(crumbs)}<article>{body}</article>{_related(related)}"
    content = f'<{theme.content_tag} class="content">{inner}</{theme.content_tag}>'
    columns = side + content if theme.sidebar_first else content + side
    return (
        f'<!DOCTYPE html>\n<html lang="{language}">\n<head><meta charset="utf-8"><title>{escape(title)} | '
        f"{escape(theme.name)}</title>"
        f'<meta name="viewport" content="width=device-width">{head}<link rel="stylesheet" href="/static/site.css">'
        "</head>\n<body>\n"
        f'<header><div class="brand"><a href="/">{escape(theme.name)}</a><p>{escape(theme.strapline)}</p></div>'
        f'<nav class="menu"><ul>{_links(theme.menu)}</ul></nav>'
        '<form action="/search" method="get"><input name="q" placeholder="Search the shelf"><button>Search</button>'
        "</form></header>\n"
        f'<div class="cookie-banner" role="dialog"><p>{escape(theme.cookie_notice)}</p><button>Accept all</button>'
        "<button>Settings</button></div>\n"
        f'<div class="columns">{columns}</div>\n'
        f"<footer><nav><ul>{_links(theme.menu)}</ul></nav><p>{escape(theme.footer)}</p>"
        '<ul class="social"><li>Share</li><li>Print</li><li>Subscribe to the newsletter</li></ul></footer>\n</body>'
        "\n</html>\n"
    )


def _links(links: Iterable[Link]) -> str:
    return "".join(f'<li><a href="{escape(address)}">{escape(text)}</a></li>' for address, text in links)


def _sidebar(links: Sequence[Link]) -> str:
    promotion = '<div class="promo">Write for us</div>'
    return f'<aside class="sidebar"><h4>In this section</h4><ul>{_links(links)}</ul>{promotion}</aside>'


def _crumbs(crumbs: Sequence[Link]) -> str:
    return f'<ol class="breadcrumb">{_links(crumbs)}</ol>' if crumbs else ""


def _related(links: Sequence[Link]) -> str:
    return (
        f'<section class="related-links"><h4>You may also like</h4><ul>{_links(links)}</ul></section>' if links else ""
    )


def article_body(article: Article, *, listing: str = "") -> str:
    """The text of an article; code with braces is only linked, to the page `listing`."""
    sections = "\n".join(_section(section, first=number == 0) for number, section in enumerate(article.sections))
    more = (
        f'<p class="more"><a href="{listing}">Show the full code listing</a></p>' if listing and article.listing else ""
    )
    return f"<h1>{escape(article.title)}</h1>\n{sections}{more}"


def _section(section: Section, *, first: bool) -> str:
    heading = "" if first and not section.signature else f"<h2>{escape(section.name)}</h2>"
    signature = (
        f'<pre class="signature">{escape(section.signature)}</pre>'
        if section.signature and "{" not in section.signature
        else ""
    )
    return heading + signature + "\n".join(_block(block) for block in section.blocks)


def _block(block: Block) -> str:
    match block:
        case Paragraph(text):
            return f"<p>{inline(text)}</p>"
        case Heading(text):
            return f"<h3>{inline(text)}</h3>"
        case Items(entries):
            return "<ul>" + "".join(f"<li>{inline(entry)}</li>" for entry in entries) + "</ul>"
        case Definitions(rows):
            cells = "".join(
                f"<tr><th>{inline(name)}</th><td>{inline(kind)}</td><td>{inline(meaning)}</td></tr>"
                for name, kind, meaning in rows
            )
            return f'<table class="parameters"><tbody>{cells}</tbody></table>'
        case Code(text):
            return f'<pre class="code"><code>{escape(text)}</code></pre>'


def inline(text: str) -> str:
    """A line of prose with code between backticks."""
    return _TICKS.sub(r"<code>\1</code>", escape(text, quote=False))


def listing_body(article: Article) -> str:
    """The code of an article that its own page does not show, and nothing else."""
    codes = "".join(f"<pre><code>{escape(code)}</code></pre>" for code in article.listing)
    return f"<h1>Listing: {escape(article.title)}</h1>{codes}"
