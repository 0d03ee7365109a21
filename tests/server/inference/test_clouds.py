"""The contracts of SageMaker, Vertex AI and Azure ML: real processes with the variables that each cloud sets."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from everloop.kernel.errors import InvalidInput, Misconfigured
from everloop.server.inference.clouds import Contract, contract
from tests.server.inference.packages import Standalone, unpacked

ROW = {"distance": 1.5, "hour": 2, "carrier": "AA", "wet": True}
VERTEX = {
    "AIP_HTTP_PORT": "8085",
    "AIP_PREDICT_ROUTE": "/v1/endpoints/7/deployedModels/9:predict",
    "AIP_HEALTH_ROUTE": "/v1/endpoints/7/deployedModels/9",
    "AIP_DEPLOYED_MODEL_ID": "9",
}


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return str(listening.getsockname()[1])


def here(process: Standalone) -> Standalone:
    """The process, asked from this machine although it listens to all."""
    process.http.base_url = httpx.URL(process.said["address"].replace("0.0.0.0", "127.0.0.1"))
    return process


WORDS: dict[str, tuple[tuple[str, ...], dict[str, str], Contract]] = {
    "nothing of a cloud's": (("late",), {}, Contract(("late",))),
    "SageMaker": (("serve",), {}, Contract(("/opt/ml/model",), "0.0.0.0", 8080, True)),
    "SageMaker's port": (
        ("serve",),
        {"SAGEMAKER_BIND_TO_PORT": "9000"},
        Contract(("/opt/ml/model",), "0.0.0.0", 9000, True),
    ),
    "SageMaker with a model in the image": (("baked", "serve"), {}, Contract(("baked",), "0.0.0.0", 8080, True)),
    "SageMaker's several": (("serve",), {"SAGEMAKER_MULTI_MODEL": "true"}, Contract((), "0.0.0.0", 8080, True)),
    "Vertex AI": (("late",), VERTEX, Contract(("late",), "0.0.0.0", 8085, True)),
    "Azure ML": ((), {"AZUREML_MODEL_DIR": "/var/model"}, Contract(("/var/model",), "0.0.0.0", 8080, True)),
}


@pytest.mark.parametrize("cloud", WORDS)
def test_a_clouds_words_and_variables_say_what_is_served_where(cloud: str) -> None:
    words, environment, expected = WORDS[cloud]
    assert contract(words, environment) == expected


def test_nothing_to_serve_and_no_port_are_told() -> None:
    with pytest.raises(Misconfigured, match="nothing to serve"):
        contract((), {})
    with pytest.raises(InvalidInput, match="AIP_HTTP_PORT"):
        contract(("late",), {"AIP_HTTP_PORT": "http"})


@pytest.mark.slow
def test_vertex_ai_gets_predictions_at_its_own_routes(tmp_path: Path) -> None:
    port = free_port()
    with here(Standalone(unpacked(tmp_path / "late"), port="", **VERTEX | {"AIP_HTTP_PORT": port})) as process:
        assert process.said["address"].endswith(f":{port}")
        assert process.http.get(VERTEX["AIP_HEALTH_ROUTE"]).status_code == 200
        body = {"instances": [ROW], "parameters": {"explain": False}}
        answer = process.http.post(VERTEX["AIP_PREDICT_ROUTE"], json=body).json()
        assert answer == {"predictions": [23.5], "modelVersionId": "3", "deployedModelId": "9"}


@pytest.mark.slow
def test_azure_ml_scores_tables_and_gets_a_list(tmp_path: Path) -> None:
    with here(Standalone(AZUREML_MODEL_DIR=str(unpacked(tmp_path / "late")))) as process:
        assert process.http.get("/").status_code == 200
        table = {"input_data": {"columns": list(ROW), "index": [0], "data": [list(ROW.values())]}}
        answer = process.post("/score", json.dumps(table), X_Ms_Client_Request_Id="c1")
        assert (answer.json(), answer.headers["x-ms-client-request-id"]) == ([23.5], "c1")
        assert process.http.post("/score", json={"input_data": [ROW]}).json() == [23.5]
        assert process.http.post("/score", json={"instances": [ROW]}).json()["predictions"] == [23.5]


@pytest.mark.slow
def test_sagemaker_starts_it_with_serve(tmp_path: Path) -> None:
    with here(Standalone("serve", SM_MODEL_DIR=str(unpacked(tmp_path / "late")))) as process:
        assert process.http.get("/ping").status_code == 200
        answer = process.post(
            "/invocations",
            b"1.5,2,AA,true\n",
            "text/csv",
            Accept="text/csv",
            X_Amzn_SageMaker_Custom_Attributes="trace=1",
        )
        assert (answer.text, answer.headers["x-amzn-sagemaker-custom-attributes"]) == ("23.5\n", "trace=1")


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standalone]:
    """A process that serves what SageMaker loads into it, from below one folder."""
    root = tmp_path_factory.mktemp("models")
    unpacked(root / "a" / "model")
    unpacked(root / "b" / "model", "both", 2)
    (root / "broken").mkdir()
    with here(Standalone("serve", SAGEMAKER_MULTI_MODEL="true", EVERLOOP_MODELS=str(root))) as process:
        process.said["root"] = str(root)
        yield process


def load(process: Standalone, name: str, place: str) -> httpx.Response:
    return process.http.post("/models", json={"model_name": name, "url": f"{process.said['root']}/{place}"})


@pytest.mark.slow
def test_sagemakers_models_come_and_go(several: Standalone) -> None:
    assert several.http.get("/models").json() == {"models": []}
    assert several.http.get("/ping").status_code == 200
    for name in ("a", "b"):
        assert load(several, f"hash-{name}", f"{name}/model").status_code == 200
    assert [one["modelName"] for one in several.http.get("/models").json()["models"]] == ["hash-a", "hash-b"]
    assert several.http.post("/models/hash-a/invoke", json={"instances": [ROW]}).json()["predictions"] == [23.5]
    body = {"instances": [{"distance": 250}]}
    assert several.http.post("/models/hash-b/invoke", json=body).json()["predictions"] == [[0.75, 0.25]]
    assert load(several, "hash-a", "a/model").status_code == 409
    assert several.http.get("/models/hash-a").json()["modelUrl"].endswith("/a/model")
    for name in ("hash-a", "hash-b"):
        assert several.http.delete(f"/models/{name}").status_code == 200
        assert several.http.get(f"/models/{name}").status_code == 404
        assert several.http.post(f"/models/{name}/invoke", json=body).status_code == 404


MISLED: dict[str, tuple[str, str, object, int, str]] = {
    "no body": ("POST", "/models", None, 400, "names no model"),
    "no url": ("POST", "/models", {"model_name": "x"}, 400, "url"),
    "outside": ("POST", "/models", {"model_name": "x", "url": "/etc"}, 404, "/etc"),
    "up and out": ("POST", "/models", {"model_name": "x", "url": "/opt/ml/models/../../../etc"}, 404, "no model"),
    "not there": ("POST", "/models", {"model_name": "x", "url": "/opt/ml/models/none"}, 404, "none"),
    "nobody": ("DELETE", "/models/nobody", None, 404, "nobody"),
    "nobody asked": ("POST", "/models/nobody/invoke", {"instances": [ROW]}, 404, "nobody"),
    "wrong method": ("PUT", "/models", None, 405, "PUT"),
    "nothing is first": ("POST", "/invocations", {"instances": [ROW]}, 404, "No model"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", MISLED)
def test_what_sagemaker_asks_wrongly_is_refused(several: Standalone, case: str) -> None:
    method, path, body, status, said = MISLED[case]
    answer = several.http.request(method, path, json=body)
    assert (answer.status_code, said in answer.json()["error"]) == (status, True), answer.text


@pytest.mark.slow
def test_a_folder_without_a_package_is_not_loaded(several: Standalone) -> None:
    answer = load(several, "broken", "broken")
    assert (answer.status_code, "no package" in answer.json()["error"]) == (500, True)
    assert several.http.get("/models").json() == {"models": []}


@pytest.mark.slow
def test_a_link_that_leads_out_is_not_followed(several: Standalone, tmp_path: Path) -> None:
    unpacked(tmp_path / "elsewhere")
    Path(several.said["root"], "link").symlink_to(tmp_path / "elsewhere")
    assert load(several, "link", "link").status_code == 404
