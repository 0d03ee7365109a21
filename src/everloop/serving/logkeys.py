"""The keys of a project's inference log: what pseudonyms are made with, and what sealed values are opened with.

They lie in the home, beside the logs but not in them: a copy of the logs alone tells neither. Values are sealed with
the newest, and pseudonyms are made with the first, so that they stay.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

from everloop.catalog.keyring import SEALED, KeyRing
from everloop.kernel.errors import InvalidInput
from everloop.kernel.ids import NAME_PATTERN

__all__ = ["SEALED", "LogKeys", "log_keys"]
_PREDICTION = re.compile(r"[0-9a-f]{32}-\d+")


class LogKeys(KeyRing):
    """A project's keys."""

    def pseudonym(self, key: str) -> str:
        """Another name for a unit or an entity, always the same one. Ids of predictions stay as they are."""
        if _PREDICTION.fullmatch(key):
            return key
        first = next(iter(self.keys().values()))
        return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16, key=first, person=b"pseudonym").hexdigest()


@lru_cache(maxsize=64)
def log_keys(home: Path, project: str) -> LogKeys:
    """The keys of a project's logs."""
    if not re.fullmatch(NAME_PATTERN, project):
        raise InvalidInput(f"{project!r} is not a name.", hint="Use letters, digits, dots, dashes and underscores.")
    return LogKeys(home / "keys" / f"inference-{project}.keys")
