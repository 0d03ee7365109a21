"""How a message travels: signed as MLflow's webhooks are, to the very address that was judged."""

from __future__ import annotations

import base64
import hmac
from datetime import datetime
from urllib.parse import urlunsplit

from everloop.catalog.session import Session
from everloop.datasets.remotes.reach import Reach, parts_of
from everloop.kernel.clock import micros
from everloop.kernel.errors import EverloopError
from everloop.registry.webhooks.entities import Message, Tried
from everloop.registry.webhooks.sealing import opened

TIMEOUT = 5.0
"""Seconds that a receiver has for its answer."""
_KEPT = 2_000


def headers(message: Message, secret: str, at: datetime) -> dict[str, str]:
    """The headers of a message that is sent now; a receiver with the secret can tell that we sent it, and when."""
    stamp = str(micros(at) // 1_000_000)
    found = {"Content-Type": "application/json", "X-MLflow-Delivery-Id": message.id, "X-MLflow-Timestamp": stamp}
    if secret:
        signed = b".".join((message.id.encode(), stamp.encode(), message.body))
        mark = base64.b64encode(hmac.digest(secret.encode(), signed, "sha256")).decode()
        found["X-MLflow-Signature"] = f"v1,{mark}"
    return found


def post(session: Session, webhook: str, url: str, message: Message, sealed: str) -> Tried:
    """Post a message, signed where a webhook has a secret, which is opened for as long as this takes.

    Redirects are not followed, so that a receiver cannot lead us elsewhere.
    """
    import httpx

    try:
        secret = opened(session, webhook, sealed)
        parts = parts_of(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        address = session.ports.get(Reach).address(parts.hostname or "", port)
    except EverloopError as error:
        return Tried(False, problem=str(error))
    host = f"[{address}]" if ":" in address else address
    pinned = urlunsplit(parts._replace(netloc=f"{host}:{port}", fragment=""))
    sent = headers(message, secret, session.clock.now()) | {"Host": parts.netloc.rpartition("@")[2]}
    try:
        with httpx.Client(timeout=TIMEOUT, follow_redirects=False, trust_env=False) as client:
            extensions = {"sni_hostname": parts.hostname}
            with client.stream("POST", pinned, content=message.body, headers=sent, extensions=extensions) as answer:
                body = next(answer.iter_bytes(_KEPT), b"")[:_KEPT]
                return Tried(answer.is_success, answer.status_code, body.decode("utf-8", "replace"))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Tried(False, problem=f"{type(error).__name__}: {error}"[:_KEPT])
