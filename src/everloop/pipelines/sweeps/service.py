"""What one can do with sweeps."""

from __future__ import annotations

from everloop.pipelines.sweeps import tables as _tables  # noqa: F401
