"""Whether bytes are one whole UBJSON object: XGBoost ends the process on some that are cut off."""

from __future__ import annotations

_SIZES = {"i": 1, "U": 1, "C": 1, "I": 2, "l": 4, "L": 8, "d": 4, "D": 8, "Z": 0, "N": 0, "T": 0, "F": 0}
_WHOLE = {"i", "U", "I", "l", "L"}
_DEEPEST = 64


def is_object(data: bytes) -> bool:
    """Whether the bytes hold one object from the first to the last. Arrays of numbers are stepped over at once."""
    try:
        return data[:1] == b"{" and _after(data, 0, 0) == len(data)
    except (IndexError, KeyError, ValueError):
        return False


def _after(data: bytes, at: int, depth: int) -> int:
    """Where the value that begins here ends."""
    kind = chr(data[at])
    if depth > _DEEPEST:
        raise ValueError("It is nested too deep.")
    if kind == "{":
        return _after_object(data, at + 1, depth)
    if kind == "[":
        return _after_array(data, at + 1, depth)
    if kind in "SH":
        size, start = _number(data, at + 1)
        return _inside(data, start + size)
    return _inside(data, at + 1 + _SIZES[kind])


def _after_object(data: bytes, at: int, depth: int) -> int:
    while data[at] != ord("}"):
        size, start = _number(data, at)
        at = _after(data, start + size, depth + 1)
    return at + 1


def _after_array(data: bytes, at: int, depth: int) -> int:
    if data[at] == ord("$"):
        if data[at + 2] != ord("#"):
            raise ValueError("A typed array has no length.")
        count, start = _number(data, at + 3)
        return _inside(data, start + count * _SIZES[chr(data[at + 1])])
    if data[at] == ord("#"):
        count, at = _number(data, at + 1)
        for _ in range(count):
            at = _after(data, at, depth + 1)
        return at
    while data[at] != ord("]"):
        at = _after(data, at, depth + 1)
    return at + 1


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A length, and where it ends."""
    kind = chr(data[at])
    if kind not in _WHOLE:
        raise ValueError("A length is no whole number.")
    end = _inside(data, at + 1 + _SIZES[kind])
    found = int.from_bytes(data[at + 1 : end], "big", signed=kind != "U")
    if found < 0:
        raise ValueError("A length is negative.")
    return found, end


def _inside(data: bytes, end: int) -> int:
    if end > len(data):
        raise ValueError("It is cut off.")
    return end
