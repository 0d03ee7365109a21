"""The process that a sandboxed model lives in: it gives up its rights, loads the model, and answers until it is left.

`python -m everloop.backends.sandboxes.child FD ORDER`; nothing with threads may be imported before it is confined.
"""

from __future__ import annotations

import importlib
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec

from everloop.backends.sandboxes import line
from everloop.backends.sandboxes.confinement import Isolation, Limits, confine
from everloop.kernel.errors import EverloopError, Misconfigured, Problem

if TYPE_CHECKING:
    from everloop.registry.flavor import CodeFlavor, Flavor, Predictor


class Order(msgspec.Struct, frozen=True):
    """What to load, and how: the flavor as `module:class`, the model's folder, with its code or without."""

    flavor: str
    folder: str
    code: bool
    scratch: str
    hidden: tuple[str, ...]
    limits: Limits
    must_be_offline: bool


def main(arguments: list[str]) -> int:
    """Serve one model over the file descriptor."""
    wire = socket.socket(fileno=int(arguments[0]))
    order = msgspec.json.decode(arguments[1], type=Order)
    isolation = confine(Path(order.scratch), [Path(path) for path in order.hidden], order.limits)
    try:
        predictor = _loaded(order, isolation)
        tensors = hasattr(predictor, "infer")
        line.send(wire, line.Ready(predictor.inputs, tensors, isolation.namespaces, isolation.filtered))
    except BaseException as error:  # noqa: BLE001 - foreign code may raise anything, and its owner wants to read it
        line.send(wire, line.Failed(_problem(error)))
        return 1
    while body := line.receive(wire):
        line.send(wire, _answered(predictor, msgspec.msgpack.decode(body, type=line.Ask)))
    return 0


def _loaded(order: Order, isolation: Isolation) -> Predictor:
    if order.must_be_offline and not isolation.offline:
        raise Misconfigured(
            "This machine cannot keep a process from the network: it allows neither namespaces nor a seccomp filter.",
            hint="Allow user namespaces, or set sandbox_isolation to best-effort, and know what you run.",
        )
    os.chdir(order.scratch)
    module, _, name = order.flavor.partition(":")
    flavor = getattr(importlib.import_module(module), name)()
    folder = Path(order.folder)
    return cast("CodeFlavor", flavor).load_trusted(folder) if order.code else cast("Flavor", flavor).load(folder)


def _answered(predictor: Predictor, asked: line.Ask) -> line.Word:
    try:
        columns = line.unpacked(asked.columns)
        if asked.what == "infer":
            return line.Gave(line.packed(predictor.infer(columns)))  # type: ignore[attr-defined]  # as it said
        ask = predictor.predict if asked.what == "predict" else predictor.contributions
        return line.Gave(line.packed({"": ask(columns)}))
    except BaseException as error:  # noqa: BLE001 - foreign code may raise anything; the next request is answered
        return line.Failed(_problem(error))


def _problem(error: BaseException) -> Problem:
    if isinstance(error, EverloopError):
        return error.problem
    import traceback

    traceback.print_exception(error)
    return Problem(EverloopError.code, f"The model raised {type(error).__name__}: {error}"[:1000])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
