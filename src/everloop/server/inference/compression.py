"""Compressed bodies, as clients of the inference door ask for them: gzip and deflate, in and out."""

from __future__ import annotations

import zlib

from everloop.kernel.errors import InvalidInput, TooLarge

WORTHWHILE = 1400
"""Responses of fewer bytes fit into one packet, and are sent as they are."""
MOST_FILES = 64
"""A body of gzip holds no more files: each costs a copy of all that follows it."""
_WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
"""How zlib is told of an encoding."""


def expanded(body: bytes, encoding: str, limit: int) -> bytes:
    """What a body of this Content-Encoding holds. It never takes more than `limit` bytes.

    Raises:
        InvalidInput: the encoding is unknown, or the body is not in it.
        TooLarge: there is more in it.
    """
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return body
    if name not in _WINDOWS:
        raise InvalidInput(
            f"Bodies in the encoding {encoding[:40]!r} are not read here.", hint="Send gzip, deflate or none."
        )
    found, rest = bytearray(), body
    try:
        for _ in range(MOST_FILES):
            stream = zlib.decompressobj(_WINDOWS[name])
            found += stream.decompress(rest, limit + 1 - len(found))
            if len(found) > limit:
                raise TooLarge(
                    f"The body holds more than the limit of {limit >> 20} MB when it is unpacked.",
                    hint="Send less at once, or raise EVERLOOP_MAX_BODY_MB.",
                )
            if not stream.eof:
                raise InvalidInput(f"The body ends in the middle of its {name}.")
            if not stream.unused_data or name == "deflate":
                return bytes(found)
            rest = stream.unused_data  # Several files of gzip, one after another, are one.
    except zlib.error as error:
        raise InvalidInput(f"The body is no {name}: {error}.") from None
    raise InvalidInput(f"The body holds more than {MOST_FILES} files of {name}.", hint="Send it as one.")


def compressed(body: bytes, accepted: str) -> tuple[bytes, str]:
    """A body in the encoding that a client accepts, and its name; as it is, and "", where that is none or for little.

    Fast rather than small: some 10 ms for a megabyte.
    """
    if len(body) < WORTHWHILE or not accepted:
        return body, ""
    known = [name for name, _, quality in _offers(accepted) if name in ("gzip", "deflate") and quality]
    if not known:
        return body, ""
    stream = zlib.compressobj(1, zlib.DEFLATED, _WINDOWS[known[0]])
    return stream.compress(body) + stream.flush(), known[0]


def _offers(accepted: str) -> list[tuple[str, str, bool]]:
    found = []
    for offer in accepted.lower().split(","):
        name, _, parameter = offer.partition(";")
        found.append((name.strip(), parameter, parameter.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")))
    return found
