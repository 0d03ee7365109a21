"""W&B offline: seconds of each call, and bytes a point in its file, as JSON. Runs in a peer's Python."""

import json
import os
import sys
import time
from pathlib import Path

os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_DIR": sys.argv[1]}
import wandb

CALLS, RUNS = 20_000, 3


def main():
    """Runs that are begun, and one that is logged to."""
    begun = time.perf_counter()
    for _ in range(RUNS):
        run = wandb.init(project="bench", reinit="finish_previous", settings=wandb.Settings(x_disable_stats=True))
    started = (time.perf_counter() - begun) / RUNS
    cpu = time.thread_time()
    for step in range(CALLS):
        run.log({"loss": step / 7}, step=step)
    cpu = (time.thread_time() - cpu) / CALLS
    run.finish()
    size = max(file.stat().st_size for file in Path(sys.argv[1]).rglob("*.wandb"))
    print(json.dumps({"log_metric": cpu, "create_run": started, "bytes": size / CALLS}))


main()
