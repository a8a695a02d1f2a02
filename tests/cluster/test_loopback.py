"""One call in a class file is replaced: shown on a class made here, byte by byte; on Beam's own by test_allocation.py."""

import pytest

from jobs.cluster.loopback import CLASS, kept_to_loopback
from pipeline.errors import CorpusmillError

BUILDER = b"org/apache/beam/vendor/grpc/v1p60p1/io/grpc/netty/NettyServerBuilder"
# The constants that the class refers to, by number: those of the two calls, and a long, which takes two numbers.
CONSTANTS = [
    b"\x05" + bytes(8), b"", b"\x01\x00\x1ajava/net/InetSocketAddress", b"\x07\x00\x03",
    b"\x01\x00\x07getPort", b"\x01\x00\x03()I", b"\x0c\x00\x05\x00\x06", b"\x0a\x00\x04\x00\x07",
    b"\x01\x00" + bytes((len(BUILDER),)) + BUILDER, b"\x07\x00\x09", b"\x01\x00\x07forPort",
    b"\x01\x00" + bytes((len(BUILDER) + 5,)) + b"(I)L" + BUILDER + b";", b"\x0c\x00\x0b\x00\x0c", b"\x0a\x00\x0a\x00\x0d",
]  # fmt: skip
HEAD = b"\xca\xfe\xba\xbe\x00\x00\x00\x34"
CODE = b"before\x2b\xb6\x00\x08\xb8\x00\x0eafter"


def class_of(constants: list[bytes], code: bytes) -> bytes:
    return HEAD + (len(constants) + 1).to_bytes(2, "big") + b"".join(constants) + code


def test_the_server_is_given_the_whole_address() -> None:
    changed = kept_to_loopback(CLASS, class_of(CONSTANTS, CODE))
    name, kind = b"forAddress", b"(Ljava/net/SocketAddress;)L" + BUILDER + b";"
    meant = [
        *CONSTANTS[:12], b"\x0c\x00\x0f\x00\x10", CONSTANTS[13], b"\x01\x00\x0a" + name, b"\x01\x00" + bytes((len(kind),)) + kind
    ]  # fmt: skip
    assert changed == class_of(meant, b"before\x2b\x00\x00\x00\xb8\x00\x0eafter")


def test_other_entries_stay_as_they_are() -> None:
    assert kept_to_loopback("Other.class", b"anything") == b"anything"


@pytest.mark.parametrize(
    "content",
    [
        class_of(CONSTANTS, b"nothing of the kind"),
        class_of(CONSTANTS, CODE + CODE),
        class_of(CONSTANTS[:8], CODE),  # no such builder
    ],
)
def test_a_class_that_is_not_known_is_an_error(content: bytes) -> None:
    with pytest.raises(CorpusmillError, match="is not the one that is known here"):
        kept_to_loopback(CLASS, content)
