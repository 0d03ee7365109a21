"""Make the example's data: the parcels of the last two months, and the queue at each depot, hour by hour."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from math import exp
from pathlib import Path
from random import Random

HOURS = 1500


def main() -> None:
    """Write depots.csv and parcels.csv here."""
    draw = Random(7)
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=HOURS)
    depots: list[tuple[object, ...]] = [("depot", "at", "queue")]
    parcels: list[tuple[object, ...]] = [("parcel", "depot", "sent_at", "told_at", "weight", "late")]
    for hour in range(HOURS):
        for depot in ("east", "west"):
            at, queue, weight = start + timedelta(hours=hour), draw.gauss(20, 8), draw.expovariate(0.5)
            depots.append((depot, at.isoformat(), round(queue, 1)))
            if draw.random() < 0.7:
                late = draw.random() < 1 / (1 + exp(4 - queue / 8 - weight / 2))
                sent = at + timedelta(minutes=10)
                told = sent + timedelta(hours=20)
                parcel = f"p{len(parcels)}"
                parcels.append((parcel, depot, sent.isoformat(), told.isoformat(), round(weight, 2), int(late)))
    for name, rows in (("depots.csv", depots), ("parcels.csv", parcels)):
        with Path(name).open("w", newline="") as file:
            csv.writer(file).writerows(rows)


if __name__ == "__main__":
    main()
