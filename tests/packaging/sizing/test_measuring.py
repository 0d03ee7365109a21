"""Measuring: a real server under a real load, and what is made of it."""

from __future__ import annotations

import pytest
import yaml

from everloop.app.platform import Platform
from everloop.kernel.errors import InvalidInput, NotFound, Unavailable
from everloop.packaging.manifests.entities import Manifests
from everloop.packaging.sizing.entities import ModelProfile, Sizing


@pytest.fixture
def profile(registered: Platform) -> ModelProfile:
    """What was measured of version 1, with a latency that any machine meets."""
    found: ModelProfile = registered.call("packages.measure", {"model": "delay", "latency_ms": 2000.0, "quick": True})
    return found


@pytest.mark.slow
def test_a_version_is_measured_under_rising_loads_and_the_profile_is_kept(
    registered: Platform, profile: ModelProfile
) -> None:
    assert registered.call("packages.profile", {"model": "delay"}) == profile
    assert [point.offered for point in profile.points] == sorted(point.offered for point in profile.points)
    assert profile.sustained >= profile.points[0].offered
    assert profile.alone.errors == 0
    assert profile.memory_mib > 20
    assert profile.start_seconds > 0
    assert profile.digest == registered.call("models.version", {"name": "delay"}).trained.digest


@pytest.mark.slow
def test_what_was_measured_is_an_event_and_what_the_manifests_ask_for(
    registered: Platform, profile: ModelProfile
) -> None:
    (entry,) = registered.call("audit.entries", {"kind": "packages.measured"})
    assert entry.subject == "model:default/delay@1"
    found: Manifests = registered.call("packages.manifest", {"model": "delay"})
    (deployment, *_) = yaml.safe_load_all(found.files["delay-v1.yaml"])
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert int(container["resources"]["requests"]["memory"].removesuffix("Mi")) >= profile.memory_mib
    assert found.notes[0].startswith("Size: measured")


@pytest.mark.slow
def test_a_size_is_reckoned_from_the_profile(registered: Platform, profile: ModelProfile) -> None:
    asked = {"model": "delay", "rate": 10 * profile.sustained, "latency_ms": 2000.0}
    found: Sizing = registered.call("packages.size", asked)
    assert found.sustained == profile.sustained
    assert found.replicas > 10


def test_what_was_never_measured_has_no_size(registered: Platform) -> None:
    with pytest.raises(NotFound, match="not measured") as missing:
        registered.call("packages.size", {"model": "delay", "rate": 100.0})
    assert "everloop packages measure" in missing.value.hint


def test_a_latency_that_means_nothing_starts_no_server(registered: Platform) -> None:
    with pytest.raises(InvalidInput, match="latency"):
        registered.call("packages.measure", {"model": "delay", "latency_ms": -1.0})


@pytest.mark.slow
def test_a_server_that_does_not_start_says_why(registered: Platform) -> None:
    from everloop.app.modelservers import EverloopServers

    servers = EverloopServers(registered.settings.values)
    with pytest.raises(Unavailable, match="ghost"), servers.started("default", "ghost", 1, (0,)):
        pass
