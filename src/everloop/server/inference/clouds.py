"""What clouds ask of a container that serves models: SageMaker, Vertex AI and Azure ML.

Each has its routes, its variables and its form of an answer; behind them is the one data plane. SageMaker's plain
contract (`/ping`, `/invocations`) is MLflow's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from everloop.governance.roles import require
from everloop.kernel.errors import Conflict, InvalidInput, Misconfigured, NotFound
from everloop.registry.entities import Field
from everloop.server.answers import answer
from everloop.server.inference import scoring
from everloop.server.inference.dataplane import DataPlane
from everloop.server.inference.invocations import invoked, live, predictions_of
from everloop.server.inference.served import Answered, ServedModel
from everloop.server.inference.tensors import MALFORMED

SAGEMAKER = "serve"
"""The word that SageMaker starts a container with."""
SAGEMAKER_MODEL = "/opt/ml/model"
SAGEMAKER_MODELS = "/opt/ml/models"
"""Where SageMaker puts the one model, and each of several, unless SM_MODEL_DIR and EVERLOOP_MODELS say otherwise."""
PORT = 8080
Endpoint = Callable[[Request], Awaitable[Response]]
Open = Callable[[Path, str], ServedModel]
"""Loads the package at a place, to be served by a name."""


class Contract(msgspec.Struct, frozen=True):
    """What a cloud's words and variables say: packages to serve, and where; `open` when the cloud asks who comes."""

    places: tuple[str, ...]
    host: str = "127.0.0.1"
    port: int = PORT
    open: bool = False


class Loading(msgspec.Struct, frozen=True):
    """The body of SageMaker's `POST /models`."""

    model_name: str
    url: str


_loading = msgspec.json.Decoder(Loading)


def contract(words: Sequence[str], environment: Mapping[str, str]) -> Contract:
    """What is to be served where, by the words on the command line and the cloud's variables.

    Raises:
        InvalidInput: a port is no number.
        Misconfigured: there is nothing to serve.
    """
    places = tuple(word for word in words if word != SAGEMAKER)
    if SAGEMAKER in words:
        folder = environment.get("SM_MODEL_DIR", SAGEMAKER_MODEL)
        mounted = Path(folder, "manifest.json").exists()
        places = () if _several(environment) else (folder,) if mounted or not places else places
        return Contract(places, "0.0.0.0", _port(environment, "SAGEMAKER_BIND_TO_PORT"), open=True)
    if "AIP_HTTP_PORT" in environment:
        return Contract(_some(places), "0.0.0.0", _port(environment, "AIP_HTTP_PORT"), open=True)
    if "AZUREML_MODEL_DIR" in environment:
        return Contract(places or (environment["AZUREML_MODEL_DIR"],), "0.0.0.0", PORT, open=True)
    return Contract(_some(places))


def routes(plane: DataPlane, opened: Open, environment: Mapping[str, str]) -> list[Route]:
    """The routes of all three, as far as their variables ask for them."""
    found = [Route("/", live), Route("/score", _score(plane), methods=["POST"])]
    if route := environment.get("AIP_PREDICT_ROUTE"):
        found.append(Route(route, _predict(plane, environment), methods=["POST"]))
    if route := environment.get("AIP_HEALTH_ROUTE"):
        found.append(Route(route, live))
    root = Path(environment.get("EVERLOOP_MODELS", SAGEMAKER_MODELS))
    return [*found, *(Models(plane, opened, root).routes() if _several(environment) else ())]


class Models:
    """SageMaker's endpoints of several models: they come and go while the process runs, each by a name of the cloud's.

    Only packages below `root` are loaded.
    """

    def __init__(self, plane: DataPlane, opened: Open, root: Path) -> None:
        self._plane = plane
        self._opened = opened
        self._root = root.resolve()
        self._places: dict[str, str] = {}

    def routes(self) -> list[Route]:
        """The routes."""
        return [
            Route("/models", self.models, methods=["GET", "POST"]),
            Route("/models/{name}", self.model, methods=["GET", "DELETE"]),
            Route("/models/{name}/invoke", self.invoke, methods=["POST"]),
        ]

    async def models(self, request: Request) -> Response:
        """The models that are loaded, or one more of them."""
        if request.method == "POST":
            return await self._load(request)
        require(request.state.principal, "endpoints:read")
        return answer({"models": [self._told(name) for name in self._places]})

    async def model(self, request: Request) -> Response:
        """One of them; or one less."""
        name = request.path_params["name"]
        require(request.state.principal, "endpoints:deploy" if request.method == "DELETE" else "endpoints:read")
        self._plane.found(name)
        if request.method == "DELETE":
            self._plane.remove(name)
            self._places.pop(name, None)
            return answer({})
        return answer(self._told(name))

    async def invoke(self, request: Request) -> Response:
        """Predictions of one of them, as `/invocations` gives them."""
        return await invoked(request, self._plane, self._plane.found(request.path_params["name"]))

    async def _load(self, request: Request) -> Response:
        require(request.state.principal, "endpoints:deploy")
        try:
            wanted = _loading.decode(await request.body())
        except MALFORMED as error:
            raise InvalidInput(f"The body names no model: {error}.", hint='Send {"model_name", "url"}.') from None
        if wanted.model_name in self._places:
            raise Conflict(f"{wanted.model_name!r} is loaded already.", hint="Delete it first.")
        place = Path(wanted.url).resolve()
        if not place.is_relative_to(self._root) or not place.exists():
            raise NotFound(f"There is no model at {wanted.url!r}.", hint=f"Models lie below {self._root}.")
        self._plane.add(await run_in_threadpool(self._opened, place, wanted.model_name))
        self._places[wanted.model_name] = wanted.url
        return answer(self._told(wanted.model_name))

    def _told(self, name: str) -> dict[str, str]:
        return {"modelName": name, "modelUrl": self._places.get(name, "")}


def _predict(plane: DataPlane, environment: Mapping[str, str]) -> Endpoint:
    """Vertex AI: `{"instances": […], "parameters": {…}}` gives `{"predictions": […]}`."""
    deployed = environment.get("AIP_DEPLOYED_MODEL_ID", "")

    def word(found: Answered) -> Response:
        predictions = predictions_of(found.values, plane.first.outputs)
        body = {"predictions": predictions, "modelVersionId": found.model_version}
        return answer(body | ({"deployedModelId": deployed} if deployed else {}))

    async def predict(request: Request) -> Response:
        return await invoked(request, plane, plane.first, word=word)

    return predict


def _score(plane: DataPlane) -> Endpoint:
    """Azure ML: `{"input_data": …}` gives a bare list, as its own server of MLflow models does."""

    def word(found: Answered) -> Response:
        return answer(predictions_of(found.values, plane.first.outputs))

    async def score(request: Request) -> Response:
        if b'"input_data"' not in (await request.body())[:200]:
            return await invoked(request, plane, plane.first)
        return await invoked(request, plane, plane.first, _from_input_data, word)

    return score


def _from_input_data(body: bytes, fields: Sequence[Field], header: str) -> scoring.Asked:
    scoring.content_type(header)
    payload = scoring.payload_of(body)
    data = payload.pop("input_data", None)
    table = isinstance(data, dict) and data.keys() >= {"columns", "data"}
    return scoring.from_payload(payload | {"dataframe_split" if table else "inputs": data}, fields)


def _several(environment: Mapping[str, str]) -> bool:
    return environment.get("SAGEMAKER_MULTI_MODEL", "").lower() == "true"


def _some(places: tuple[str, ...]) -> tuple[str, ...]:
    if not places:
        raise Misconfigured("There is nothing to serve.", hint="Give the folder of a package.")
    return places


def _port(environment: Mapping[str, str], name: str) -> int:
    text = environment.get(name, str(PORT))
    if not text.isdecimal():
        raise InvalidInput(f"{name} is {text!r}, which is no port.")
    return int(text)
