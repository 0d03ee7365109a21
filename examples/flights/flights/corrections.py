"""What is wrong in the registry of planes, corrected on a branch that is merged when it is done.

American and Envoy report fleet numbers and not tail numbers, so that some of their airliners are looked up as the
Cessna or the helicopter that has the number as its registration: those rows tell nothing true of the flight.
"""

from __future__ import annotations

import everloop as el

BRANCH = "airliners-only"
MISTAKEN = """
    SELECT * REPLACE (
        NULL::BIGINT AS year, NULL::VARCHAR AS type, NULL::VARCHAR AS manufacturer, NULL::VARCHAR AS model,
        NULL::BIGINT AS engines, NULL::BIGINT AS seats, NULL::BIGINT AS speed, NULL::VARCHAR AS engine
    )
    FROM planes WHERE seats < 20 ORDER BY tailnum
"""
"""Planes that are too small for the airlines that are said to fly them, with nothing but their numbers left."""
RENAMED = """
    SELECT * REPLACE (regexp_replace(manufacturer, ' (INDUSTRIE|AIRCRAFT CO|CORPORATION)$', '') AS manufacturer)
    FROM planes WHERE manufacturer IN (
        'AIRBUS INDUSTRIE', 'MCDONNELL DOUGLAS AIRCRAFT CO', 'MCDONNELL DOUGLAS CORPORATION'
    ) ORDER BY tailnum
"""
"""Planes whose manufacturer is written in more than one way, with the short one."""


def correct(ever: el.Everloop) -> None:
    """Correct the registry on a branch while main gets one spelling of each manufacturer; then merge, row by row."""
    datasets = ever.datasets
    mistaken = datasets.derive("planes_mistaken", MISTAKEN, ("planes@1",))
    renamed = datasets.derive("planes_renamed", RENAMED, ("planes@1",))
    if BRANCH not in [branch.name for branch in datasets.branches("planes")]:
        datasets.branch("planes", BRANCH, at="1")
    _upsert(ever, mistaken, BRANCH, "What is registered under fleet numbers is no airliner")
    _upsert(ever, renamed, "main", "One spelling of each manufacturer")
    datasets.merge("planes", BRANCH, keys=("tailnum",))
    datasets.tag("planes", "corrected", note="Airliners only, and one spelling of each manufacturer")


def _upsert(ever: el.Everloop, rows: el.Snapshot, branch: str, note: str) -> None:
    source = f"{rows.dataset}@{rows.version}"
    ever.datasets.upsert("planes", rows.digest, "parquet", ("tailnum",), note=note, branch=branch, source=source)
