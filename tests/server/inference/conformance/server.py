"""The server that judges us: our own door in front of the models of the checks. `python -m …conformance.server`."""

from __future__ import annotations

import json
import sys

from everloop.kernel.clock import SystemClock
from everloop.kernel.errors import NotFound
from everloop.server.inference.dataplane import DataPlane
from everloop.server.inference.door import Serving, Where, serve
from everloop.server.inference.repository import Repository
from everloop.server.inference.served import ServedModel
from everloop.server.inference.standalone import Exposure, gate_of
from everloop.server.metrics import Metrics
from everloop.serving.direct import DirectModel
from tests.server.inference.conformance.models import Echo, Table, signatures

NEWEST = 2


def made(name: str, version: int) -> ServedModel:
    """A model of the checks.

    Raises:
        NotFound: there is no such version.
    """
    known = signatures()
    if version not in (1, NEWEST) or name not in (*known, "spare"):
        raise NotFound(f"There is no version {version} of {name!r}.")
    signature = known["echo_fp32" if name == "spare" else name]
    return ServedModel(DirectModel(name, version, signature, (Table if name == "table" else Echo)(signature)))


def main() -> None:
    """Serve until SIGTERM, on free ports that are told on stdout."""
    served = [made(name, version) for name in signatures() for version in (NEWEST, 1)]
    metrics, clock = Metrics(), SystemClock()
    plane = DataPlane(served, metrics)
    names = (*signatures(), "spare")
    repository = Repository(
        plane,
        lambda: [(name, str(NEWEST)) for name in names],
        lambda name, version: made(name, int(version or NEWEST)),
    )
    gate = gate_of(Exposure(max_body_mb=256))
    serving = Serving(plane, metrics, gate, lambda: clock.now().isoformat(), repository=repository)

    def announce(address: str) -> None:
        sys.stdout.write(json.dumps({"address": address}) + "\n")
        sys.stdout.flush()

    serve(serving, Where("127.0.0.1", 0, 0), announce)


if __name__ == "__main__":
    main()
