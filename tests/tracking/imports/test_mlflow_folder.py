"""MLflow's folders come over like its databases."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from everloop.app.platform import Platform
from everloop.kernel.errors import InvalidInput
from everloop.registry.imports import bring as bring_models
from everloop.tracking.imports.entities import Report
from everloop.tracking.imports.mlflow.folder import MlflowFolder

Bring = Callable[..., Report]
RUN = "0123456789abcdef0123456789abcdef"


def written(folder: Path, texts: dict[str, str]) -> None:
    """Files with texts."""
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@pytest.fixture
def mlruns(tmp_path: Path) -> Path:
    """A folder as MLflow 2.9 writes it, moved from where it was."""
    meta = f"artifact_uri: file:///gone/mlruns/7/{RUN}/artifacts\nstart_time: 1700000000000\nend_time: 1700000009000\n"
    written(
        tmp_path / "mlruns",
        {
            "7/meta.yaml": "name: 'Flights: delays'\ncreation_time: 1690000000000\nlifecycle_stage: active\n",
            f"7/{RUN}/meta.yaml": f"{meta}run_name: trial\nstatus: 4\nuser_id: ada\nlifecycle_stage: active\n",
            f"7/{RUN}/params/rate": "0.1",
            f"7/{RUN}/tags/nested/key": "deep",
            f"7/{RUN}/metrics/loss": "1700000000000 0.5 0\n1700000001000 nan 1\n",
            f"7/{RUN}/metrics/old": "1700000000000 0.5\n",
            f"7/{RUN}/artifacts/model/weights": "w",
            "models/delay/meta.yaml": "name: delay\ncreation_timestamp: 1700000000000\ndescription: D\n",
            "models/delay/aliases/champion": "2",
            "models/delay/version-2/meta.yaml": f"version: 2\nsource: runs:/{RUN}/model\nrun_id: {RUN}\n",
        },
    )
    return tmp_path / "mlruns"


def test_a_run_comes_with_texts_points_and_the_files_beside_it(mlruns: Path, platform: Platform, bring: Bring) -> None:
    report = bring(MlflowFolder(mlruns))
    run = platform.call("runs.get", {"id": RUN})
    assert (report.added, report.points, report.files, report.wrong, report.untaken) == (1, 3, 1, (), ())
    assert (run.name, run.status, run.user, run.parameters) == ("trial", "failed", "ada", {"rate": "0.1"})
    assert run.tags == {"nested/key": "deep"}
    loss = platform.call("runs.history", {"id": RUN, "key": "loss"})
    assert loss[0].value == 0.5
    assert math.isnan(loss[1].value)


def test_versions_of_registered_models_keep_their_numbers_and_find_their_files(
    mlruns: Path, platform: Platform, bring: Bring
) -> None:
    bring(MlflowFolder(mlruns))
    bring_models(platform.session(), MlflowFolder(mlruns).registered())
    version = platform.call("models.version", {"name": "delay", "alias": "champion"})
    assert version.version == 2
    assert [it.path for it in platform.resources.store.tree(version.trained.digest)] == ["weights"]


def test_what_is_logged_later_comes_later(mlruns: Path, platform: Platform, bring: Bring) -> None:
    bring(MlflowFolder(mlruns))
    with (mlruns / "7" / RUN / "metrics" / "loss").open("a") as file:
        file.write("1700000002000 0.25 2\n")
    assert bring(MlflowFolder(mlruns)).changed == 1
    assert len(platform.call("runs.history", {"id": RUN, "key": "loss"})) == 3
    assert bring(MlflowFolder(mlruns)).here == 1


@pytest.mark.parametrize("line", ["no number\n", "1700000000000\n", "1700000000000 0.5 one\n"])
def test_a_metric_that_cannot_be_read_costs_itself(mlruns: Path, bring: Bring, line: str) -> None:
    (mlruns / "7" / RUN / "metrics" / "old").write_text(line)
    report = bring(MlflowFolder(mlruns))
    assert (report.added, report.points) == (1, 2)
    assert [it.what for it in report.untaken] == ["metric old"]


@pytest.mark.parametrize("text", ["", "- a list", "a: [broken"])
def test_a_run_without_a_description_is_left_out(mlruns: Path, bring: Bring, text: str) -> None:
    (mlruns / "7" / RUN / "meta.yaml").write_text(text)
    report = bring(MlflowFolder(mlruns))
    assert report.runs == 0
    assert [it.of for it in report.untaken] == [RUN]


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"no folder in it has a meta\.yaml"):
        MlflowFolder(tmp_path)
