"""Everloop: the whole life of a machine-learning model, closed into a loop.

`import everloop as el` gives what a project declares with (`el.Entity`, `el.step`, `el.Loop`, …) and the two ways to a
platform: `el.open(home)` in process and `el.connect(url)` over HTTP. Names are loaded at first use.
"""

from __future__ import annotations

import importlib

__version__ = "0.1.0"

_HOMES = {
    "open": "everloop.sdk.platform",
    "connect": "everloop.sdk.platform",
}
"""Where each public name lives."""

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'everloop' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
