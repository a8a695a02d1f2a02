"""Keeps the servers of Beam's Java side to loopback: one call in one class of Beam is replaced by its sibling.

In every task manager Beam serves its workers (control, data, state, logs), and beside the cluster serves its job
server. All of them tell others an address on loopback, and listen on every interface: they ask for
`NettyServerBuilder.forPort(address.getPort())`. Whoever reaches such a port may hand records to a job, and Beam unpickles
what it is handed. No setting changes that, so the class is changed: `NettyServerBuilder.forAddress(address)`.
"""

from pipeline.errors import CorpusmillError

CLASS = "org/apache/beam/sdk/fn/server/ServerFactory$InetSocketAddressServerFactory.class"
_ADDRESS, _BUILDER = (
    b"java/net/InetSocketAddress",
    b"org/apache/beam/vendor/grpc/v1p60p1/io/grpc/netty/NettyServerBuilder",
)
_FOR_PORT = (b"forPort", b"(I)L" + _BUILDER + b";")
_FOR_ADDRESS = (b"forAddress", b"(Ljava/net/SocketAddress;)L" + _BUILDER + b";")
# Constants and instructions, by the specification of class files (chapters 4.4 and 6.5).
_UTF8, _CLASS, _METHOD, _NAME_AND_TYPE = 1, 7, 10, 12
_LENGTHS = {3: 4, 4: 4, 5: 8, 6: 8, _CLASS: 2, 8: 2, 9: 4, _METHOD: 4, 11: 4, _NAME_AND_TYPE: 4, 15: 3, 16: 2, 17: 4, 18: 4, 19: 2, 20: 2}  # fmt: skip
_TWO_NUMBERS = (5, 6)
_CONSTANTS_BEGIN = 10  # behind magic number, version and the number of constants
_LOAD_ADDRESS, _CALL, _CALL_STATIC, _NOTHING = b"\x2b", b"\xb6", b"\xb8", b"\x00"


def kept_to_loopback(name: str, content: bytes) -> bytes:
    """The content of an entry of a jar: changed if it is the class that opens Beam's servers.

    Raises:
        CorpusmillError: that class is not the one that is known here.
    """
    if name != CLASS:
        return content
    constants, end = _constants(content)
    name_and_type = _name_and_type(constants, _FOR_PORT)
    static_call = _CALL_STATIC + _method(constants, _BUILDER, _FOR_PORT)
    port_of_address = _CALL + _method(constants, _ADDRESS, (b"getPort", b"()I"))
    old_code = _LOAD_ADDRESS + port_of_address + static_call
    if content.count(old_code) != 1 or content.count(name_and_type) != 1:
        raise _unknown()
    added = b"".join(map(_utf8, _FOR_ADDRESS))
    first = len(constants) + 1
    new_name_and_type = bytes((_NAME_AND_TYPE,)) + _two_bytes(first) + _two_bytes(first + 1)
    pool = content[_CONSTANTS_BEGIN:end].replace(name_and_type, new_name_and_type) + added
    code = content[end:].replace(old_code, _LOAD_ADDRESS + _NOTHING * len(port_of_address) + static_call)
    return content[: _CONSTANTS_BEGIN - 2] + _two_bytes(first + len(_FOR_ADDRESS)) + pool + code


def _constants(content: bytes) -> tuple[list[bytes], int]:
    """The constants of a class, tag included (the first has the number 1), and where they end."""
    count, place = int.from_bytes(content[_CONSTANTS_BEGIN - 2 : _CONSTANTS_BEGIN], "big"), _CONSTANTS_BEGIN
    found: list[bytes] = []
    while len(found) < count - 1:
        tag = content[place]
        length = 2 + int.from_bytes(content[place + 1 : place + 3], "big") if tag == _UTF8 else _LENGTHS[tag]
        found += [content[place : place + 1 + length], *[b""] * (tag in _TWO_NUMBERS)]
        place += 1 + length
    return found, place


def _method(constants: list[bytes], owner: bytes, method: tuple[bytes, bytes]) -> bytes:
    """The number of a method (name, type) of the class `owner`."""
    of_class = bytes((_CLASS,)) + _number(constants, _utf8(owner))
    return _number(
        constants,
        bytes((_METHOD,)) + _number(constants, of_class) + _number(constants, _name_and_type(constants, method)),
    )


def _name_and_type(constants: list[bytes], method: tuple[bytes, bytes]) -> bytes:
    return bytes((_NAME_AND_TYPE,)) + b"".join(_number(constants, _utf8(each)) for each in method)


def _number(constants: list[bytes], constant: bytes) -> bytes:
    try:
        return _two_bytes(constants.index(constant) + 1)
    except ValueError:
        raise _unknown() from None


def _utf8(text: bytes) -> bytes:
    return bytes((_UTF8,)) + _two_bytes(len(text)) + text


def _two_bytes(number: int) -> bytes:
    return number.to_bytes(2, "big")


def _unknown() -> CorpusmillError:
    return CorpusmillError(f"{CLASS} of Beam is not the one that is known here; nothing was put together")
