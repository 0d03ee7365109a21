"""The example's project on servers: PostgreSQL for the catalog, S3 for bytes, Redis for online features."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from everloop.app import project
from everloop.app.platform import Platform, open_platform
from everloop.app.settings import load
from everloop.cli.door import Door, run
from everloop.cli.main import commands
from everloop.serving.predictor import EndpointPredictor
from everloop.serving.request import Answer
from tests import servers

BUCKET = "everloop"


@dataclass
class Site:
    """A platform on servers, the URLs that lead to them, and the folder of the example's project."""

    platform: Platform
    urls: dict[str, str]
    folder: Path

    def call(self, use_case: str, **arguments: object) -> Any:
        """Call a use case as a door does."""
        return self.platform.call(use_case, arguments)

    def add(self, name: str) -> Any:
        """Keep a table of the project."""
        digest = self.platform.resources.store.put((self.folder / f"{name}.csv").read_bytes())
        return self.call("datasets.commit", name=name, digest=digest, format="csv")

    def predict(self, parcel: str, request: str = "") -> Answer:
        """Ask the endpoint about a heavy parcel, from a process that has just come up."""
        text = {name: np.array([value], dtype=object) for name, value in (("parcel", parcel), ("depot", "east"))}
        predictor = EndpointPredictor(self.platform.session(), "late")
        try:
            return predictor.predict(text | {"weight": np.array([9.0])}, request)
        finally:
            predictor.close()

    def another(self, home: Path) -> Platform:
        """The same platform from another machine: its home is empty, the URLs are the same."""
        return opened(home, self.urls)


def opened(home: Path, urls: dict[str, str]) -> Platform:
    """The platform that some URLs lead to."""
    given = {"home": str(home), "project": "parcels", "module": "parcels.project", **urls}
    return open_platform(load(given, environment={}, folder=home.parent))


@pytest.fixture(scope="module")
def urls() -> Iterator[dict[str, str]]:
    """A PostgreSQL database, an S3 bucket and a Redis, as settings name them."""
    import psycopg

    with servers.postgresql() as database, servers.s3() as endpoint, servers.redis() as online:
        with psycopg.connect(f"{database}/postgres", autocommit=True) as connection:
            connection.execute("CREATE DATABASE everloop")
        httpx.put(f"{endpoint}/{BUCKET}").raise_for_status()
        yield {
            "database_url": f"{database}/everloop",
            "store_url": f"s3://{BUCKET}/here?endpoint={endpoint}&region=us-east-1",
            "online_store_url": online,
        }


@pytest.fixture(scope="module")
def site(urls: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The example on servers, applied, with its first model trained, registered, promoted and served."""
    root = tmp_path_factory.mktemp("site")
    folder = root / "parcels"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        assert run(commands, ["init", str(folder), "--example"], Door()) == 0
        subprocess.run([sys.executable, "data.py"], cwd=folder, check=True)
        made = Site(opened(root / "home", urls), urls, folder)
        made.add("parcels"), made.add("depots")
        project.apply(made.platform, project.collect(folder, "parcels.project"))
        execution = made.call("pipelines.run", name="fit", arguments={"until": datetime.now(UTC).isoformat()})
        made.call("models.register", name="late", trained=execution.output, run=execution.run)
        made.call("models.promote", name="late", version=1, reason="It is the first.")
        made.call("endpoints.create", name="late", model="late", label_key="parcel")
        yield made
        made.platform.close()
