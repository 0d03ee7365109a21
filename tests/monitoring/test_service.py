"""Reports are kept once, alerts live as long as their cause, and the ledger tells."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from everloop.app.platform import Platform
from everloop.catalog.session import Session
from everloop.kernel.clock import SimulatedClock
from everloop.kernel.errors import Conflict, NotFound
from everloop.monitoring import service as monitors
from everloop.monitoring.entities import Alert, AttributionShift, DriftScore, MonitorDefinition, Reference, WindowReport
from tests.monitoring.logs import DAY, START


def drifted(impact: float, feature: str = "wind") -> DriftScore:
    return DriftScore(feature, "mean", 0.3, 1e-9, 20.0, True, impact)


def report(day: int, *scores: DriftScore, **fields: object) -> WindowReport:
    start = START + day * DAY
    return WindowReport("delay", start, start + DAY, 900, 1, drift=scores, **fields)


def alarms(session: Session) -> list[tuple[str, str]]:
    return [(alert.monitor, alert.cause) for alert in monitors.list_alerts(session, "delay", open_only=True)]


def test_a_cause_opens_one_alert_however_long_it_lasts(session: Session) -> None:
    opened = [monitors.observe(session, "delay", report(day, drifted(0.02))) for day in range(5)]
    assert [len(found) for found in opened] == [1, 0, 0, 0, 0]
    (alert,) = monitors.list_alerts(session, "delay")
    assert (alert.window, alert.last_seen) == (START, START + 4 * DAY)
    assert "moves the output by about 0.020" in alert.summary


def test_an_alert_is_resolved_after_three_windows_without_its_cause(session: Session) -> None:
    monitors.observe(session, "delay", report(0, drifted(0.02)))
    seen = []
    for day in range(1, 4):
        monitors.observe(session, "delay", report(day))
        seen.append(len(alarms(session)))
    assert seen == [1, 1, 0]
    assert monitors.list_alerts(session, "delay")[0].resolution == "Gone for 3 windows."


def test_a_cause_that_comes_back_after_that_opens_another_alert(session: Session) -> None:
    for day, scores in enumerate([(drifted(0.02),), (), (), (), (drifted(0.02),)]):
        monitors.observe(session, "delay", report(day, *scores))
    assert len(monitors.list_alerts(session, "delay")) == 2
    assert len(monitors.list_incidents(session, "delay")) == 2


def test_drift_that_hardly_moves_the_output_is_no_alert(session: Session) -> None:
    assert monitors.observe(session, "delay", report(0, drifted(0.004))) == []


def test_an_alert_stays_while_its_drift_lasts_though_it_hardly_moves_the_output_for_a_while(session: Session) -> None:
    for day, impact in enumerate([0.02, 0.001, 0.001, 0.001, 0.001, 0.02]):
        monitors.observe(session, "delay", report(day, drifted(impact)))
    (alert,) = monitors.list_alerts(session, "delay")
    assert (alert.resolved, alert.last_seen) == (None, START + 5 * DAY)


def test_the_severity_follows_the_impact(session: Session) -> None:
    found = monitors.observe(session, "delay", report(0, drifted(0.06, "wind"), drifted(0.02, "rain")))
    assert {alert.cause: alert.severity for alert in found} == {"wind": "critical", "rain": "warning"}


def test_every_monitor_can_open_an_alert(session: Session) -> None:
    shift = AttributionShift("seats", 0.0, 0.3, 0.0, 0.1, 1e-9, 20.0, True)
    early = report(0, drifted(0.02), prediction=drifted(0.0, "output"), attribution=(shift,))
    monitors.observe(session, "delay", early)
    worse = DriftScore("roc_auc", "roc_auc", 0.08, 1e-9, 20.0, True)
    monitors.observe(session, "delay", report(0, drifted(0.02), performance_drift=(worse,), final=True))
    assert sorted(alarms(session)) == [
        ("attribution_drift", "seats"),
        ("data_drift", "wind"),
        ("performance", "roc_auc"),
        ("prediction_drift", "output"),
    ]


def test_alerts_that_overlap_are_one_incident_that_ends_with_the_last(session: Session) -> None:
    monitors.observe(session, "delay", report(0, drifted(0.02, "wind")))
    monitors.observe(session, "delay", report(1, drifted(0.02, "rain")))
    first, second = sorted(monitors.list_alerts(session, "delay"), key=lambda alert: alert.id)
    assert first.incident == second.incident
    monitors.resolve(session, first.id)
    assert monitors.list_incidents(session)[0].closed is None
    monitors.resolve(session, second.id)
    (incident,) = monitors.list_incidents(session)
    assert (incident.alerts, incident.closed) == (2, session.clock.now())


def test_a_report_that_comes_twice_changes_nothing(session: Session) -> None:
    monitors.observe(session, "delay", report(0, drifted(0.02)))
    assert monitors.observe(session, "delay", report(0, drifted(0.02), drifted(0.5, "rain"))) == []
    assert len(monitors.reports(session, "delay")) == 1
    assert len(alarms(session)) == 1


def test_a_final_report_completes_the_first_one(session: Session) -> None:
    monitors.observe(session, "delay", report(0))
    monitors.observe(session, "delay", report(0, labels=850, final=True))
    (kept,) = monitors.reports(session, "delay")
    assert (kept.final, kept.labels) == (True, 850)
    assert monitors.observe(session, "delay", report(0)) == []
    assert monitors.reports(session, "delay", final=True) == [kept]


def test_a_report_of_another_endpoint_is_refused(session: Session) -> None:
    with pytest.raises(Conflict, match="other"):
        monitors.observe(session, "delay", replace(report(0), endpoint="other"))
    with pytest.raises(NotFound):
        monitors.observe(session, "other", replace(report(0), endpoint="other"))


def test_an_alert_resolved_by_hand_cannot_be_resolved_again(session: Session) -> None:
    (alert,) = monitors.observe(session, "delay", report(0, drifted(0.02)))
    assert monitors.resolve(session, alert.id, "The gauge was broken.").resolution == "The gauge was broken."
    with pytest.raises(Conflict, match="gauge"):
        monitors.resolve(session, alert.id)
    with pytest.raises(NotFound):
        monitors.resolve(session, "nope")


def test_references_are_kept_with_the_time_they_were_set(
    session: Session, reference: Reference, clock: SimulatedClock
) -> None:
    first = monitors.set_reference(session, "delay", reference)
    clock.advance(clock.now() + timedelta(days=3))
    second = monitors.set_reference(session, "delay", reference)
    assert monitors.references(session, "delay") == [first, second]
    assert (first.since, second.since) == (START, START + 3 * DAY)
    assert monitors.set_reference(session, "delay", reference) == second
    assert len(monitors.references(session, "delay")) == 2


def test_a_definition_changes_how_alerts_are_judged(session: Session) -> None:
    assert monitors.definition(session, "delay") == MonitorDefinition()
    monitors.define(session, "delay", MonitorDefinition(impact=0.5))
    monitors.define(session, "delay", MonitorDefinition(impact=0.1))
    assert monitors.observe(session, "delay", report(0, drifted(0.09))) == []
    assert len(monitors.observe(session, "delay", report(1, drifted(0.11)))) == 1


def test_the_status_shows_the_last_report_and_what_is_open(session: Session, reference: Reference) -> None:
    empty = monitors.status(session, "delay")
    assert (empty.windows, empty.report, empty.reference_since) == (0, None, None)
    monitors.set_reference(session, "delay", reference)
    monitors.observe(session, "delay", report(0, drifted(0.02)))
    monitors.observe(session, "delay", report(0, drifted(0.02), labels=10, final=True))
    monitors.observe(session, "delay", report(1, drifted(0.02)))
    found = monitors.status(session, "delay")
    assert (found.windows, found.reference_since) == (2, START)
    assert found.report is not None
    assert found.performance is not None
    assert (found.report.start, found.performance.start) == (START + DAY, START)
    assert [alert.cause for alert in found.alerts] == ["wind"]


def test_every_change_is_in_the_ledger(platform: Platform, endpoint: str) -> None:
    platform.call("monitors.define", {"endpoint": endpoint, "definition": {"impact": 0.01}})
    found: list[Alert] = platform.call("monitors.observe", {"endpoint": endpoint, "report": report(0, drifted(0.02))})
    platform.call("monitors.resolve", {"id": found[0].id})
    told = platform.call("audit.entries", {"kind": "monitors."})
    assert [entry.kind for entry in told][::-1] == [
        "monitors.defined",
        "monitors.alert_opened",
        "monitors.alert_resolved",
    ]
