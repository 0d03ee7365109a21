"""MLflow's client at work with the store of a URI: seconds of each call, as JSON. Runs in a peer's Python."""

import json
import os
import sys
import time
from pathlib import Path

os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
from mlflow import MlflowClient
from mlflow.entities import Metric

CALLS, BATCHES, RUNS, POINTS = 200, 20, 50, 20_000


def timed(work, times):
    """Seconds of one of several calls."""
    work(0)
    begun = time.perf_counter()
    for number in range(1, times + 1):
        work(number)
    return (time.perf_counter() - begun) / times


def batch(number):
    """A thousand points of ten metrics."""
    now = 1_760_000_000_000 + number * 1000
    return [Metric(f"m{n % 10}", n / 7, now + n, number * 100 + n // 10) for n in range(1000)]


def fill(client, run):
    """Points of a long run."""
    for start in range(0, POINTS, 1000):
        points = [Metric("loss", n / 7, 1_760_000_000_000 + n, n) for n in range(start, start + 1000)]
        client.log_batch(run, points)


def felt(client, run):
    """Seconds of the caller's own processor time in one call that does not wait."""
    client.log_metric(run, "later", 0.5, step=0, synchronous=False).wait()
    cpu = time.thread_time()
    for step in range(1, CALLS):
        last = client.log_metric(run, "later", 0.5, step=step, synchronous=False)
    cpu = time.thread_time() - cpu
    last.wait()
    return cpu / (CALLS - 1)


def size_of(uri):
    """The bytes of the file of a URI; none of what is elsewhere."""
    path = uri.removeprefix("sqlite:///")
    return Path(path).stat().st_size if path != uri else 0


def main(uri):
    """The calls of a working day."""
    client = MlflowClient(uri)
    run, long = (client.create_run("0").info.run_id for _ in range(2))
    empty = size_of(uri)
    fill(client, long)
    stored = (size_of(uri) - empty) / POINTS
    seconds = {
        "log_metric": timed(lambda n: client.log_metric(run, "loss", 0.5, step=n), CALLS),
        "log_batch": timed(lambda n: client.log_batch(run, batch(n)), BATCHES) / 1000,
        "create_run": timed(lambda _: client.create_run("0"), RUNS),
        "log_async": felt(client, run),
        "bytes": stored,
        "history": timed(lambda _: client.get_metric_history(long, "loss"), 2) / POINTS,
    }
    print(json.dumps(seconds))


main(sys.argv[1])
