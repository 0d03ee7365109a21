"""What a project declares suites with: `el.Suite("flights", [el.NotNull("origin")], gates=["commit"])`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from everloop.datasets.quality.expectations import Expectation
from everloop.datasets.quality.suites.entities import Place, SuiteDeclaration


def Suite(
    dataset: str,
    expectations: Sequence[Expectation],
    *,
    gates: Sequence[Place] = (),
    on_failure: Literal["refuse", "quarantine"] = "refuse",
) -> SuiteDeclaration:
    """What is expected of a dataset; `everloop apply` puts it in force, also before there is any version.

    `gates` says where it stands in the way (commit, merge, training, deployment), `on_failure` what becomes of a
    commit whose rows fail.
    """
    return SuiteDeclaration(
        dataset=dataset, expectations=tuple(expectations), gates=tuple(gates), on_failure=on_failure
    )
