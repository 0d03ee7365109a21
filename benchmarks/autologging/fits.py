"""One training of each library that is recorded by itself: two to three seconds of one core."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

Fit = Callable[[], object]
_QUIET = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}


def data(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Thirty columns, and a class that four of them decide."""
    import numpy as np

    generator = np.random.default_rng(0)
    columns = generator.normal(size=(rows, 30)).astype("float32")
    score = columns[:, 0] + columns[:, 1] * columns[:, 2] + generator.normal(size=rows)
    return columns, (score > 0).astype("float32")


def sklearn() -> Fit:
    """Gradient boosting, which needs no threads."""
    from sklearn.ensemble import GradientBoostingClassifier

    columns, labels = data(8_000)
    return lambda: GradientBoostingClassifier(n_estimators=40).fit(columns, labels)


def lightgbm() -> Fit:
    """Its own function, measured after each iteration."""
    import lightgbm as library

    columns, labels = data(20_000)
    parameters = {"objective": "binary", "num_threads": 1, "verbose": -1}

    def fit() -> object:
        train = library.Dataset(columns, labels, free_raw_data=False)
        valid = library.Dataset(columns[:4_000], labels[:4_000], reference=train)
        return library.train(parameters, train, 500, valid_sets=[valid])

    return fit


def xgboost() -> Fit:
    """Its own function, measured after each iteration."""
    import xgboost as library

    columns, labels = data(20_000)

    def fit() -> object:
        train = library.DMatrix(columns, labels, nthread=1)
        parameters = {"objective": "binary:logistic", "nthread": 1}
        return library.train(parameters, train, 350, evals=[(train, "train")], verbose_eval=False)

    return fit


def pytorch() -> Fit:
    """A loop of one's own that tells TensorBoard the loss of each step."""
    import torch
    from torch.utils.tensorboard import SummaryWriter

    torch.set_num_threads(1)
    columns, labels = (torch.from_numpy(values) for values in data(20_000))

    def fit() -> object:
        network = torch.nn.Sequential(torch.nn.Linear(30, 64), torch.nn.ReLU(), torch.nn.Linear(64, 1))
        optimizer = torch.optim.Adam(network.parameters())
        with SummaryWriter(tempfile.mkdtemp()) as writer:
            for step in range(4_000):
                part = slice(step * 64 % 19_000, step * 64 % 19_000 + 64)
                loss = torch.nn.functional.binary_cross_entropy_with_logits(network(columns[part])[:, 0], labels[part])
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]  # Of PyTorch.
                optimizer.step()
                writer.add_scalar("loss", loss.item(), step)
        return network

    return fit


def keras() -> Fit:
    """A network above PyTorch, ten epochs."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras as library
    import torch

    torch.set_num_threads(1)
    columns, labels = data(8_000)

    def fit() -> object:
        layers = library.layers
        model = library.Sequential([layers.Input((30,)), layers.Dense(64, "relu"), layers.Dense(1, "sigmoid")])
        model.compile("adam", "binary_crossentropy")
        return model.fit(columns, labels, epochs=9, batch_size=64, validation_split=0.2, verbose=0)

    return fit


def lightning() -> Fit:
    """A module of its own that logs each step and each epoch."""
    import torch

    library: Any = import_module("lightning.pytorch")  # It is no dependency, so nothing is known of its types.

    torch.set_num_threads(1)
    columns, labels = (torch.from_numpy(values) for values in data(16_000))
    batches = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(columns, labels), batch_size=64)

    class Network(library.LightningModule):  # type: ignore[misc]  # As above.
        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.Sequential(torch.nn.Linear(30, 64), torch.nn.ReLU(), torch.nn.Linear(64, 1))

        def training_step(self, batch: list[torch.Tensor], at: int) -> torch.Tensor:
            loss = torch.nn.functional.binary_cross_entropy_with_logits(self.layers(batch[0])[:, 0], batch[1])
            self.log("loss", loss, on_step=True, on_epoch=True)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters())

    def fit() -> object:
        trainer = library.Trainer(max_epochs=5, accelerator="cpu", default_root_dir=tempfile.mkdtemp(), **_QUIET)
        return trainer.fit(Network(), batches)

    return fit


def optuna() -> Fit:
    """Twenty trials, each a training of some 60 ms."""
    import optuna as library
    from sklearn.tree import DecisionTreeClassifier

    library.logging.set_verbosity(library.logging.ERROR)
    columns, labels = data(4_000)

    def objective(trial: library.Trial) -> float:
        leaves = trial.suggest_int("leaves", 10, 300)
        return float(DecisionTreeClassifier(max_leaf_nodes=leaves).fit(columns, labels).score(columns, labels))

    return lambda: library.create_study(direction="maximize").optimize(objective, n_trials=20)


FITS: dict[str, Callable[[], Fit]] = {
    made.__name__: made for made in (sklearn, lightgbm, xgboost, pytorch, keras, lightning, optuna)
}
