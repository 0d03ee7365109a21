"""What is known about a flight when it is asked about, two hours before its scheduled hour."""

from __future__ import annotations

import everloop as el

airport = el.Entity("airport", keys=["origin"])
airline = el.Entity("airline", keys=["carrier"])
plane = el.Entity("plane", keys=["tailnum"])

weather = el.FeatureView(
    "airport_weather",
    entity=airport,
    source=el.table("weather"),
    timestamp="time_hour",
    available_after="1h",  # The reading of an hour is published when the hour is over.
    ttl="3h",
    features=lambda t: [t.temp, t.humid, t.wind_speed, t.precip, t.visib, t.pressure],
)
planes = el.FeatureView(
    "plane", entity=plane, source=el.table("planes"), features=lambda t: [t.year, t.seats, t.engines]
)
airport_departures = el.FeatureView(
    "airport_departures",
    entity=airport,
    source=el.table("departures"),
    timestamp="departed_at",
    features=lambda t: [
        el.window(t.dep_delay.mean(), "2h"),
        el.window(t.dep_delay.mean(), "24h"),
        el.window(t.count(), "2h").named("traffic_2h"),
    ],
)
airport_landings = el.FeatureView(
    "airport_landings",
    entity=airport,
    source=el.table("landings"),
    timestamp="landed_at",
    features=lambda t: [el.window(t.arr_delay.mean(), "3h"), el.window(t.arr_delay.mean(), "24h")],
)
airline_landings = el.FeatureView(
    "airline_landings",
    entity=airline,
    source=el.table("landings"),
    timestamp="landed_at",
    features=lambda t: [
        el.window(t.arr_delay.mean(), "6h"),
        el.window(t.arr_delay.mean(), "24h"),
        el.window(t.count(), "24h").named("traffic_24h"),
    ],
)

delay = el.FeatureService(
    "delay",
    views=[weather, planes, airport_departures, airport_landings, airline_landings],
    request={
        "distance": "float64",
        "hour": "float64",
        "minute": "float64",
        "weekday": "float64",
        "carrier": "string",
        "origin": "string",
    },
)
