"""The function: under Lambda's limits, and run by AWS's own runtime client with nothing but what is in the zip."""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import pytest

from everloop.app.platform import Platform
from everloop.kernel.errors import Refused
from everloop.packaging import awslambda
from everloop.packaging.distributions import FUNCTION, RUNTIME, Packed, closure
from everloop.packaging.entities import ScanReport
from tests.packaging.conftest import built
from tests.server.inference.lambdaruntime import LambdaFunction

pytest.importorskip("awslambdaric")
_CLIENT = ("awslambdaric", "simplejson", "snapshot-restore-py")
"""What Lambda itself brings along."""


@pytest.fixture(scope="module")
def unzipped(workshop: Platform, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The function's folder."""
    folder = tmp_path_factory.mktemp("lambda") / "task"
    with zipfile.ZipFile(BytesIO(workshop.resources.store.get(built(workshop, "lambda").digest))) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the runtime client."""
    folder = tmp_path_factory.mktemp("lambda") / "runtime"
    folder.mkdir()
    for name in _CLIENT:
        installed = distribution(name)
        for top in {str(file).partition("/")[0] for file in installed.files or [] if not str(file).startswith("..")}:
            (folder / top).symlink_to(str(installed.locate_file(top)))
    return folder


@pytest.fixture(scope="module")
def function(workshop: Platform, unzipped: Path, runtime: Path) -> Iterator[LambdaFunction]:
    """The function, started as Lambda does: its variables, its folder, and no installed distribution."""
    settings = json.loads(workshop.resources.store.get(built(workshop, "lambda").parts["lambda.json"]))
    place = unzipped / settings["Environment"]["Variables"]["EVERLOOP_PACKAGE"].rpartition("/")[2]
    program = [getattr(sys, "_base_executable", sys.executable), "-S", "-m", "awslambdaric", settings["Handler"]]
    variables = {"EVERLOOP_PACKAGE": str(place), "PYTHONPATH": f"{unzipped}:{runtime}", "PYTHONHOME": sys.base_prefix}
    with LambdaFunction(unzipped, program, **variables) as started:
        yield started


def event(body: dict[str, Any], path: str = "/invocations") -> dict[str, Any]:
    return {
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json", "host": "abc.lambda-url.eu-west-1.on.aws"},
        "requestContext": {"http": {"method": "POST", "path": path, "sourceIp": "192.0.2.1"}, "stage": "$default"},
        "body": json.dumps(body),
        "isBase64Encoded": False,
    }


@pytest.mark.slow
def test_it_answers_a_function_url_with_nothing_but_the_zip(function: LambdaFunction, workshop: Platform) -> None:
    from everloop.registry.columns import arrays_of
    from everloop.registry.save import load_model

    row = {"distance": 900.0, "hour": 17, "carrier": "B6"}
    kind, answer = function.call(event({"dataframe_records": [row]}))
    trained = workshop.call("models.version", {"name": "delay"}).trained
    columns = arrays_of(trained.signature, {name: [value] for name, value in row.items()})
    expected = load_model(workshop.session(), trained).predict(columns).tolist()
    assert (kind, answer["statusCode"]) == ("response", 200)
    assert json.loads(answer["body"])["predictions"] == expected


@pytest.mark.slow
def test_what_is_wrong_is_answered_and_the_next_call_as_well(function: LambdaFunction) -> None:
    assert function.call(event({"dataframe_records": [{"hour": 1}]}))[1]["statusCode"] == 400
    assert (
        function.call(event({"dataframe_records": [{"distance": 1.0, "hour": 1, "carrier": None}]}))[1]["statusCode"]
        == 200
    )


@pytest.mark.slow
def test_it_is_under_lambdas_limits(workshop: Platform) -> None:
    package = built(workshop, "lambda")
    with zipfile.ZipFile(BytesIO(workshop.resources.store.get(package.digest))) as archive:
        unzipped = sum(entry.file_size for entry in archive.infolist())
    assert package.size < 50_000_000
    assert unzipped < 250_000_000


@pytest.mark.slow
def test_what_is_over_the_limits_is_refused_with_another_way(
    workshop: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(awslambda, "MOST_UNZIPPED", 1_000_000)
    with pytest.raises(Refused, match=r"unzipped; Lambda takes 1,000,000.*image"):
        workshop.call("packages.build", {"model": "delay", "form": "lambda"})


@pytest.mark.slow
def test_the_scan_warns_of_libraries_that_lambda_is_too_old_for(workshop: Platform) -> None:
    package = built(workshop, "lambda")
    report = msgspec.json.decode(workshop.resources.store.get(package.parts["scan.json"]), type=ScanReport)
    warned = {finding.path for finding in report.findings if finding.severity == "warning"}
    assert warned == set(awslambda.too_new(closure([*RUNTIME, *FUNCTION, *package.manifest.requirements])))
    assert report.passed


@pytest.mark.parametrize(
    ("tag", "python", "ok"),
    [
        ("cp311-cp311-manylinux_2_28_x86_64", "3.11", False),
        ("cp311-cp311-manylinux_2_17_x86_64", "3.11", True),
        ("cp312-cp312-manylinux_2_28_x86_64", "3.12", True),
        ("cp312-cp312-manylinux_2_39_x86_64", "3.12", False),
        ("py3-none-any", "3.11", True),
    ],
)
def test_libraries_too_new_for_lambdas_system_are_named(
    tag: str, python: str, ok: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(awslambda, "_python", lambda: python)
    assert awslambda.too_new([Packed("numpy", "2.4", "0" * 64, tag=tag)]) == ([] if ok else ["numpy==2.4"])
