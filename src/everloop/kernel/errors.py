"""Errors that speak to the user: what happened, with the values, and what to do next."""

from __future__ import annotations

from typing import ClassVar

import msgspec

LONGEST = 2_000
"""So many characters of a message travel."""


class Problem(msgspec.Struct, frozen=True):
    """An error as it travels: what the REST door answers and the command line prints with `--json`."""

    code: str
    message: str
    hint: str = ""


class EverloopError(Exception):
    """The root of everything that Everloop raises on purpose.

    Each subclass is one thing that a caller can handle differently; HTTP status and exit code follow from the class.
    """

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    @property
    def problem(self) -> Problem:
        """The error as a value; values that it quotes may be endless, but it is not."""
        return Problem(self.code, _cut(self.message), _cut(self.hint))


class InvalidInput(EverloopError):
    """The caller sent something that cannot be right: a type, a shape, a name, broken JSON."""

    code = "invalid_input"
    status = 400
    exit_code = 2


class TooLarge(InvalidInput):
    """The input is over a size limit."""

    code = "too_large"
    status = 413


class NotFound(EverloopError):
    """A thing that was named does not exist."""

    code = "not_found"
    status = 404
    exit_code = 3


class Conflict(EverloopError):
    """The change contradicts what is already there (a name taken, a pointer moved meanwhile)."""

    code = "conflict"
    status = 409
    exit_code = 4


class Unauthenticated(EverloopError):
    """No token was sent, or one that is unknown, expired or revoked."""

    code = "unauthenticated"
    status = 401
    exit_code = 5


class PermissionDenied(EverloopError):
    """The principal is known and may not do this."""

    code = "permission_denied"
    status = 403
    exit_code = 5


class Refused(EverloopError):
    """A check, gate, guard or policy said no. The input was well-formed; nothing was changed."""

    code = "refused"
    status = 422
    exit_code = 6


class StepFailed(EverloopError):
    """Code of the user raised while Everloop ran it."""

    code = "step_failed"
    status = 422
    exit_code = 7


class Corrupted(EverloopError):
    """Bytes are not what their address says, or the ledger was tampered with."""

    code = "corrupted"
    status = 500
    exit_code = 8


class Unavailable(EverloopError):
    """Something outside did not answer: a database, a store, an endpoint. Trying again may help."""

    code = "unavailable"
    status = 503
    exit_code = 9

    def __init__(self, message: str, *, hint: str = "", retry_after: float = 0.0) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after
        """After so many seconds trying again may help; 0 where nobody knows."""


class TooMany(Unavailable):
    """The caller asks for more than its share while others wait."""

    code = "too_many"
    status = 429


class DeadlineExceeded(Unavailable):
    """The answer would come, or came, later than the caller waits for it."""

    code = "deadline_exceeded"
    status = 504


class Misconfigured(EverloopError):
    """A setting, an installation or a folder's permissions must be mended first; `everloop doctor` says how."""

    code = "misconfigured"
    status = 500
    exit_code = 10


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _families(root: type[EverloopError]) -> dict[str, type[EverloopError]]:
    found: dict[str, type[EverloopError]] = {}
    for child in root.__subclasses__():
        found |= _families(child)
    return found | {root.code: root}  # A door's own kind of an error travels as what it is a kind of.


def error_of(problem: Problem) -> EverloopError:
    """The error that a problem described, as the class that the other side raised."""
    return _families(EverloopError).get(problem.code, EverloopError)(problem.message, hint=problem.hint)
