"""Privacy: what is masked, what only looks like it, and how well on labelled sentences."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.filter.config import FilterConfig, PrivacyConfig
from pipeline.filter.identities import find_national_ids
from pipeline.filter.privacy import find_private, mask, passes_luhn
from pipeline.filter.secrets import find_secrets
from pipeline.filter.stage import MaskPrivate
from pipeline.jsonl import read_records
from tests.filter.conftest import document
from tests.filter.floors import floor

ALL = PrivacyConfig()


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Write to jo.doe+x@mail.example.org.", "Write to <EMAIL>."),
        ("<jo@example.co.uk>, bo@example.org", "<<EMAIL>>, <EMAIL>"),
        ("user@host is no address", "user@host is no address"),
        ("git@@example.org", "git@@example.org"),
        ("from 8.8.8.8 and 2001:4860:4860::8888.", "from <IP> and <IP>."),
        ("private 192.168.1.1, 10.0.0.1, 127.0.0.1", "private 192.168.1.1, 10.0.0.1, 127.0.0.1"),
        ("version 1.2.3.4 and v8.8.4.4 and foo==8.8.4.4", "version 1.2.3.4 and v8.8.4.4 and foo==8.8.4.4"),
        (
            "Firefox/96.0.1.2, nginx 1.24.0.1, v. 8.1.2.3, the 10.4.11.2 update",
            "Firefox/96.0.1.2, nginx 1.24.0.1, v. 8.1.2.3, the 10.4.11.2 update",
        ),
        ("web.example.org/93.184.216.34:80", "web.example.org/<IP>:80"),  # as Java writes a host and its address
        # Four small numbers are a section or a version unless something near says that they are an address.
        ("see 3.4.5.6 of libfoo 1.2.3.4", "see 3.4.5.6 of libfoo 1.2.3.4"),
        ("host 3.4.5.6 and 1.2.3.4:80 and 1.0.0.1", "host <IP> and <IP>:80 and <IP>"),
        (
            "shared 100.64.0.1, documentation 192.0.2.1, reserved 240.0.0.1",
            "shared 100.64.0.1, documentation 192.0.2.1, reserved 240.0.0.1",
        ),
        ("8.8.8.8.8 and 300.1.1.1", "8.8.8.8.8 and 300.1.1.1"),
        ("std::vector and 12:30:45", "std::vector and 12:30:45"),
        ("GB82 WEST 1234 5698 7654 32 please", "<IBAN> please"),
        ("DE89370400440532013000", "<IBAN>"),
        ("DE88370400440532013000", "DE88370400440532013000"),  # wrong check digits
        ("card 4111 1111 1111 1111 ok", "card <CARD> ok"),
        ("card 4111 1111 1111 1112 no", "card 4111 1111 1111 1112 no"),
        ("call +44 20 7946 0958 now", "call <PHONE> now"),
        ("(555) 123-4567 or 555-123-4567", "<PHONE> or <PHONE>"),
        ("on 2023-11-24 or 24.11.2023, 1999-2004", "on 2023-11-24 or 24.11.2023, 1999-2004"),
        ("costs $1234567 or 1,234,567.89", "costs $1234567 or 1,234,567.89"),
        ("tel: 467 3395", "tel: <PHONE>"),
        ("082 490 1693-Office, 781 1704 fax", "<PHONE>-Office, <PHONE> fax"),  # named behind the number
        ("001-204-821-0538x16944", "<PHONE>"),  # the extension is no part of the number's length
        ("2 000 000 mobile phones in 2020", "2 000 000 mobile phones in 2020"),
        ("Hungary 34796\n(37) 788-063 office", "Hungary 34796\n<PHONE> office"),  # no number goes over a line's end
        ("Kontakt: müller@bücher.example", "Kontakt: <EMAIL>"),
        ("пишите: иван@почта.рф", "пишите: <EMAIL>"),
        ("logo@2x.png and a@b.io", "logo@2x.png and <EMAIL>"),  # the picture for dense screens
        ("联系zhang@qq.example。", "联系<EMAIL>。"),
        ("jane (at) example [dot] org", "<EMAIL>"),
        ("meet at (at) noon", "meet at (at) noon"),
        ("手机13800138000", "手机<PHONE>"),
        ("13800138000 people", "13800138000 people"),
        ("tel:+14155552671, 98765 43210, SKU 123-456-7890", "tel:<PHONE>, <PHONE>, SKU 123-456-7890"),
        ("138 0013 8000, 03-1234-5678", "<PHONE>, <PHONE>"),
        ("8 (495) 123-45-67 or 8-800-555-35-35", "<PHONE> or <PHONE>"),
        # the address alone, without the link or the quotation mark before it
        ("https://example.org/?to=jo@example.org&x=1", "https://example.org/?to=<EMAIL>&x=1"),
        ("'jo@example.org' ssh://git@example.org/x", "'<EMAIL>' ssh://git@example.org/x"),
        ("o'neill@example.org", "<EMAIL>"),
        # IPv4 inside IPv6 belongs to it
        ("::ffff:93.184.216.34, ::ffff:192.168.1.1", "<IP>, ::ffff:192.168.1.1"),
        # full width, and spaces and dashes at which no line breaks
        ("ＴＥＬ：０３－１２３４－５６７８", "ＴＥＬ：<PHONE>"),
        ("jo＠example.org", "<EMAIL>"),
        ("020\u00a07946\u00a00958, 212\u2011555\u20110123", "<PHONE>, <PHONE>"),
        ("DE89\u00a03704\u00a00044\u00a00532\u00a00130\u00a000 or DE 89 3704 0044 0532 0130 00", "<IBAN> or <IBAN>"),
        ("4111\u202f1111\u202f1111\u202f1111", "<CARD>"),
        # Turkey, Sweden, Russia, Israel; words for a telephone in other languages
        ("0212 123 45 67, 08-123 456 78", "<PHONE>, <PHONE>"),
        ("8 495 123 45 67, 03-1234567", "<PHONE>, <PHONE>"),
        ("هاتف: 0123456789", "هاتف: <PHONE>"),
        ("móvil 612 345 678", "móvil <PHONE>"),
        # amounts after words that also stand before telephone numbers
        ("work 40 000 000 hours, call 1000000 times", "work 40 000 000 hours, call 1000000 times"),
        ("call 555-0123, number 612 345 678", "call <PHONE>, number <PHONE>"),
        ("https://example.org/status/4111111111111111", "https://example.org/status/4111111111111111"),
    ],
)
def test_masking(text: str, masked: str) -> None:
    assert mask(text, ALL)[0] == masked


@given(st.text("a1 2.@+-()/:4<>EMAILx", max_size=80))
def test_masking_twice_changes_nothing_more(text: str) -> None:
    once, _ = mask(text, ALL)
    spans = find_private(text, ALL)
    assert all(first.end <= second.start for first, second in pairwise(spans))
    assert sum(once.count(f"<{name}>") for name in ("EMAIL", "IP", "PHONE", "IBAN", "CARD")) >= len(spans)


def test_very_many_addresses_take_time_with_their_number() -> None:
    """Each compared with every other, they would take half an hour."""
    masked, counts = mask("a@b.io 8.8.8.8 +49 30 901820, " * 20_000, ALL)
    assert masked == "<EMAIL> <IP> <PHONE>, " * 20_000
    assert counts == {"email": 20_000, "ip": 20_000, "phone": 20_000}
    begun = "-----BEGIN " + "PRIVATE KEY----- eyJabcdefghijk-"
    assert mask(begun * 20_000, ALL)[1]["secret"] == 0


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("us_ssn", "078-05-1120", "000-12-3456"),
        ("es_dni", "12345678Z", "12345678A"),
        ("it_cf", "RSSMRA85T10A562S", "RSSMRA85T10A562T"),
        ("nl_bsn", "111222333", "111222334"),
        ("br_cpf", "529.982.247-25", "529.982.247-26"),
        ("fr_nir", "255081416802538", "255081416802539"),
        ("cn_id", "11010519491231002X", "110105194912310021"),
        ("in_aadhaar", "2341 2341 2346", "2341 2341 2347"),
        ("uk_nino", "AB123456C", "BG123456C"),
    ],
)
def test_national_ids_are_an_option(kind: str, good: str, bad: str) -> None:
    assert list(find_national_ids(f"id {good}.", (kind,))) == [(3, 3 + len(good))]
    assert not list(find_national_ids(f"id {bad}.", (kind,)))
    assert mask(good, PrivacyConfig(masks=(), national_ids=(kind,)))[0] == "<NATIONAL_ID>"


# The forms are put together here, so that no scanner of secrets takes this file for a leak.
HEX = "0123456789abcdefABCDEF0123456789abcdefABCDEF0123456789abcdefABCDEF"
BASE32 = "IOSFODNN7EXAMPLE"
PEM = "\n".join(["-----BEGIN RSA " + "PRIVATE KEY-----", *[HEX[:64]] * 4, "-----END RSA " + "PRIVATE KEY-----"])


@pytest.mark.parametrize(
    "secret",
    [
        "AKIA" + BASE32, "ASIA" + BASE32,
        *(f"gh{kind}_" + HEX[:36] for kind in "pousr"), "ghs_" + HEX[:36] * 5,
        "github_pat_" + HEX[:22] + "_" + HEX[:59],
        "npm_" + HEX[:36],
        "xoxb-" + "123456789012-1234567890123-" + HEX[:24], "xoxp-" + "1-2-3-" + HEX[:32], "xoxe.xoxp-" + "1-" + HEX[:60],
        "xapp-" + "1-A0123456789-1234567890123-" + HEX[:64],
        "https://hooks.slack.com/" + "services/T01234567/B01234567/" + HEX[:24],
        "sk_live_" + HEX[:24], "rk_test_" + HEX[:24], "whsec_" + HEX[:32],
        "AIza" + HEX[:35],
        "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0NTY3ODkwIn0." + HEX[:43],
        PEM, PEM.replace("RSA ", "OPENSSH "), PEM.replace("RSA ", ""), PEM.replace("\n", " "),
        PEM.replace("RSA PRIVATE KEY", "PGP PRIVATE KEY BLOCK"),
        PEM[:150],  # cut off
    ],
)  # fmt: skip
def test_secrets_are_masked(secret: str) -> None:
    assert mask(secret, ALL) == ("<SECRET>", Counter(secret=1))
    assert mask(f'key="{secret}"\nand more: {secret}', ALL)[1]["secret"] in (
        1,
        2,
    )  # the one that is cut off takes what follows
    assert mask(f'key="{secret}"', PrivacyConfig(masks=("email",)))[0] == f'key="{secret}"'


@pytest.mark.parametrize(
    "text",
    [
        "AKIA" + BASE32.lower(), "AKIA" + BASE32 + "Z", "SLOVAKIA" + BASE32, "AKIA1890" + BASE32[4:],  # no digits 0, 1, 8 and 9
        "ghp_your_token_here", "ghp_" + HEX[:35], "export GITHUB_TOKEN=ghp_xxxxxxxx",
        "xoxb-your-token", "xoxb-" + HEX[10:40],
        "sk_live_...", "pk_live_" + HEX[:24],  # the public one
        "AIza" + HEX[:34], "AIza" + HEX[:36],
        "eyJhbGciOiJIUzI1NiJ9", "eyJhbGciOiJIUzI1NiJ9.payload.signature",
        "-----BEGIN PUBLIC KEY-----\n" + HEX, "a file that begins with -----BEGIN RSA " + "PRIVATE KEY-----",
        "-----BEGIN " + "PRIVATE KEY-----\n…\n-----END " + "PRIVATE KEY-----",
        "commit 9c6e3f2a1b0d4c5e8f7a6b5c4d3e2f1a0b9c8d7e, sha256:" + HEX,
    ],
)  # fmt: skip
def test_what_only_looks_like_a_secret(text: str) -> None:
    assert mask(text, ALL)[1]["secret"] == 0


def test_no_secret_in_books_and_manuals(shared_data: Path) -> None:
    for name in ("en_blog_18f", "en_tech_pep_rfc"):
        for record in read_records(str(shared_data / f"corpora/{name}.jsonl.zst")):
            assert [record["text"][start:end] for start, end in find_secrets(record["text"])] == []


def test_luhn() -> None:
    assert passes_luhn("79927398713")
    assert not passes_luhn("79927398710")


def test_counts_are_measures() -> None:
    masked = MaskPrivate(FilterConfig()).judge(document("a@example.org b@example.org 8.8.8.8"))
    assert masked.text == "<EMAIL> <EMAIL> <IP>"  # type: ignore[union-attr]
    assert masked.measures["masked_email"] == 2.0


def test_precision_and_recall_on_labelled_sentences(shared_data: Path) -> None:
    from pipeline.jsonl import read_records

    kinds = {
        "EMAIL_ADDRESS": "email",
        "PHONE_NUMBER": "phone",
        "CREDIT_CARD": "card",
        "IBAN_CODE": "iban",
        "IP_ADDRESS": "ip",
        "US_SSN": "national_id",
    }
    config = PrivacyConfig(national_ids=("us_ssn",))
    hits, missed, wrong = Counter[str](), Counter[str](), Counter[str]()
    for row in read_records(str(shared_data / "pii/presidio_research.jsonl.zst")):
        found = find_private(row["text"], config)
        gold = [(span, kinds[span["type"]]) for span in _spans(row) if span["type"] in kinds]
        for span, kind in gold:
            (
                hits
                if any(each.kind == kind and each.start < span["end"] and each.end > span["start"] for each in found)
                else missed
            )[kind] += 1
        for each in found:
            if not any(
                each.start < span["end"] and each.end > span["start"] for span, kind in gold if kind == each.kind
            ):
                wrong[each.kind] += 1
    for kind in kinds.values():
        assert hits[kind] / (hits[kind] + missed[kind]) >= floor("privacy", f"{kind}_recall")
        assert hits[kind] / (hits[kind] + wrong[kind]) >= floor("privacy", f"{kind}_precision")


def _spans(row: dict[str, object]) -> list[dict[str, object]]:
    import ast

    spans = row["spans"]
    listed = ast.literal_eval(spans) if isinstance(spans, str) else spans
    assert isinstance(listed, list)
    return [
        {
            "type": span.get("entity_type") or span.get("type"),
            "start": span.get("start_position", span.get("start")),
            "end": span.get("end_position", span.get("end")),
        }
        for span in listed
    ]
