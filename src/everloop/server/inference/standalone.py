"""Models out of their packages, served without a platform: no catalog, no store, no log.

`python -m everloop.server.inference.standalone FOLDER… --port 8080`, where a folder holds a package (`manifest.json`,
`model/`, perhaps `compiled/`), or is the package's one file. `serve` instead of folders is what SageMaker starts.
"""

from __future__ import annotations

import argparse
import hmac
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from random import SystemRandom

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from everloop.app.settings import Settings
from everloop.governance.entities import Principal
from everloop.kernel.clock import SystemClock
from everloop.kernel.errors import EverloopError, Misconfigured, Unauthenticated
from everloop.kernel.ids import new_id
from everloop.packaging.runner import load, read_manifest
from everloop.server.answers import answer
from everloop.server.inference import clouds
from everloop.server.inference.dataplane import DataPlane
from everloop.server.inference.door import Serving, Where, serve
from everloop.server.inference.invocations import live
from everloop.server.inference.served import ServedModel
from everloop.server.metrics import Metrics
from everloop.server.security import Authenticate, Gate, is_loopback
from everloop.serving.direct import DirectModel

Endpoint = Callable[[Request], Awaitable[Response]]
TOKEN = "EVERLOOP_TOKEN"  # The name of a variable.
"""The variable with the token that requests must show."""
OPERATOR = Principal("operator", ("deployer",))
"""Who a request acts as that is let in: it may predict, read, load and unload, and there is nothing else here."""


class Exposure(msgspec.Struct, frozen=True):
    """Who may ask: whoever shows the token; without one this machine, or everybody where the door is `open`."""

    host: str = "127.0.0.1"
    token: str = ""
    open: bool = False
    max_body_mb: int = 64


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM; the exit code."""
    try:
        _serve(_parser().parse_args(arguments), os.environ)
    except EverloopError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def opened(place: Path, name: str = "") -> ServedModel:
    """The model of a package, loaded; it answers under its own name, or the given one.

    Raises:
        Misconfigured: there is no package, or the library that its model needs is missing.
    """
    try:
        manifest = read_manifest(place)
    except (OSError, msgspec.DecodeError, KeyError) as error:
        raise Misconfigured(
            f"{place} is no package ({error}).", hint="Give a folder that holds manifest.json and model/."
        ) from None
    predictor = load(manifest, place)
    return ServedModel(DirectModel(name or manifest.model, manifest.version, manifest.signature, predictor))


def gate_of(exposure: Exposure) -> Gate:
    """The gate of a door without a platform.

    Raises:
        Misconfigured: others could reach it, and nobody said that they may.
    """
    beyond = not is_loopback(exposure.host)
    if beyond and not exposure.token and not exposure.open:
        raise Misconfigured(
            f"Listening on {exposure.host} would let everybody in.",
            hint=f"Set {TOKEN}, give --token-file, or say --open where only the network's rules decide who comes.",
        )
    settings = Settings(
        host=exposure.host,
        authentication="required" if exposure.token else "auto",
        allowed_hosts=("*",) if beyond else (),
        max_body_mb=exposure.max_body_mb,
    )
    anybody = OPERATOR if exposure.open and not exposure.token else None
    return Gate(settings, _authenticator(exposure.token), OPERATOR, anybody)


def serving(models: Sequence[ServedModel], gate: Gate, environment: Mapping[str, str]) -> Serving:
    """All that the door needs to serve these models."""
    metrics, clock, random = Metrics(), SystemClock(), SystemRandom()
    plane = DataPlane(models, metrics)
    routes = [Route("/healthz", live), Route("/readyz", _ready(plane)), *clouds.routes(plane, opened, environment)]
    return Serving(plane, metrics, gate, lambda: new_id(clock.now(), random), routes)


def _serve(words: argparse.Namespace, environment: Mapping[str, str]) -> None:
    contract = clouds.contract(words.places, environment)
    token = Path(words.token_file).read_text().strip() if words.token_file else environment.get(TOKEN, "")
    host = words.host or contract.host
    gate = gate_of(Exposure(host, token, words.open or contract.open, words.max_body_mb))
    models = [opened(Path(place)) for place in contract.places]
    served = {"models": [f"{model.name}/{version}" for model in models for version in model.versions]}
    port = contract.port if words.port is None else words.port

    def announce(address: str) -> None:
        sys.stdout.write(msgspec.json.encode({"address": address} | served).decode() + "\n")
        sys.stdout.flush()

    serve(serving(models, gate, environment), Where(host, port, words.grpc_port), announce)


def _authenticator(token: str) -> Authenticate:
    def authenticate(secret: str) -> Principal:
        if not token or not hmac.compare_digest(secret.encode(), token.encode()):
            raise Unauthenticated("This token lets nobody in.", hint=f"Send the one in {TOKEN}.")
        return OPERATOR

    return authenticate


def _ready(plane: DataPlane) -> Endpoint:
    async def readyz(request: Request) -> Response:
        ready = bool(plane.turns)
        return answer({"ready": ready}, status=200 if ready else 503)

    return readyz


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m everloop.server.inference.standalone", description=__doc__)
    parser.add_argument("places", nargs="*", metavar="FOLDER", help="packages; or serve, as SageMaker says")
    parser.add_argument("--host", default="", help="127.0.0.1; beyond loopback a token or --open is needed")
    parser.add_argument("--port", type=int, help="8080, or as the cloud's variable says; 0 takes a free one")
    parser.add_argument("--grpc-port", type=int, help="also answer gRPC")
    parser.add_argument("--token-file", default="", help=f"a file with the token that requests show; or ${TOKEN}")
    parser.add_argument("--open", action="store_true", help="let everybody in who reaches the port")
    parser.add_argument("--max-body-mb", type=int, default=64, help="the largest body of a request, in megabytes")
    return parser


if __name__ == "__main__":
    sys.exit(main())
