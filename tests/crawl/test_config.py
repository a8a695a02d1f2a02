from typing import Any

import pytest

from pipeline.crawl.config import CrawlConfig, LimitsConfig, PolitenessConfig, ScopeConfig, TrapsConfig
from pipeline.errors import SettingError
from tests.crawl.crawling import AGENT


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"seeds": ("http://a.example/",)}, "crawl.user_agent is ''"),
        ({"seeds": ("http://a.example/",), "user_agent": "bot/1.0 (bot@example.org)"}, "a page about the crawler"),
        ({"seeds": ("http://a.example/",), "user_agent": "bot/1.0 (+https://example.org/)"}, "a mail address"),
        (
            {"seeds": ("http://a.example/",), "user_agent": "9bot (+https://example.org/; a@example.org)"},
            "product token",
        ),
        ({"seeds": ("http://a.example/",), "user_agent": "bot (+https://example.org/; a@example.org) é"}, "ASCII"),
        ({"seeds": ("a.example",), "user_agent": AGENT}, "crawl.seeds holds 'a.example'"),
        ({"shards": 0}, "crawl.shards is 0; allowed is 1 or more"),
        ({"ports": (80, 70_000)}, "crawl.ports holds 70000; allowed is 1 to 65535"),
        ({"allow_private_hosts": ("host:http",)}, "crawl.allow_private_hosts holds 'host:http'"),
        ({"allow_private_hosts": ("http://localhost:8000",)}, "holds 'http://localhost:8000'; expected host"),
        ({"allow_private_hosts": ("localhost:99999",)}, "holds 'localhost:99999'; expected host"),
        ({"allow_private_hosts": ("localhost:²",)}, "holds 'localhost:²'; expected host"),
        ({"allow_private_hosts": ("10.0.0.0/33",)}, "holds '10.0.0.0/33'; expected host"),
        ({"allow_private_hosts": ("",)}, "holds ''; expected host"),
        ({"addresses": {"http://a.test/": "192.0.2.1"}}, "crawl.addresses names 'http://a.test/', which is no name"),
        ({"source": "two words"}, "crawl.source 'two words' is not a label"),
        ({"max_pages": 0}, "crawl.max_pages is 0"),
        ({"robots_cache_seconds": 90_000.0}, r"allowed is 0 to 86400 \(RFC 9309\)"),
        ({"addresses": {"a.test": "localhost"}}, "crawl.addresses gives a.test the address 'localhost'"),
    ],
)
def test_refuses(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence):
        CrawlConfig(**settings)


@pytest.mark.parametrize(
    ("table", "settings", "sentence"),
    [
        (PolitenessConfig, {"delay_seconds": -1.0}, "crawl.politeness.delay_seconds is -1.0; allowed is 0 or more"),
        (
            PolitenessConfig,
            {"delay_seconds": float("nan")},
            "crawl.politeness.delay_seconds is nan; allowed is 0 or more",
        ),
        (LimitsConfig, {"total_seconds": float("inf")}, "crawl.limits.total_seconds is inf"),
        (LimitsConfig, {"robots_bytes": 1000}, "RFC 9309 asks for at least 512000"),
        (LimitsConfig, {"links": 0}, "crawl.limits.links is 0"),
        (ScopeConfig, {"include": ("(",)}, r"crawl.scope.include holds '\('"),
        (ScopeConfig, {"max_depth": -1}, "crawl.scope.max_depth is -1"),
        (TrapsConfig, {"first_year": 2040}, "crawl.traps.first_year is 2040, after last_year"),
    ],
)
def test_refuses_in_sub_tables(table: type, settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence):
        table(**settings)


def test_agent_token() -> None:
    assert CrawlConfig(user_agent="my-bot (+https://example.org/bot; a@example.org)").agent_token == "my-bot"
    assert CrawlConfig(user_agent=AGENT).agent_token == "testbot"
