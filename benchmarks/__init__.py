"""Benchmarks: what the platform's own paths cost, each beside a physical limit or a plain library on the same work.

`python -m benchmarks` runs them all, `python -m benchmarks store calls` some, `--json` prints the figures as data and
`--write` puts them into `RESULTS.md`. Nothing here is a test: no figure is asserted anywhere.
"""
