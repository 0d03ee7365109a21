"""What one can do with loops."""

from __future__ import annotations

import everloop.loop.tables  # noqa: F401 - so that migrations know the tables
