"""Published lists of addresses, line by line: plain domains, hosts files, and the rules of ad blockers about whole domains.

    bad.example   *.bad.example   0.0.0.0 bad.example www.bad.example   ||bad.example^   ||bad.example^$document

`#` and `!` begin comments. Other rules of ad blockers are about paths, about elements of pages, about requests from other
sites, or exceptions from these: none says that every page of a domain is refused, so they are counted and left out.
"""

import re
from collections.abc import Iterator
from ipaddress import ip_address
from typing import NamedTuple

# What lines that are left out are, in the order in which they are told.
PATH, ELEMENT, EXCEPTION, CONDITION, OTHER = KINDS = (
    "paths or parts of addresses", "elements of pages", "exceptions", "under conditions", "of no known form",
)  # fmt: skip
# Hosts files begin with the names of the machine itself.
_OWN_NAMES = frozenset(("localhost.localdomain", "0.0.0.0"))
_USUAL_TARGETS = frozenset(("0.0.0.0", "127.0.0.1", "::", "::1"))
# Options of a rule under which it still refuses the page itself.
_WHOLE_PAGE = frozenset(("all", "document", "doc", "important"))
_HIDES_ELEMENTS = re.compile(r"[^\s#/]*#[@?$%]*##?[^\s#]")
_COMMENT_BEHIND = re.compile(r"\s#.*")
_OF_DOMAIN = re.compile(r"\|\|(?:\*\.)?([\w.-]+|\[[0-9A-Fa-f:.]+\])\^\|?(?:\$(.*))?")
_HOST = re.compile(r"(?:[^\W_][\w-]*(?:\.[\w-]+)+|\[[0-9A-Fa-f:.]+\])(?::\d+)?")
_DOTS = str.maketrans("。．｡", "...")


class Line(NamedTuple):
    """The addresses that a line lists, or why it lists none: one of `KINDS`, empty for comments."""

    entries: tuple[str, ...] = ()
    left_out: str = ""


def lines_of(text: str, *, whole_domains: bool) -> Iterator[Line]:
    """What each line of a list says: with `whole_domains` domains, else addresses with paths."""
    read = domains_of_line if whole_domains else addresses_of_line
    return map(read, text.split("\n"))


def domains_of_line(line: str) -> Line:
    """The domains that a line lists, as written there but without what marks them."""
    entry = line.strip()
    if _HOST.fullmatch(entry):  # nearly all lines of nearly all lists
        return Line((entry,))
    if _is_comment(entry):
        return Line()
    if left_out := _rule_for_pages(entry):
        return Line(left_out=left_out)
    entry = _COMMENT_BEHIND.sub("", entry)
    first, *names = entry.split()
    if names:
        return Line(tuple(filter(_is_other_host, names))) if _is_target(first) else Line(left_out=OTHER)
    if found := _OF_DOMAIN.fullmatch(entry):
        options = set((found[2] or "important").split(","))
        return Line((found[1],)) if options <= _WHOLE_PAGE else Line(left_out=CONDITION)
    bare = re.sub(r"^(?:https?://)?(?:\*?\.)?", "", entry, flags=re.IGNORECASE).rstrip("./")
    if _HOST.fullmatch(bare.translate(_DOTS)):
        return Line((bare,))
    return Line(left_out=PATH if "/" in bare or entry[0] in "/|&-_" else OTHER)


def addresses_of_line(line: str) -> Line:
    """The address that a line lists, with its path."""
    entry = line.strip()
    if _is_comment(entry):
        return Line()
    if left_out := _rule_for_pages(entry):
        return Line(left_out=left_out)
    if entry[0] == "|" or "^" in entry or len(entry.split()) > 1:
        return Line(left_out=PATH if "/" in entry else OTHER)
    return Line((entry,))


def _is_comment(entry: str) -> bool:
    if not entry or entry[0] == "!" or (entry[0] == "[" and entry.lower().startswith("[adblock")):
        return True
    return entry[0] == "#" and not _HIDES_ELEMENTS.match(entry)


def _rule_for_pages(entry: str) -> str:
    """What a rule is that says what is shown on a page and what is not asked of it."""
    if entry.startswith("@@"):
        return EXCEPTION
    return ELEMENT if _HIDES_ELEMENTS.match(entry) else ""


def _is_target(field: str) -> bool:
    """Whether a field is the address that a hosts file gives a name."""
    if field in _USUAL_TARGETS:
        return True
    try:
        ip_address(field.partition("%")[0])
    except ValueError:
        return False
    return True


def _is_other_host(name: str) -> bool:
    return "." in name and name not in _OWN_NAMES
