"""What must hold of the data, in the files of `checks/`: installed first, so that they judge the first delivery."""

from __future__ import annotations

from pathlib import Path

import everloop as el

suites = el.suites_in(Path(__file__).parent / "checks")
