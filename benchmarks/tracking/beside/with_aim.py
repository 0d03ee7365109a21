"""Aim: seconds of each call, as JSON. Runs in a peer's Python."""

import json
import sys
import time

import aim

CALLS, RUNS = 20_000, 10


def main():
    """Runs that are begun, and one that is logged to."""
    repo = aim.Repo.from_path(sys.argv[1], init=True)
    begun = time.perf_counter()
    for _ in range(RUNS):
        run = aim.Run(repo=repo, system_tracking_interval=None, log_system_params=False, capture_terminal_logs=False)
    started = (time.perf_counter() - begun) / RUNS
    cpu = time.thread_time()
    for step in range(CALLS):
        run.track(step / 7, name="loss", step=step)
    cpu = (time.thread_time() - cpu) / CALLS
    run.close()
    print(json.dumps({"log_metric": cpu, "create_run": started}))


main()
