"""Writes runs as W&B's client leaves them, for the tests of `everloop import wandb`.

The folder `wandb-0.31` was made so, in an empty folder /tmp/flights and with wandb 0.31.0:

    cp written.py /tmp/flights/train.py && python /tmp/flights/train.py
    cp -r /tmp/flights/wandb/offline-run-* wandb-0.31/ && cd wandb-0.31
    find . -type l -delete; find . -name requirements.txt -delete; rm -r */logs */tmp
"""

import os
import sys
import time
from pathlib import Path

FOLDER = Path("/tmp/flights")  # It stands in what is written: it must be nobody's own.
os.environ |= {
    "WANDB_MODE": "offline",
    "WANDB_DIR": str(FOLDER),
    "WANDB_CONFIG_DIR": str(FOLDER / "settings"),
    "WANDB_CACHE_DIR": str(FOLDER / "cache"),
    "WANDB_DATA_DIR": str(FOLDER / "data"),
}

import wandb  # noqa: E402  # It reads the variables.

QUIET = {"x_disable_meta": True, "disable_git": True, "host": "trainer"}


def sweep_trial() -> None:
    """A run with something of everything."""
    settings = wandb.Settings(**QUIET, x_stats_sampling_interval=0.5)
    config = {"rate": 0.1, "layers": [64, 64], "optimizer": {"name": "adam", "beta": 1}}
    named = {"entity": "ops", "project": "flights", "id": "trial0", "name": "trial 0", "group": "sweep"}
    run = wandb.init(
        **named, job_type="train", tags=["night", "big"], notes="# A *note*", config=config, settings=settings
    )
    for step in range(300):
        run.log({"loss": 1 / (1 + step), "eval": {"accuracy": step / 300}})
    run.log({"odd": float("nan"), "big": float("inf"), "small": float("-inf"), "words": "hello", "flag": True})
    run.log({"histogram": wandb.Histogram([1, 2, 3], num_bins=3)})
    run.log({"table": wandb.Table(columns=["a"], data=[[1], [2]])})
    run.config.update({"late": True})
    run.summary["best"] = 0.5
    run.summary["loss"] = 0.25
    sys.stdout.write("hello from the console\n")
    sys.stderr.write("and from its other half\n")
    (FOLDER / "note.txt").write_text("saved")
    run.save(str(FOLDER / "note.txt"), base_path=str(FOLDER))
    time.sleep(3)
    weights = wandb.Artifact("weights", "model")
    weights.add_file(str(FOLDER / "note.txt"))
    run.log_artifact(weights)
    run.finish()


def failed() -> None:
    """A run that fails."""
    run = wandb.init(entity="ops", project="flights", id="failed", settings=wandb.Settings(**QUIET))
    run.log({"loss": 2.0}, step=7)
    run.finish(exit_code=3)


def resumed() -> None:
    """A run that was finished, and went on."""
    for start in (0, 3):
        run = wandb.init(entity="ops", project="flights", id="long", resume="allow", settings=wandb.Settings(**QUIET))
        for step in range(start, start + 3):
            run.log({"loss": step / 2}, step=step)
        run.finish()


if __name__ == "__main__":
    sweep_trial()
    failed()
    resumed()
