"""Lambda's runtime API, emulated, with a function that AWS's own runtime client runs."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.server.inference.packages import ROOT

HANDLER = "everloop.server.inference.awslambda.handler"
PROGRAM = (sys.executable, "-m", "awslambdaric", HANDLER)
MAY_TAKE = 60
"""So many seconds a call may take."""


class LambdaFunction:
    """A function in a process of its own; `call` gives what it answers to an event."""

    def __init__(self, package: Path, program: Sequence[str] = PROGRAM, **environment: str) -> None:
        self.events: queue.Queue[tuple[str, Any] | None] = queue.Queue()
        self.answers: queue.Queue[tuple[str, Any]] = queue.Queue()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._door())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self._calls = 0
        clean = {name: value for name, value in os.environ.items() if not name.startswith("EVERLOOP_")}
        variables = {
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self._server.server_port}",
            "LAMBDA_TASK_ROOT": str(package),
            "PYTHONPATH": str(ROOT),
        }
        self.process = subprocess.Popen(program, env=clean | variables | environment, cwd=package)

    def __enter__(self) -> LambdaFunction:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.process.kill()
        self.process.wait()
        self._server.shutdown()
        self._server.server_close()

    def call(self, event: Any) -> tuple[str, Any]:
        """`response` or `error`, and the body."""
        self._calls += 1
        self.events.put((f"call-{self._calls}", event))
        return self.answers.get(timeout=15)

    def _door(self) -> type[BaseHTTPRequestHandler]:
        events, answers = self.events, self.answers

        class Door(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                identity, event = events.get() or ("", None)
                headers = {  # AWS's client crashes when one of them is missing.
                    "Lambda-Runtime-Aws-Request-Id": identity,
                    "Lambda-Runtime-Deadline-Ms": str(int((time.time() + MAY_TAKE) * 1000)),
                    "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-west-1:1:function:late",
                    "Lambda-Runtime-Trace-Id": "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0",
                    "Content-Type": "application/json",
                }
                self._send(200, json.dumps(event).encode(), headers)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answers.put((self.path.rpartition("/")[2], json.loads(body)))
                self._send(202, b"{}", {})

            def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
                self.send_response(status)
                for name, value in (headers | {"Content-Length": str(len(body))}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *words: object) -> None:
                pass

        return Door
