"""A receiver, and a webhook that tells it everything."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from everloop.app.platform import Platform
from everloop.registry.webhooks.entities import MLFLOW_EVENTS, Webhook
from tests.registry.webhooks.receiver import Receiver, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver that listens."""
    with receiving() as found:
        yield found


@pytest.fixture
def hook(platform: Platform, receiver: Receiver) -> Webhook:
    """A webhook for all of MLflow's events, with a secret."""
    given = {"name": "all", "url": receiver.url, "events": list(MLFLOW_EVENTS), "secret": "s3cret"}
    return platform.call("webhooks.create", given)  # type: ignore[no-any-return]
