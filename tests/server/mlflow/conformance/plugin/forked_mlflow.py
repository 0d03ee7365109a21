"""MLflow's own server, forked off this process, which has imported all of it: each line asks for one.

A line in is JSON (`database`, `root`, `port`), a line out is the id of the process. It is run by the Python that
has MLflow.
"""

from __future__ import annotations

import json
import os
import signal
import sys


def main() -> None:
    """Fork a server for each line until there are no more."""
    from mlflow.server import ARTIFACT_ROOT_ENV_VAR, BACKEND_STORE_URI_ENV_VAR
    from mlflow.server.fastapi_app import app

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # The kernel takes those away that have ended.
    for line in sys.stdin:
        wanted = json.loads(line)
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.environ |= {BACKEND_STORE_URI_ENV_VAR: wanted["database"], ARTIFACT_ROOT_ENV_VAR: wanted["root"]}
            os.dup2(2, 1)
            _serve(app, wanted["port"])
            os._exit(0)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()


def _serve(app: object, port: int) -> None:
    import uvicorn

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")


main()
