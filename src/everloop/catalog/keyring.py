"""Keys that lie outside of the catalog: what is sealed with them, a copy of the catalog alone does not tell.

The file has a line for each key, the newest last: values are sealed with the newest, and opened with whichever they
were sealed with. A key that the settings name goes before those of the file.
"""

from __future__ import annotations

import os
import re
import tempfile
from base64 import b64decode, b64encode
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from everloop.kernel.errors import InvalidInput, Misconfigured

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SEALED = "sealed:"
"""Sealed values start with this, then have the key's id and the cipher's bytes."""
SHORTEST = 16
"""A key that the settings name has at least so many characters."""
_NONCE = 12
_LINE = re.compile(r"([0-9a-f]{8}) ([0-9a-f]{64})")


class KeyRing:
    """The keys of a file, which is made when somebody first needs one, and the one that the settings `given`, if any.

    Raises:
        Misconfigured: the given key is short enough to be guessed.
    """

    def __init__(self, file: Path, given: str = "") -> None:
        if given and len(given) < SHORTEST:
            raise Misconfigured(f"A key of {len(given)} characters can be guessed.", hint=f"Use {SHORTEST} or more.")
        self._file = file
        self._given = given
        self._known: dict[str, bytes] = {}
        self._ciphers: dict[str, AESGCM] = {}

    @property
    def exist(self) -> bool:
        """Whether anything was ever sealed with keys of the file."""
        return self._file.exists()

    def seal(self, value: str, about: str) -> str:
        """A value that only the key opens; `about` says what it is, and is needed again to open it. Costs ~3 µs."""
        newest = next(reversed(self.keys()))
        nonce = os.urandom(_NONCE)
        sealed = self._cipher(newest).encrypt(nonce, value.encode(), about.encode())
        return f"{SEALED}{newest}:{b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str, about: str) -> str:
        """The value that was sealed.

        Raises:
            InvalidInput: it was not sealed here, is about something else, or was changed.
            Misconfigured: its key is not here.
        """
        mark, key, data = (*sealed.split(":"), "", "")[:3]
        if f"{mark}:" != SEALED:  # It may be the value itself, which no message shows.
            raise InvalidInput(f"What is kept of {about} was never sealed.")
        if key not in self.keys():
            self._known = {}  # Another process may have added one.
        if key not in self.keys():
            raise Misconfigured(f"There is no key {key!r} in {self._file}.", hint="Restore the file from a copy.")
        cipher = self._cipher(key)
        from cryptography.exceptions import InvalidTag

        try:
            raw = b64decode(data, validate=True)
            return cipher.decrypt(raw[:_NONCE], raw[_NONCE:], about.encode()).decode()
        except (ValueError, InvalidTag):
            raise InvalidInput(f"The sealed value of {about} was changed or belongs elsewhere.") from None

    def rotate(self) -> str:
        """Seal with a new key of the file from now on; the id of it. Older values are still opened."""
        line = _new_line()
        try:
            write_once(self._file, line.encode())
        except FileExistsError:
            with self._file.open("a") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())  # Values are sealed with it from now on.
        self._known = {}
        return line.split()[0]

    def keys(self) -> dict[str, bytes]:
        """The keys by their ids, the newest last."""
        known = self._known  # Another thread may forget them meanwhile.
        if not known:
            if not (self._given or self._file.exists()):
                with suppress(FileExistsError):
                    write_once(self._file, _new_line().encode())
            known = self._read() if self._file.exists() else {}
            if self._given:
                known[_digest(self._given, 4).hex()] = _digest(self._given, 32)
            self._known = known
        return known

    def _read(self) -> dict[str, bytes]:
        lines = [_LINE.fullmatch(line) for line in self._file.read_text().splitlines()]
        if not lines or None in lines:
            raise Misconfigured(f"{self._file} does not hold keys.", hint="Restore it from a copy.")
        return {line[1]: bytes.fromhex(line[2]) for line in lines if line is not None}

    def _cipher(self, id: str) -> AESGCM:
        if id not in self._ciphers:
            try:
                from cryptography.hazmat.primitives.ciphers.aead import AESGCM
            except ImportError:
                raise Misconfigured(
                    "Sealing values needs the distribution cryptography.", hint="pip install 'everloop[encryption]'"
                ) from None
            derived = blake2b(digest_size=32, key=self.keys()[id], person=b"seal").digest()
            self._ciphers[id] = AESGCM(derived)
        return self._ciphers[id]


def _digest(given: str, size: int) -> bytes:
    return blake2b(given.encode(), digest_size=size, person=f"key-{size}".encode()).digest()


def write_once(file: Path, secret: bytes) -> None:
    """Write a file that only its owner reads; it is there whole and on the disk, or not at all.

    Several processes may come at once: the first one's counts. A link, as a rename would replace what is there.

    Raises:
        FileExistsError: it is there already, and stays as it is.
    """
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "wb") as opened:
            opened.write(secret)
            opened.flush()
            os.fsync(opened.fileno())
        os.link(name, file)
    finally:
        Path(name).unlink()
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _new_line() -> str:
    return f"{os.urandom(4).hex()} {os.urandom(32).hex()}\n"
