"""The wishes of a page not to be used for AI training, and not to be indexed: what its response headers and meta elements say.

Pure functions from them to a signal: a short name that goes into the ledger, or an empty text where nothing objects.
Absence of a statement is no objection. A crawl and the ingest of archives go by the same functions.

Sources: Content Signals Policy (contentsignals.org); IETF draft-ietf-aipref-attach and -vocab (`Content-Usage`);
X-Robots-Tag and robots meta as search engines document them; TDM Reservation Protocol (W3C Community Group, final
report of 2024-05-10).
"""

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass

# Robots tokens of crawlers that gather training data: a group that names one speaks to all who do.
AI_AGENTS = (
    "AI2Bot",
    "Amazonbot",
    "anthropic-ai",
    "Applebot-Extended",
    "Bytespider",
    "CCBot",
    "ClaudeBot",
    "Claude-Web",
    "cohere-ai",
    "cohere-training-data-crawler",
    "Diffbot",
    "FacebookBot",
    "Google-CloudVertexBot",
    "Google-Extended",
    "GPTBot",
    "ICC-Crawler",
    "img2dataset",
    "meta-externalagent",
    "omgili",
    "omgilibot",
    "PanguBot",
    "Timpibot",
    "webzio-extended",
)

HEADERS = frozenset({"x-robots-tag", "content-signal", "content-usage", "tdm-reservation"})
TRAINING = ("train-ai", "train-genai")  # the second, of generative models alone, was in draft-ietf-aipref-vocab-02
NO = ("n", "no")  # one signal is spelt with the first, the other with the second; sites mix them up
_AGENT_AND_RULES = re.compile(r"\s*([^\s:/]+)(?:/[^\s:]*)?\s*:\s*(.*)", re.DOTALL)
_BETWEEN_RULES = re.compile(r"[,;\s]+")
_RULES_WITH_VALUES = frozenset({"max-snippet", "max-image-preview", "max-video-preview", "unavailable_after"})


@dataclass(frozen=True, kw_only=True)
class PageOptOuts:
    """Which wishes not to be used for AI training (or not to be indexed) keep a page out."""

    robots_agents: tuple[str, ...] = AI_AGENTS  # rules that address any of these by name speak to us
    content_signal: bool = True  # Content-Signal: ai-train=no
    content_usage: bool = True  # Content-Usage: train-ai=n or train-genai=n
    noai: bool = True  # X-Robots-Tag or meta robots: noai
    noml: bool = True  # the same: noml
    noindex: bool = True  # the same: noindex or none
    tdm_reservation: bool = True  # TDMRep: tdm-reservation
    other_agents: bool = False  # X-Robots-Tag and meta rules that address some other crawler by name count too


def header_signal(headers: Iterable[tuple[str, str]], agent: str, config: PageOptOuts) -> str:
    """The signal in response headers that keeps the page out, or an empty text. Names are in lower case."""
    headers = list(headers)
    for name, value in headers:
        if name == "content-signal" and config.content_signal and statement(value, "ai-train") in NO:
            return "header:content-signal:ai-train=no"
        for key in TRAINING if name == "content-usage" and config.content_usage else ():
            if statement(value, key) in NO:
                return f"header:content-usage:{key}=n"
        if name == "tdm-reservation" and config.tdm_reservation and _reserves(value):
            return "header:tdm-reservation"
    signal = rules_signal(header_rules(headers, agent, config), config)
    return f"header:{signal}" if signal else ""


def _reserves(value: str) -> bool:
    """Whether a value of `tdm-reservation` reserves the rights; of a header sent twice, both values may be in it."""
    return "1" in {part.strip() for part in value.split(",")}


def header_rules(headers: Iterable[tuple[str, str]], agent: str, config: PageOptOuts) -> set[str]:
    """The robots rules in all `X-Robots-Tag` headers that speak to `agent`."""
    rules: set[str] = set()
    for name, value in headers:
        if name == "x-robots-tag":
            rules |= _tag_rules(value, agent, config)
    return rules


def _tag_rules(value: str, agent: str, config: PageOptOuts) -> set[str]:
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


def _means_us(name: str, agent: str, config: PageOptOuts) -> bool:
    name = name.strip().lower()
    if name in _names(agent, config.robots_agents):
        return True
    return config.other_agents and name.endswith("bot")


def _names(agent: str, others: tuple[str, ...]) -> frozenset[str]:
    """The names under which rules speak to us."""
    return lowered(("robots", "*", agent, *others))


@functools.lru_cache(maxsize=8)
def lowered(names: tuple[str, ...]) -> frozenset[str]:
    """`names` in lower case."""
    return frozenset(name.lower() for name in names)


def meta_signal(metas: Iterable[tuple[str, str]], agent: str, config: PageOptOuts) -> str:
    """The signal in the meta elements of a page, given as (name, content), that keeps it out, or an empty text."""
    metas = list(metas)
    for name, content in metas:
        if name.strip().lower() == "tdm-reservation" and config.tdm_reservation and _reserves(content):
            return "meta:tdm-reservation"
    signal = rules_signal(meta_rules(metas, agent, config), config)
    return f"meta:{signal}" if signal else ""


def meta_rules(metas: Iterable[tuple[str, str]], agent: str, config: PageOptOuts) -> set[str]:
    """The robots rules in the meta elements that speak to `agent`."""
    spoken = [content for name, content in metas if _means_us(name, agent, config)]
    return {rule.lower() for content in spoken for rule in _BETWEEN_RULES.split(content) if rule}


def rules_signal(rules: set[str], config: PageOptOuts) -> str:
    """The first of the robots `rules` that keeps a page out, or an empty text."""
    if config.noai and "noai" in rules:
        return "noai"
    if config.noml and "noml" in rules:
        return "noml"
    if config.noindex and not rules.isdisjoint({"noindex", "none"}):
        return "noindex"
    return ""


def statement(statements: str, key: str) -> str:
    """The value of `key` in `a=b, c=d`, in lower case; of several, one that refuses."""
    parts = [part.partition("=") for part in re.split(r"[,;]", statements)]
    values = [value.strip().lower() for name, equals, value in parts if equals and name.strip().lower() == key]
    return next((value for value in values if value.startswith("n")), values[0] if values else "")
