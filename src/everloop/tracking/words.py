"""What names, keys and texts of runs may be: what can be shown, searched for and kept on every database."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from everloop.kernel.errors import InvalidInput

LONGEST_KEY = 250
LONGEST_NAME = 256
_HIDDEN = {"Cf": "one that cannot be seen or turns the writing around", "Cc": "a control character"}


@lru_cache(maxsize=65_536)
def check_key(key: str) -> None:
    """Let a key of a parameter, tag or metric through.

    Raises:
        InvalidInput: it is empty, too long, or has a character that cannot be printed or a backtick.
    """
    if not key or len(key) > LONGEST_KEY or not key.isprintable() or "`" in key:
        raise InvalidInput(
            f"{key[:80]!r} is not a key{_why(key)}.", hint=f"Use 1 to {LONGEST_KEY} printable characters, no backtick."
        )


def check_name(name: str, what: str = "a run", longest: int = LONGEST_NAME) -> None:
    """Let a name through that people give.

    Raises:
        InvalidInput: it is too long, or has a character that cannot be printed.
    """
    if len(name) > longest or not name.isprintable():
        raise InvalidInput(
            f"{name[:80]!r} cannot be the name of {what}{_why(name)}.",
            hint=f"Use up to {longest} printable characters.",
        )


def check_text(key: str, text: str) -> None:
    """Let a value through: any text that every database keeps.

    Raises:
        InvalidInput: it holds a NUL character or half of a character.
    """
    if "\0" in text:
        raise InvalidInput(f"The value of {key!r} holds a NUL character.", hint="Leave it out.")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidInput(f"The value of {key!r} holds half of a character.", hint="Send valid Unicode.")


def _why(text: str) -> str:
    """Which character is in the way, told by its number: it may well be one that cannot be seen."""
    for character in text:
        kind = unicodedata.category(character)
        if not character.isprintable():
            return f": it has U+{ord(character):04X}, {_HIDDEN.get(kind, 'which cannot be printed')}"
    return ""
