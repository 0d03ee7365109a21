"""Keras and PyTorch, recorded by themselves, and Lightning where it is installed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

import everloop as el
from everloop.sdk.autolog.gradients import histogram
from everloop.sdk.platform import Everloop
from tests.sdk.autolog.conftest import only, paths

os.environ.setdefault("KERAS_BACKEND", "torch")
torch = pytest.importorskip("torch", reason="PyTorch is not installed: scripts/setup.sh test installs it")
pytestmark = pytest.mark.slow

X = np.random.default_rng(0).normal(size=(64, 3)).astype("float32")
Y = (X[:, 0] > 0).astype("float32")


def trained(run: el.Run, steps: int) -> None:
    module = torch.nn.Linear(3, 1)
    run.watch(module, every=2)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        module(torch.from_numpy(X)).square().mean().backward()
        optimizer.step()


def test_keras_logs_each_epoch_its_parameters_and_the_model(ever: Everloop) -> None:
    import keras

    el.autolog("keras")
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1, activation="sigmoid")])
    model.compile("adam", "binary_crossentropy")
    stopping = keras.callbacks.EarlyStopping(patience=5)
    model.fit(X, Y, epochs=3, validation_split=0.25, verbose=0, callbacks=[stopping])
    found = only(ever)
    assert (found.parameters["epochs"], found.parameters["optimizer_name"]) == ("3", "adam")
    assert found.parameters["early_stopping_patience"] == "5"
    assert [point.step for point in ever.runs.history(found.id, "val_loss")] == [0, 1, 2]
    assert {"model_summary.txt", "models/model/model.keras"} <= paths(ever, found.id)


def test_a_watched_module_logs_sizes_and_the_rate_every_few_steps(ever: Everloop) -> None:
    with el.run(platform=ever) as run:
        trained(run, 8)
    assert [point.step for point in ever.runs.history(run.id, "gradients/weight/norm")] == [2, 4, 6, 8]
    assert ever.runs.get(run.id).metrics["lr"] == pytest.approx(0.1)
    assert ever.runs.get(run.id).tags["optimizer_class"] == "SGD"


def test_runs_that_have_ended_do_not_disturb_the_training_of_the_next(ever: Everloop) -> None:
    found = []
    for _ in range(3):
        with el.run(platform=ever) as run:
            trained(run, 2)
        found.append(ever.runs.get(run.id).metrics["lr"])
    assert found == pytest.approx([0.1] * 3)


def test_distributions_are_kept_ever_more_seldom(ever: Everloop) -> None:
    with el.run(platform=ever) as run:
        trained(run, 20)
    kept = sorted(path for path in paths(ever, run.id) if path.startswith("histograms/"))
    assert [int(Path(path).stem) for path in kept] == [2, 4, 8, 16]


def test_a_distribution_counts_each_finite_value() -> None:
    found = histogram(torch.tensor([0.0, 1.0, 1.0, float("nan"), float("inf")]))
    assert (sum(found["counts"]), found["low"], found["high"], found["not_finite"]) == (3, 0.0, 1.0, 2)
    assert json.dumps(found)


def test_what_tensorboard_is_told_the_run_is_told_too(ever: Everloop, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed")
    el.autolog("pytorch")
    from torch.utils.tensorboard import SummaryWriter

    with el.run(platform=ever) as run, SummaryWriter(str(tmp_path)) as writer:
        for step in (5, 6):
            writer.add_scalar("loss", torch.tensor(0.5, requires_grad=True), step)
        writer.add_scalars("both", {"a": 1.0}, 7)
    assert [point.step for point in ever.runs.history(run.id, "loss")] == [5, 6]
    assert ever.runs.get(run.id).metrics["both/a"] == 1.0


def test_lightning_logs_epochs_and_steps(ever: Everloop, tmp_path: Path) -> None:
    lightning = pytest.importorskip("lightning.pytorch", reason="Lightning is not installed")
    el.autolog("lightning")

    class Line(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(3, 1)

        def training_step(self, batch: object, at: int) -> object:
            loss = self.layer(batch[0]).square().mean()  # type: ignore[index]
            self.log("loss", loss, on_step=True, on_epoch=True)
            return loss

        def configure_optimizers(self) -> object:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.from_numpy(X)), batch_size=8)
    options = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "log_every_n_steps": 4}
    lightning.Trainer(max_epochs=2, default_root_dir=tmp_path, **options).fit(Line(), data)
    found = only(ever)
    assert [point.step for point in ever.runs.history(found.id, "loss_epoch")] == [0, 1]
    assert [point.step for point in ever.runs.history(found.id, "loss_step")] == [4, 8, 12, 16]
    assert found.parameters["optimizer_class"] == "SGD"
