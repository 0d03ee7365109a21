"""KServe: an InferenceService that its own definition takes."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from everloop.kernel.errors import Refused
from everloop.packaging.manifests.kserve import written_for
from tests.packaging.manifests.conftest import broken_rules, divided, documents, release, with_shadow, workload


@pytest.mark.parametrize("one", [workload(namespace="models"), divided(95, 5), workload(runtime="platform")])
def test_kserves_own_definition_takes_every_service(one: Any) -> None:
    for service in documents(written_for(one)[0]):
        assert broken_rules(service, "inferenceservice.json") == []


def test_kserves_definition_would_find_a_mistake() -> None:
    (service,) = documents(written_for(workload())[0])
    service["spec"]["predictor"]["canaryTrafficPercent"] = "5"
    service["spec"]["predictor"]["minReplica"] = 1
    assert len(broken_rules(service, "inferenceservice.json")) == 2


def test_a_canary_is_a_second_file_that_moves_its_part() -> None:
    files, notes = written_for(divided(95, 5))
    stable, canary = (yaml.safe_load(files[name])["spec"]["predictor"] for name in ("1-stable.yaml", "2-canary.yaml"))
    assert "canaryTrafficPercent" not in stable
    assert canary["canaryTrafficPercent"] == 5
    assert stable["containers"][0]["image"] != canary["containers"][0]["image"]
    assert "order" in notes[0]


def test_both_files_are_of_one_service() -> None:
    names = {each["metadata"]["name"] for each in documents(written_for(divided(95, 5))[0])}
    assert names == {"late"}


@pytest.mark.parametrize(
    "one", [divided(90, 5, 5), with_shadow(), workload(release("a", 999_999), release("b", 1, "canary"))]
)
def test_what_kserve_cannot_divide_is_refused(one: Any) -> None:
    with pytest.raises(Refused, match="KServe"):
        written_for(one)
