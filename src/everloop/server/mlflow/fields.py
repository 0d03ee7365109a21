"""What a request's body says, by name."""

from __future__ import annotations

import msgspec

from everloop.kernel.errors import InvalidInput
from everloop.kernel.usecase import Json
from everloop.server.answers import JSON
from everloop.server.rest import check_depth


def fields_of(media: str, content: bytes) -> dict[str, Json]:
    """The fields of a request in a JSON object.

    Raises:
        InvalidInput: it is no JSON object.
    """
    if not content:
        return {}
    if media.partition(";")[0].strip().lower() != JSON:
        raise InvalidInput(f"Bad Request. Content-Type must be application/json, not {media[:80]!r}.")
    try:
        found = msgspec.json.decode(content)
        check_depth(found)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"The request's body is not valid JSON ({error}).") from None
    if not isinstance(found, dict):
        raise InvalidInput("The request's body is no JSON object.")
    return found
