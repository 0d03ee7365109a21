"""Versions, aliases and stages, whatever one does with them and in whatever order."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from everloop.app.platform import open_platform
from everloop.app.settings import load
from everloop.kernel.errors import EverloopError
from everloop.registry import service as models
from everloop.registry.entities import Stage
from everloop.registry.stages import ALIASES
from tests.conftest import unsynced
from tests.examples import examples
from tests.homes import fresh
from tests.registry.making import registered

numbers = st.integers(1, 4)
stages = st.sampled_from(["None", "Staging", "Production", "Archived"])
alias_names = st.sampled_from(["champion", "staging", "production"])


class Staged(RuleBasedStateMachine):
    """A model beside what a reader of its answers expects of its stages and aliases."""

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        home = str(fresh(Path(self.folder.name)))
        self.platform = open_platform(load({"home": home, "seed": 1}, environment={}))
        unsynced(self.platform)
        self.given = 0
        self.stage: dict[int, Stage] = {}
        self.champion = 0
        self.register()

    @rule()
    def register(self) -> None:
        with self.platform.session().begin() as unit:
            made = registered(unit)
        self.given += 1
        assert (made.version, made.stage) == (self.given, "None")
        self.stage[made.version] = "None"

    @rule(version=numbers, stage=stages, archive=st.booleans())
    def transition(self, version: int, stage: Stage, archive: bool) -> None:
        moved = self.attempt("models.transition", version=version, stage=stage, archive_existing=archive)
        assert moved == (version in self.stage and (not archive or stage in ALIASES))
        if moved:
            others = [one for one, where in self.stage.items() if archive and where == stage]
            self.stage |= dict.fromkeys(others, "Archived") | {version: stage}

    @rule(version=numbers, alias=alias_names)
    def set_alias(self, version: int, alias: str) -> None:
        moved = self.attempt("models.set_alias", version=version, alias=alias)
        assert moved == (version in self.stage)
        if not moved:
            return
        if alias == "champion":
            self.champion = version
            return
        stage = next(one for one, name in ALIASES.items() if name == alias)
        inside = [one for one, where in self.stage.items() if where == stage]
        self.stage |= dict.fromkeys(inside, "Archived") | {version: stage}

    @rule(alias=alias_names)
    def delete_alias(self, alias: str) -> None:
        deleted = self.attempt("models.delete_alias", alias=alias)
        assert deleted == (alias in self.named())
        if deleted and alias == "champion":
            self.champion = 0
        elif deleted:
            self.stage |= {one: "None" for one, where in self.stage.items() if ALIASES.get(where) == alias}

    @rule(version=numbers)
    def delete_version(self, version: int) -> None:
        held = version in self.named().values()
        deleted = self.attempt("models.delete_version", version=version, reason="try")
        assert deleted == (version in self.stage and not held)
        if deleted:
            del self.stage[version]

    @rule(version=numbers)
    def withdraw(self, version: int) -> None:
        if version in self.stage:
            with self.platform.session().begin() as unit:
                models.withdraw(unit, "delay", version, "try")
            del self.stage[version]
            self.champion = 0 if self.champion == version else self.champion

    @invariant()
    def each_version_is_where_it_was_put(self) -> None:
        found = self.platform.call("models.versions", {"name": "delay"})
        assert {one.version: one.stage for one in found} == self.stage
        assert self.platform.call("models.get", {"name": "delay"}).latest == self.given

    @invariant()
    def an_alias_names_the_newest_of_its_stage(self) -> None:
        found = {one.alias: one.version for one in self.platform.call("models.aliases", {"name": "delay"})}
        assert found == self.named()

    def named(self) -> dict[str, int]:
        """The aliases that there should be."""
        found = {"champion": self.champion} if self.champion else {}
        for stage, alias in ALIASES.items():
            inside = [one for one, where in self.stage.items() if where == stage]
            found |= {alias: max(inside)} if inside else {}
        return found

    def attempt(self, usecase: str, **arguments: object) -> bool:
        """Whether a call was let through."""
        try:
            self.platform.call(usecase, {"name": "delay"} | arguments)
        except EverloopError:
            return False
        return True

    def teardown(self) -> None:
        self.platform.close()
        self.folder.cleanup()


TestStages = Staged.TestCase
TestStages.settings = settings(
    max_examples=examples(8), stateful_step_count=15, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
