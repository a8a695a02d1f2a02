"""robots.txt by RFC 9309: parsing, matching, and what each way of not getting one means.

Pure: no network, no clock. Where the RFC leaves room, this follows Google's parser (misspelt keys,
a missing colon), with two exceptions: the last one of several equal `Crawl-delay` lines counts, and a
`Crawl-delay` line ends a run of `User-agent` lines, because sites write `User-agent: * / Crawl-delay: 10 /
User-agent: Bad / Disallow: /` and mean only the bad one.
"""

import functools
import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

_KEYS = {
    "user-agent": "user-agent", "useragent": "user-agent", "user agent": "user-agent",
    "allow": "allow",
    "disallow": "disallow", "dissallow": "disallow", "dissalow": "disallow", "disalow": "disallow", "diasllow": "disallow", "disallaw": "disallow",
    "crawl-delay": "crawl-delay", "crawldelay": "crawl-delay",
    "sitemap": "sitemap", "site-map": "sitemap",
    "content-signal": "content-signal",
    "content-usage": "content-usage",
}  # fmt: skip
_LINE_BYTES = 16_663  # longer lines are cut, as Google does; the cut rule still counts
_BLANKS = " \t\v\f\0\xa0\udca0\ufeff"  # around keys and values; the last but one is a no-break space in Latin-1
_NUM_RULES = 20_000  # of one file; a match looks at each rule of a group
_TOKEN = re.compile(r"[A-Za-z_-]+")
_WORD = re.compile(r"[^\s/]+")
_NUMBER = re.compile(r"(?:[0-9]{1,12}(?:[.,][0-9]*)?|[.,][0-9]+)(?![0-9])")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNSAFE = re.compile(r'[^!-~]|["<>\\^`{|}]')  # RFC 3986: in no URL but escaped
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")

Access = Literal["parse", "allow", "defer", "disallow"]


class Rule(NamedTuple):
    """One allow or disallow line. `pieces` are the texts between the wildcards of its pattern."""

    allow: bool
    length: int
    pieces: tuple[str, ...]
    anchored: bool

    def matches(self, target: str) -> bool:
        """Whether the pattern matches `target`, path and query, from its start. Linear in the length of `target`."""
        first = self.pieces[0]
        if not target.startswith(first):
            return False
        position = len(first)
        for piece in self.pieces[1:-1]:
            found = target.find(piece, position)
            if found < 0:
                return False
            position = found + len(piece)
        last = self.pieces[-1]
        if len(self.pieces) == 1:
            return not self.anchored or len(target) == position
        if self.anchored:
            return len(target) - len(last) >= position and target.endswith(last)
        return target.find(last, position) >= 0


@dataclass(slots=True)
class Group:
    """What a file says to the agents that it names together."""

    tokens: set[str] = field(default_factory=set)  # by the RFC: letters, hyphens, underscores
    words: set[str] = field(default_factory=set)  # up to the first space or slash, for names with digits
    everybody: bool = False
    rules: list[Rule] = field(default_factory=list)
    crawl_delay: float | None = None
    content_signals: list[str] = field(default_factory=list)
    content_usages: list[str] = field(default_factory=list)
    _by_start: dict[str, list[Rule]] = field(
        default_factory=dict, repr=False, compare=False
    )  # the rules, once they are looked for
    _lengths: list[int] = field(default_factory=list, repr=False, compare=False)  # of those starts

    def rules_for(self, target: str) -> Iterator[Rule]:
        """The rules that `target` agrees with up to their first wildcard: of hundreds few, at a look-up for each length."""
        if not self._by_start:
            for rule in self.rules:
                self._by_start.setdefault(rule.pieces[0], []).append(rule)
            self._lengths = sorted({len(start) for start in self._by_start})
        for length in self._lengths:
            if length > len(target):
                return
            yield from self._by_start.get(target[:length], ())

    def names_one_of(self, names: Set[str]) -> bool:
        """Whether the group names one of these agents, in lower case."""
        return not (self.tokens.isdisjoint(names) and self.words.isdisjoint(names))


@dataclass(slots=True)
class Robots:
    """A parsed robots.txt."""

    groups: list[Group] = field(default_factory=list)
    preamble: Group = field(default_factory=Group)  # what stands before any group; wishes there speak to everybody
    sitemaps: list[str] = field(default_factory=list)
    _by_name: dict[str, list[Group]] = field(default_factory=dict, repr=False, compare=False)  # once somebody asks

    def groups_for(self, agent: str) -> list[Group]:
        """The groups that speak to `agent`: those that name it, or else those for everybody."""
        return self.groups_naming(agent) or [group for group in self.groups if group.everybody]

    def groups_naming(self, agent: str) -> list[Group]:
        """The groups that name `agent`."""
        if not self._by_name:
            for group in self.groups:
                for name in group.tokens | group.words:
                    self._by_name.setdefault(name, []).append(group)
        return self._by_name.get(agent.lower(), [])

    def allows(self, agent: str, target: str) -> bool:
        """Whether `agent` may fetch `target`, path and query of a canonical URL."""
        return target.partition("?")[0] == "/robots.txt" or allowed(self.groups_for(agent), target)

    def crawl_delay(self, agent: str) -> float | None:
        """The seconds that `agent` is asked to wait between requests."""
        delays = [group.crawl_delay for group in self.groups_for(agent) if group.crawl_delay is not None]
        return max(delays, default=None)

    def agent_that_is_refused(self, agents: Sequence[str], target: str) -> str:
        """The first of `agents` that a group of its own forbids `target`, or an empty text."""
        for agent in agents:
            groups = self.groups_naming(agent)
            if groups and not allowed(groups, target):
                return agent
        return ""


def allowed(groups: Sequence[Group], target: str) -> bool:
    """Whether the rules of `groups` together allow `target`: the longest match decides, allow wins a tie."""
    target = _comparable(target)
    best_length, best_allow = -1, True
    for group in groups:
        for rule in group.rules_for(target):
            if rule.length < best_length or (rule.length == best_length and best_allow) or not rule.matches(target):
                continue
            best_length, best_allow = rule.length, rule.allow
    return best_allow


def pattern_matches(pattern: str, target: str) -> bool:
    """Whether a pattern written as in robots.txt matches `target`."""
    return _rule(False, pattern).matches(_comparable(target))


def access(status: int | None, *, forbidden: Literal["allow", "disallow"] = "allow") -> Access:
    """What the status of the answer to a request for robots.txt means; None is a failure of the network.

    `defer` means that everything is disallowed for now (RFC 9309, 2.3.1.4) and the site is asked again later.
    """
    if status is None or status == 429 or status >= 500 or status < 200:
        return "defer"
    if status in (401, 403):
        return forbidden
    return "parse" if status < 300 else "allow"


def parse(content: bytes) -> Robots:
    """The rules in the body of a robots.txt, whatever it holds: nothing raises."""
    robots, group, in_rules, num_rules = Robots(), Group(), True, 0
    for key, value in _lines(content):
        if key == "user-agent":
            if in_rules:
                group, in_rules = Group(), False
                robots.groups.append(group)
            _name(group, value)
        elif key == "sitemap":
            robots.sitemaps.append(value)
        elif key == "content-signal":
            (group if robots.groups else robots.preamble).content_signals.append(value)
        elif key == "content-usage":
            (group if robots.groups else robots.preamble).content_usages.append(value)
        elif not robots.groups:
            continue  # rules before any group address nobody
        elif key == "crawl-delay":
            in_rules = True
            group.crawl_delay = _seconds(value, group.crawl_delay)
        else:
            in_rules = True
            num_rules += 1
            if value and num_rules <= _NUM_RULES:
                group.rules.extend(_rules(key == "allow", value))
    return robots


def _lines(content: bytes) -> Iterator[tuple[str, str]]:
    """The known keys of a file with their values, in order."""
    for raw in re.split(rb"[\r\n]+", _utf8(content)):
        line = raw[:_LINE_BYTES].partition(b"#")[0].decode("utf-8", "surrogateescape").strip(_BLANKS)
        name, colon, value = line.partition(":")
        if not colon:
            name, _, value = line.replace("\t", " ").partition(" ")
        key = _KEYS.get(name.strip(_BLANKS).lower())
        if key:
            yield key, value.strip(_BLANKS)


def _utf8(content: bytes) -> bytes:
    """`content` without its byte order mark, from UTF-16 where the mark says so."""
    for mark, charset in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if content.startswith(mark):
            return content[2:].decode(charset, "replace").encode("utf-8", "replace")
    return content.removeprefix(b"\xef\xbb\xbf")


def _name(group: Group, value: str) -> None:
    if value == "*" or re.match(r"\*\s", value):
        group.everybody = True
        return
    token, word = _TOKEN.match(value), _WORD.match(value)
    if token:
        group.tokens.add(token[0].lower())
    if word:
        group.words.add(word[0].lower())


def _seconds(value: str, before: float | None) -> float | None:
    """The number that `value` starts with, whatever unit stands behind it; `before` if there is none."""
    number = _NUMBER.match(value)
    return float(number[0].replace(",", ".")) if number else before


def _rule(allow: bool, value: str) -> Rule:
    """The rule of one line. Its length, in octets, is that of the pattern as it is compared."""
    pattern = _normal(value if value.startswith(("/", "*")) else "/" + value)
    pattern = re.sub(r"\*+", "*", pattern)
    anchored = pattern.endswith("$")
    pieces = tuple(piece.replace("$", "%24") for piece in pattern.removesuffix("$").split("*"))
    return Rule(allow, len(pattern), pieces, anchored)


def _rules(allow: bool, value: str) -> Iterator[Rule]:
    """The rule of one line; to allow the index file of a folder also allows the folder itself (as Google does)."""
    yield _rule(allow, value)
    folder, slash, name = value.rpartition("/")
    if allow and slash and name.startswith("index.htm"):
        yield _rule(allow, folder + "/$")


@functools.lru_cache(maxsize=16)  # a URL is compared with the rules of several agents
def _comparable(target: str) -> str:
    """`target` in normal form; wildcards are in patterns only, so their characters are escaped here."""
    return _normal(target).replace("*", "%2A").replace("$", "%24")


def _normal(text: str) -> str:
    """`text` with its escapes in one form: reserved, unsafe and non-ASCII octets escaped in upper case, others plain."""
    return _ESCAPE.sub(_one_escape, _UNSAFE.sub(_escaped, text))


def _escaped(match: re.Match[str]) -> str:
    return "".join(f"%{octet:02X}" for octet in match[0].encode("utf-8", "surrogateescape"))


def _one_escape(match: re.Match[str]) -> str:
    character = chr(int(match[1], 16))
    return character if character in _PLAIN else match[0].upper()
