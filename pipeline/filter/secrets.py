"""Access keys and tokens in text, found by the prefixes that those who issue them have published.

Only forms that begin with such a prefix are looked for, so a hash or a number is never taken for one:

* AWS access key ids: docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html (AKIA, and ASIA for temporary ones);
* GitHub: github.blog/2021-04-05-behind-githubs-new-authentication-token-formats (ghp_, gho_, ghu_, ghs_, ghr_; up to 255
  characters) and github_pat_ of fine-grained ones (docs.github.com, about authentication to GitHub);
* npm: github.blog/2021-09-23-announcing-npms-new-access-token-format (npm_);
* Slack: api.slack.com/concepts/token-types (xoxb-, xoxp-, xapp-, …) and its addresses for incoming messages;
* Stripe: docs.stripe.com/keys (sk_ and rk_; pk_ is public), and whsec_ of docs.stripe.com/webhooks;
* Google: cloud.google.com/docs/authentication/api-keys (39 characters that begin with AIza);
* JSON web tokens: RFC 7519 in the compact form of RFC 7515 (header and claims are JSON objects, so both begin with `eyJ`);
* private keys in PEM: RFC 7468 and RFC 4880 (armour of PGP), up to their end or that of the text.
"""

import re
from collections.abc import Iterator

_BEFORE, _AFTER = r"(?<![A-Za-z0-9_])", r"(?![A-Za-z0-9_])"
_PEM = r"(?:[A-Z0-9]{1,16} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
# A text without the mark of a form, which is quickly told, is not searched for it.
_FORMS: tuple[tuple[tuple[str, ...], re.Pattern[str]], ...] = (
    (("AKIA", "ASIA"), re.compile(rf"{_BEFORE}A[KS]IA[A-Z2-7]{{16}}{_AFTER}")),
    (("xox", "xapp-"), re.compile(
        rf"{_BEFORE}(?:xox[abeoprs](?:\.xox[bp])?|xapp)-\d[A-Za-z0-9]*-[A-Za-z0-9-]{{16,255}}{_AFTER}"
    )),
    (("hooks.slack.com/",), re.compile(
        r"(?:https?://)?hooks\.slack\.com/(?:services|workflows|triggers)/[A-Z0-9]{8,12}/[A-Za-z0-9]{8,24}/[A-Za-z0-9/]{18,64}"
    )),
    (("AIza",), re.compile(rf"{_BEFORE}AIza[A-Za-z0-9_-]{{35}}(?![A-Za-z0-9_-])")),
    ((".eyJ",), re.compile(rf"{_BEFORE}eyJ[A-Za-z0-9_-]{{10,4096}}+\.eyJ[A-Za-z0-9_-]{{10,4096}}+\.[A-Za-z0-9_-]{{16,4096}}")),
    (("PRIVATE KEY",), re.compile(
        rf"-----BEGIN {_PEM}(?:[A-Za-z0-9+/=\s:,.()\\]|-(?!-)){{64,16384}}?(?:-----END {_PEM}|\Z)"
    )),
)  # fmt: skip
# Those whose prefix ends with an underscore are found from there: a sign that is rare, and found at the speed of memory.
_UNDERSCORE = re.compile(
    rf"_(?:(?<={_BEFORE}gh[pousr]_)[A-Za-z0-9]{{36,251}}{_AFTER}"
    rf"|(?<={_BEFORE}github_pat_)[A-Za-z0-9]{{22}}_[A-Za-z0-9]{{59}}{_AFTER}"
    rf"|(?<={_BEFORE}npm_)[A-Za-z0-9]{{36}}{_AFTER}"
    rf"|(?:(?<={_BEFORE}[sr]k_live_)|(?<={_BEFORE}[sr]k_test_))[A-Za-z0-9]{{20,247}}{_AFTER}"
    rf"|(?<={_BEFORE}whsec_)[A-Za-z0-9+/=]{{32,100}})"
)
_PREFIX = re.compile(r"[a-z_]*\Z")
_PREFIX_CHARS = len("github_pat")


def find_secrets(text: str) -> Iterator[tuple[int, int]]:
    """Where keys and tokens stand in `text`, as start and end."""
    for marks, form in _FORMS:
        if any(mark in text for mark in marks):
            yield from (found.span() for found in form.finditer(text))
    for found in _UNDERSCORE.finditer(text):
        before = text[max(0, found.start() - _PREFIX_CHARS) : found.start()]
        prefix = _PREFIX.search(before)
        assert prefix is not None  # it may be empty
        yield found.start() - len(prefix[0]), found.end()
