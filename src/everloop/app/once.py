"""A process that answers one call of a use case, and ends: `python -m everloop.app.once` (see `fresh.py`)."""

from __future__ import annotations

import sys

import msgspec

from everloop.app.fresh import Answer, Request
from everloop.app.platform import open_platform
from everloop.app.settings import load
from everloop.kernel.errors import EverloopError


def main() -> None:
    """Answer one request."""
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    platform = open_platform(load(msgspec.structs.asdict(request.settings), environment={}))
    try:
        result = platform.call(request.usecase, request.arguments, project=request.project)
        answer = Answer(msgspec.Raw(msgspec.json.encode(result)))
    except EverloopError as error:
        answer = Answer(problem=error.problem)
    finally:
        platform.close()
    sys.stdout.buffer.write(b"\n" + msgspec.json.encode(answer) + b"\n")


if __name__ == "__main__":
    main()
