"""The wishes of a site not to be used for AI training, and not to be indexed or followed.

Pure functions from what robots.txt, response headers, HTML meta elements and `/.well-known/tdmrep.json`
say to a signal: a short name that goes into the ledger, or an empty text where nothing objects. Absence
of a statement is no objection.

Sources: RFC 9309; Content Signals Policy (contentsignals.org); IETF draft-ietf-aipref-attach and
-vocab (`Content-Usage`); X-Robots-Tag and robots meta as search engines document them; TDM Reservation
Protocol (W3C Community Group, final report of 2024-05-10).
"""

import functools
import json
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pipeline.crawl.config import OptOutConfig
from pipeline.crawl.robots import Group, Robots, pattern_matches

HEADERS = frozenset({"x-robots-tag", "content-signal", "content-usage", "tdm-reservation"})
TDM_PATH = "/.well-known/tdmrep.json"
_TRAINING = ("train-ai", "train-genai")  # the second, of generative models alone, was in draft-ietf-aipref-vocab-02
_NO = ("n", "no")  # one signal is spelt with the first, the other with the second; sites mix them up
_AGENT_AND_RULES = re.compile(r"\s*([^\s:/]+)(?:/[^\s:]*)?\s*:\s*(.*)", re.DOTALL)
_BETWEEN_RULES = re.compile(r"[,;\s]+")
_RULES_WITH_VALUES = frozenset({"max-snippet", "max-image-preview", "max-video-preview", "unavailable_after"})


class TdmRule(NamedTuple):
    """One rule of a tdmrep.json: for which paths the rights to mine text and data are reserved, or are not."""

    location: str
    reserved: bool


def robots_signal(robots: Robots, agent: str, target: str, config: OptOutConfig) -> str:
    """The signal in robots.txt that keeps `target` (path and query) out, or an empty text."""
    refused = robots.agent_that_is_refused(config.robots_agents, target)
    if refused:
        return f"robots:{refused}"
    named = _lowered(config.robots_agents)
    groups = [
        robots.preamble,
        *robots.groups_for(agent),
        *(group for group in robots.groups if group.names_one_of(named)),
    ]
    groups = [group for group in groups if group.content_signals or group.content_usages]
    if config.content_signal and _most_specific(groups, "content_signals", "ai-train", target) in _NO:
        return "content-signal:ai-train=no"
    for key in _TRAINING if config.content_usage else ():
        if _most_specific(groups, "content_usages", key, target) in _NO:
            return f"content-usage:{key}=n"
    return ""


def _most_specific(groups: Sequence[Group], name: str, key: str, target: str) -> str:
    """The value of `key` on the line with the longest path that matches `target`, `no` before `yes`; a line may start with a path."""
    best_length, best = -1, ""
    for group in groups:
        for line in getattr(group, name):
            path, statements = _path_and_statements(line)
            value = _statement(statements, key)
            longer = len(path) > best_length or (len(path) == best_length and value.startswith("n"))
            if value and longer and (not path or pattern_matches(path, target)):
                best_length, best = len(path), value
    return best


def _path_and_statements(line: str) -> tuple[str, str]:
    path, space, rest = line.partition(" ")
    return (path, rest) if path.startswith("/") and space else ("", line)


def _statement(statements: str, key: str) -> str:
    """The value of `key` in `a=b, c=d`, in lower case; of several, one that refuses."""
    parts = [part.partition("=") for part in re.split(r"[,;]", statements)]
    values = [value.strip().lower() for name, equals, value in parts if equals and name.strip().lower() == key]
    return next((value for value in values if value.startswith("n")), values[0] if values else "")


def header_signal(headers: Iterable[tuple[str, str]], agent: str, config: OptOutConfig) -> str:
    """The signal in response headers that keeps the page out, or an empty text. Names are in lower case."""
    headers = list(headers)
    for name, value in headers:
        if name == "content-signal" and config.content_signal and _statement(value, "ai-train") in _NO:
            return "header:content-signal:ai-train=no"
        for key in _TRAINING if name == "content-usage" and config.content_usage else ():
            if _statement(value, key) in _NO:
                return f"header:content-usage:{key}=n"
        if name == "tdm-reservation" and config.tdm_reservation and _reserves(value):
            return "header:tdm-reservation"
    signal = rules_signal(header_rules(headers, agent, config), config)
    return f"header:{signal}" if signal else ""


def _reserves(value: str) -> bool:
    """Whether a value of `tdm-reservation` reserves the rights; of a header sent twice, both values may be in it."""
    return "1" in {part.strip() for part in value.split(",")}


def header_rules(headers: Iterable[tuple[str, str]], agent: str, config: OptOutConfig) -> set[str]:
    """The robots rules in all `X-Robots-Tag` headers that speak to `agent`."""
    rules: set[str] = set()
    for name, value in headers:
        if name == "x-robots-tag":
            rules |= _tag_rules(value, agent, config)
    return rules


def _tag_rules(value: str, agent: str, config: OptOutConfig) -> set[str]:
    """The rules of one header. `name: rule, rule` speaks to that agent only, from there to its end."""
    speaks = True
    rules: set[str] = set()
    for part in value.split(","):
        addressed = _AGENT_AND_RULES.fullmatch(part)
        if addressed and addressed[1].lower() not in _RULES_WITH_VALUES:
            speaks = _means_us(addressed[1], agent, config)
            part = addressed[2]
        if speaks:
            rules.update(rule.lower() for rule in _BETWEEN_RULES.split(part) if rule)
    return rules


def _means_us(name: str, agent: str, config: OptOutConfig) -> bool:
    name = name.strip().lower()
    if name in _names(agent, config.robots_agents):
        return True
    return config.other_agents and name.endswith("bot")


def _names(agent: str, others: tuple[str, ...]) -> frozenset[str]:
    """The names under which rules speak to us."""
    return _lowered(("robots", "*", agent, *others))


@functools.lru_cache(maxsize=8)
def _lowered(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(name.lower() for name in names)


def meta_signal(metas: Iterable[tuple[str, str]], agent: str, config: OptOutConfig) -> str:
    """The signal in the meta elements of a page, given as (name, content), that keeps it out, or an empty text."""
    metas = list(metas)
    for name, content in metas:
        if name.strip().lower() == "tdm-reservation" and config.tdm_reservation and _reserves(content):
            return "meta:tdm-reservation"
    signal = rules_signal(meta_rules(metas, agent, config), config)
    return f"meta:{signal}" if signal else ""


def meta_rules(metas: Iterable[tuple[str, str]], agent: str, config: OptOutConfig) -> set[str]:
    """The robots rules in the meta elements that speak to `agent`."""
    spoken = [content for name, content in metas if _means_us(name, agent, config)]
    return {rule.lower() for content in spoken for rule in _BETWEEN_RULES.split(content) if rule}


def rules_signal(rules: set[str], config: OptOutConfig) -> str:
    """The first of the robots `rules` that keeps a page out, or an empty text."""
    if config.noai and "noai" in rules:
        return "noai"
    if config.noml and "noml" in rules:
        return "noml"
    if config.noindex and not rules.isdisjoint({"noindex", "none"}):
        return "noindex"
    return ""


def forbids_following(rules: set[str], config: OptOutConfig) -> bool:
    """Whether the links of the page are not to be followed."""
    return config.nofollow and not rules.isdisjoint({"nofollow", "none"})


def parse_tdm_rules(content: bytes) -> list[TdmRule]:
    """The rules of a `/.well-known/tdmrep.json`; what is not by the protocol is left out, as it asks."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return []
    entries = value if isinstance(value, list) else [value]
    rules = []
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("location"), str):
            continue
        reservation = entry.get("tdm-reservation")
        if reservation in (0, 1, "0", "1"):  # the protocol has numbers; in quotes they are as clear a wish
            rules.append(TdmRule(entry["location"], bool(int(reservation))))
    return rules


def tdm_signal(rules: Sequence[TdmRule], target: str, config: OptOutConfig) -> str:
    """The signal of tdmrep.json for `target`: the first rule whose location matches decides."""
    if config.tdm_reservation:
        for rule in rules:
            if pattern_matches(rule.location, target):
                return "tdmrep.json" if rule.reserved else ""
    return ""
