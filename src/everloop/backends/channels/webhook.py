"""Notices as JSON, posted to a URL."""

from __future__ import annotations

from collections.abc import Callable
from time import sleep
from urllib.parse import urlsplit

import httpx
import msgspec

from everloop.kernel.errors import Misconfigured, Unavailable
from everloop.monitoring.entities import Notice

PAUSES = (0.2, 0.8)
"""Seconds between the attempts of one `send`; what still fails then is sent again with the next delivery."""
TIMEOUT = 3.0
"""Seconds that one attempt may take."""


class WebhookChannel:
    """Posts each notice, with its id as `Idempotency-Key`. Redirects are not followed: a hook is where it is."""

    def __init__(self, url: str, pause: Callable[[float], None] = sleep) -> None:
        self._url = url
        self._pause = pause
        self._client = httpx.Client(timeout=TIMEOUT, follow_redirects=False)

    def send(self, notice: Notice) -> None:
        """Post the notice, three times at most; an answer that says the request itself is wrong is not asked again."""
        problem = ""
        for wait in (*PAUSES, None):
            problem, retry = self._post(notice)
            if not problem:
                return
            if not retry or wait is None:
                break
            self._pause(wait)
        raise Unavailable(f"{_shown(self._url)} did not take the notice ({problem}).", hint="Check that it is up.")

    def close(self) -> None:
        """Give back the connections."""
        self._client.close()

    def _post(self, notice: Notice) -> tuple[str, bool]:
        """What went wrong, and whether trying again may help."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": notice.id}
        try:
            answer = self._client.post(self._url, content=msgspec.json.encode(notice), headers=headers)
        except httpx.HTTPError as error:
            return type(error).__name__, True
        if answer.is_success:
            return "", False
        return f"status {answer.status_code}", answer.status_code >= 500 or answer.status_code == 429


def open_channel(url: str) -> WebhookChannel:
    """The channel to the hook at an `http://…` or `https://…` URL."""
    if not urlsplit(url).hostname:
        raise Misconfigured(f"The channel {_shown(url)!r} names no host.", hint="Write https://host/path.")
    return WebhookChannel(url)


def _shown(url: str) -> str:
    """The URL without its path and password, which often hold a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}"
