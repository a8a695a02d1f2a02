import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.urls import TRACKING_PARAMETERS, Resolver, canonical_url, registrable_domain, url_parts


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("HTTP://Example.COM:80/a/../b#frag", "http://example.com/b"),
        ("https://example.com", "https://example.com/"),
        ("https://example.com:443/?", "https://example.com/"),
        ("http://example.com/%7euser/%c3%a9", "http://example.com/~user/%C3%A9"),
        ("http://example.com/a%2fb", "http://example.com/a%2Fb"),  # a reserved character stays escaped
        ("http://example.com/%%34%31", "http://example.com/%%34%31"),  # broken escapes are the server's business
        ("http://example.com/?q=a%26b&utm_source=x&m=1", "http://example.com/?q=a%26b&m=1"),
        ("http://example.com/?UTM_Campaign=x&fbclid=y", "http://example.com/"),
        ("http://example.com/?b=2&a=1", "http://example.com/?b=2&a=1"),  # order may matter
        ("http://example.com./x", "http://example.com/x"),
        ("http://example.com.:8080/", "http://example.com:8080/"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ("http://0x7f.1/", "http://127.0.0.1/"),
        ("http://2130706433/", "http://127.0.0.1/"),
        ("http://0177.0.0.01/", "http://127.0.0.1/"),
        ("http://①②⑦.⓪.⓪.①/", "http://127.0.0.1/"),
        ("http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/"),
        ("http://example.com\\@127.0.0.1/", "http://example.com/@127.0.0.1/"),
        (" http://exam\tple.com/\n", "http://example.com/"),
    ],
)
def test_canonical_form(url: str, canonical: str) -> None:
    assert canonical_url(url) == canonical


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/x",
        "ftp://example.com/",
        "mailto:a@example.com",
        "http://",
        "http://a b/",
        "http://user:secret@example.com/",
        "http://u@x/",
    ],
)
def test_refuses_what_is_no_web_url(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        canonical_url(url)


def test_resolves_against_a_base() -> None:
    assert canonical_url("?pg=1", "http://example.com/Search.aspx?co=0") == "http://example.com/Search.aspx?pg=1"
    assert canonical_url("//other.example/x", "https://example.com/") == "https://other.example/x"


@given(
    st.text(alphabet=st.sampled_from("abcAZ09%25EeF./?&=#:@[]~;,+ é日\\\t-_"), max_size=40),
    st.sampled_from(["http://a.b/", "http://", "https://x.y/p?q="]),
)
@example("%2541", "http://a.b/")
@example("utm%5Fsource=1&a", "https://x.y/p?q=")
@example("..", "http://")
@example("a.09../", "http://")
@example("1.2.3.4./", "http://")
def test_twice_is_once(text: str, start: str) -> None:
    try:
        once = canonical_url(start + text)
    except ValueError:
        return
    assert canonical_url(once) == once
    parts = url_parts(once)
    assert parts.host
    assert once == canonical_url(parts.origin + parts.target)


PIECES = ["http://", "https://", "//", "/", "a", "b.c", ".", "..", "?", "&", "=", "#", "%", "%20", "xn--", "A", "Z:", "1", "0x", "-", ":80", ":", "@", "'", "é", " ", "\t", "\\", "~", "utm_source=1", "index.html", ";", "+", "|"]  # fmt: skip


@given(
    st.lists(st.sampled_from(PIECES), max_size=7).map("".join),
    st.sampled_from(["http://a.b/", "https://x.y:8080/p/q/r?z=1/2", "http://127.0.0.1/a/b", "http://[::1]/x/"]),
)
@example("https://a", "http://a.b/")
@example("https://1.2/", "http://a.b/")
@example("https://a.0x7f/x", "http://a.b/")
@example("a:b", "http://a.b/")
@example(".", "http://a.b/c/d")
@example("//a//b", "http://a.b/c/d")
@example("http://a.b//c", "http://a.b/")
@example("https://a.b/c/../d", "http://a.b/")
@example("https://xn--a.b/c", "http://a.b/")
@example("http://a.b/c/x.html", "http://a.b/")
def test_resolver_is_only_faster(reference: str, base: str) -> None:
    def outcome(resolve: Callable[[str], str]) -> str:
        try:
            return resolve(reference)
        except ValueError:
            return "refused"

    assert outcome(Resolver(base).resolve) == outcome(lambda text: canonical_url(text, base))


def test_follows_the_whatwg_standard(shared_data: Path) -> None:
    """Every http(s) case of the public vectors: what parses has the stated parts, what fails is refused."""
    num_parsed = num_failed = num_credentials = 0
    for name in ("urltestdata.json", "ada_extra_urltestdata.json"):
        for case in json.loads((shared_data / "vectors/url" / name).read_text("utf-8")):
            if isinstance(case, str):
                continue
            base = None if case.get("base") in (None, "about:blank") else case["base"]
            if case.get("failure"):
                with pytest.raises(ValueError, match="URL"):
                    canonical_url(case["input"], base)
                num_failed += 1
            elif case["protocol"] not in ("http:", "https:"):
                with pytest.raises(ValueError, match="URL"):
                    canonical_url(case["input"], base)
            elif case["username"] or case["password"]:
                with pytest.raises(ValueError, match="credentials"):
                    canonical_url(case["input"], base)
                num_credentials += 1
            else:
                once = canonical_url(case["input"], base)
                assert_same_place(once, case)
                assert canonical_url(once) == once
                num_parsed += 1
    assert num_parsed > 200
    assert num_failed > 200
    assert num_credentials > 5


def assert_same_place(canonical: str, case: dict[str, str]) -> None:
    """`canonical` names what the vector names; escapes may have another spelling, tracking and dots at the end are gone."""
    parts = url_parts(canonical)
    assert f"{parts.scheme}:" == case["protocol"]
    assert parts.host == without_root(case["hostname"].strip("[]"))
    assert str(parts.port) == (case["port"] or {"http:": "80", "https:": "443"}[case["protocol"]])
    plain = re.compile(r"%([0-9A-Fa-f]{2})")
    assert plain.sub(lambda match: chr(int(match[1], 16)), parts.path) == plain.sub(
        lambda match: chr(int(match[1], 16)), case["pathname"]
    )


def without_root(host: str) -> str:
    return host if host == "." or host.endswith("..") else host.removesuffix(".")


@pytest.mark.parametrize(
    ("url", "domain"),
    [
        ("https://news.bbc.co.uk/x", "bbc.co.uk"),
        ("https://a.b.github.io/", "b.github.io"),
        ("http://127.0.0.1:8080/", "127.0.0.1"),
        ("http://[::1]/", "::1"),
        ("http://localhost/", "localhost"),
        ("http://github.io/", "github.io"),
        ("http://a.example.com./", "example.com"),
    ],
)
def test_registrable_domain(url: str, domain: str) -> None:
    assert registrable_domain(url) == domain


def test_follows_the_public_suffix_list(shared_data: Path) -> None:
    cases = re.findall(
        r"^checkPublicSuffix\('([^.'][^']*)', (?:'([^']*)'|null)\)",
        (shared_data / "vectors/url/test_psl.txt").read_text("utf-8"),
        re.MULTILINE,
    )
    assert len(cases) > 50
    for host, domain in cases:
        ascii_host = url_parts(canonical_url(f"http://{host}/")).host
        expected = url_parts(canonical_url(f"http://{domain}/")).host if domain else ascii_host
        assert registrable_domain(f"http://{host}/") == expected, host


def test_tracking_parameters_are_lower_case() -> None:
    assert all(name == name.lower() for name in TRACKING_PARAMETERS)
