"""The keys of a project's inference log: what pseudonyms are made with, and what sealed values are opened with.

They lie in the home, beside the logs but not in them: a copy of the logs alone tells neither. The file has a line for
each key, the newest last; values are sealed with the newest, and pseudonyms are made with the first, so that they stay.
"""

from __future__ import annotations

import os
import re
from base64 import b64decode, b64encode
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from everloop.kernel.errors import InvalidInput, Misconfigured
from everloop.kernel.ids import NAME_PATTERN

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SEALED = "sealed:"
"""Sealed values start with this, then have the key's id and the cipher's bytes."""
_NONCE = 12
_LINE = re.compile(r"([0-9a-f]{8}) ([0-9a-f]{64})")
_PREDICTION = re.compile(r"[0-9a-f]{32}-\d+")


class LogKeys:
    """A project's keys; the file is made when somebody first needs one."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[str, bytes] = {}
        self._ciphers: dict[str, AESGCM] = {}

    @property
    def exist(self) -> bool:
        """Whether anything was ever hidden with them."""
        return self._file.exists()

    def pseudonym(self, key: str) -> str:
        """Another name for a unit or an entity, always the same one. Ids of predictions stay as they are."""
        if _PREDICTION.fullmatch(key):
            return key
        first = next(iter(self._keys().values()))
        return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16, key=first, person=b"pseudonym").hexdigest()

    def seal(self, value: str, about: str) -> str:
        """A value that only the key opens; `about` says what it is, and is needed again to open it. Costs ~3 µs."""
        newest = next(reversed(self._keys()))
        nonce = os.urandom(_NONCE)
        sealed = self._cipher(newest).encrypt(nonce, value.encode(), about.encode())
        return f"{SEALED}{newest}:{b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str, about: str) -> str:
        """The value that was sealed.

        Raises:
            InvalidInput: it was not sealed here, is about something else, or was changed.
            Misconfigured: its key is not in the home.
        """
        from cryptography.exceptions import InvalidTag

        key, _, data = sealed.removeprefix(SEALED).partition(":")
        if key not in self._keys():
            self._known = {}  # Another process may have added one.
        if key not in self._keys():
            raise Misconfigured(f"There is no key {key!r} in {self._file}.", hint="Restore the file from a copy.")
        try:
            raw = b64decode(data, validate=True)
            return self._cipher(key).decrypt(raw[:_NONCE], raw[_NONCE:], about.encode()).decode()
        except (ValueError, InvalidTag):
            raise InvalidInput(f"The sealed value of {about} was changed or belongs elsewhere.") from None

    def rotate(self) -> str:
        """Seal with a new key from now on; the id of it. Older values are still opened."""
        self._keys()
        with self._file.open("a") as file:
            line = _new_line()
            file.write(line)
            file.flush()
            os.fsync(file.fileno())  # Values are sealed with it from now on.
        self._known = {}
        return line.split()[0]

    def _cipher(self, id: str) -> AESGCM:
        if id not in self._ciphers:
            try:
                from cryptography.hazmat.primitives.ciphers.aead import AESGCM
            except ImportError:
                raise Misconfigured(
                    "Sealing values of the log needs the distribution cryptography.",
                    hint="pip install 'everloop[encryption]'",
                ) from None
            derived = blake2b(digest_size=32, key=self._keys()[id], person=b"seal").digest()
            self._ciphers[id] = AESGCM(derived)
        return self._ciphers[id]

    def _keys(self) -> dict[str, bytes]:
        if not self._known:
            if not self._file.exists():
                _create(self._file)
            lines = [_LINE.fullmatch(line) for line in self._file.read_text().splitlines()]
            if not lines or None in lines:
                raise Misconfigured(f"{self._file} does not hold keys.", hint="Restore it from a copy.")
            self._known = {line[1]: bytes.fromhex(line[2]) for line in lines if line is not None}
        return self._known


@lru_cache(maxsize=64)
def log_keys(home: Path, project: str) -> LogKeys:
    """The keys of a project's logs."""
    if not re.fullmatch(NAME_PATTERN, project):
        raise InvalidInput(f"{project!r} is not a name.", hint="Use letters, digits, dots, dashes and underscores.")
    return LogKeys(home / "keys" / f"inference-{project}.keys")


def _create(file: Path) -> None:
    """Several processes may come at once: the first one's key counts, and nobody sees half of it."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    mine = file.with_name(f".{file.name}-{os.getpid()}-{os.urandom(4).hex()}")
    mine.touch(0o600, exist_ok=False)
    with mine.open("w") as opened:
        opened.write(_new_line())
        opened.flush()
        os.fsync(opened.fileno())
    try:
        os.link(mine, file)
    except FileExistsError:
        pass
    finally:
        mine.unlink()


def _new_line() -> str:
    return f"{os.urandom(4).hex()} {os.urandom(32).hex()}\n"
