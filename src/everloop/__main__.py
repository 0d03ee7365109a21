"""`python -m everloop` is the command line."""

from __future__ import annotations

from everloop.cli.main import main

main()
