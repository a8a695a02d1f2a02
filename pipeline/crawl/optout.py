"""The wishes of a site not to be used for AI training: what its robots.txt and its `/.well-known/tdmrep.json` say.

What a page says itself is in `pipeline.optout`. Here, too, pure functions give a signal, or an empty text where nothing
objects. Sources: RFC 9309, and those named there.
"""

import json
from collections.abc import Sequence
from typing import NamedTuple

from pipeline.crawl.config import OptOutConfig
from pipeline.crawl.robots import Group, Robots, pattern_matches
from pipeline.optout import NO, TRAINING, lowered, statement

TDM_PATH = "/.well-known/tdmrep.json"


class TdmRule(NamedTuple):
    """One rule of a tdmrep.json: for which paths the rights to mine text and data are reserved, or are not."""

    location: str
    reserved: bool


def robots_signal(robots: Robots, agent: str, target: str, config: OptOutConfig) -> str:
    """The signal in robots.txt that keeps `target` (path and query) out, or an empty text."""
    refused = robots.agent_that_is_refused(config.robots_agents, target)
    if refused:
        return f"robots:{refused}"
    named = lowered(config.robots_agents)
    groups = [
        robots.preamble,
        *robots.groups_for(agent),
        *(group for group in robots.groups if group.names_one_of(named)),
    ]
    groups = [group for group in groups if group.content_signals or group.content_usages]
    if config.content_signal and _most_specific(groups, "content_signals", "ai-train", target) in NO:
        return "content-signal:ai-train=no"
    for key in TRAINING if config.content_usage else ():
        if _most_specific(groups, "content_usages", key, target) in NO:
            return f"content-usage:{key}=n"
    return ""


def _most_specific(groups: Sequence[Group], name: str, key: str, target: str) -> str:
    """The value of `key` on the line with the longest path that matches `target`, `no` before `yes`; a line may start with a path."""
    best_length, best = -1, ""
    for group in groups:
        for line in getattr(group, name):
            path, statements = _path_and_statements(line)
            value = statement(statements, key)
            longer = len(path) > best_length or (len(path) == best_length and value.startswith("n"))
            if value and longer and (not path or pattern_matches(path, target)):
                best_length, best = len(path), value
    return best


def _path_and_statements(line: str) -> tuple[str, str]:
    path, space, rest = line.partition(" ")
    return (path, rest) if path.startswith("/") and space else ("", line)


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
