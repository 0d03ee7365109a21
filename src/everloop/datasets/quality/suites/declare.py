"""What a project declares suites with: `el.Suite("flights", [el.NotNull("origin")], gates=["commit"])`, or files."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from everloop.datasets.quality.expectations import Expectation
from everloop.datasets.quality.suites.entities import Place, SuiteDeclaration
from everloop.kernel.errors import NotFound


@runtime_checkable
class Schema(Protocol):
    """A schema of pandera's, whose text is what is read."""

    def to_yaml(self) -> str | None:
        """The schema as text."""
        ...


def Suite(
    dataset: str,
    expectations: Sequence[Expectation] | Schema,
    *,
    gates: Sequence[Place] = (),
    on_failure: Literal["refuse", "quarantine"] = "refuse",
) -> SuiteDeclaration:
    """What is expected of a dataset; `everloop apply` puts it in force, also before there is any version.

    `gates` says where it stands in the way (commit, merge, training, deployment), `on_failure` what becomes of a
    commit whose rows fail. A `DataFrameSchema` of pandera's will do too; it warns of what could not be taken.
    """
    taken = _of_pandera(expectations, dataset) if isinstance(expectations, Schema) else tuple(expectations)
    return SuiteDeclaration(dataset=dataset, expectations=taken, gates=tuple(gates), on_failure=on_failure)


def suites_in(folder: str | Path) -> list[SuiteDeclaration]:
    """The suites that the files of a folder declare (`*.yaml`, by name), as `datasets suggest` writes them.

    A file is called as its dataset is (`flights.yaml`, `flights.checks.yaml`).

    Raises:
        InvalidInput: a file is no suite, with the line, or that of another dataset.
        NotFound: there is no such file.
    """
    from everloop.datasets.quality.suitefile import read_suite

    files = sorted(Path(folder).glob("*.yaml"))
    if not files:
        raise NotFound(f"No suite is in {folder}.", hint="Write one: everloop datasets suggest NAME > NAME.yaml.")
    return [read_suite(file.read_text("utf-8"), file.name.partition(".")[0]) for file in files]


def _of_pandera(schema: Schema, dataset: str) -> tuple[Expectation, ...]:
    from everloop.datasets.quality.importers import pandera

    found = pandera.read(schema.to_yaml() or "", dataset)
    for left in found.not_taken:
        warnings.warn(f"Suite of {dataset}: {left.what} was not taken: {left.reason}.", stacklevel=3)
    return found.expectations
