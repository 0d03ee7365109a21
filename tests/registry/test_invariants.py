"""Whatever one does with the registry, and in whatever order: what always holds."""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from everloop.app.platform import open_platform
from everloop.app.settings import load
from everloop.kernel.errors import EverloopError
from everloop.registry.entities import Field, Model, Signature
from tests.conftest import unsynced
from tests.examples import examples
from tests.homes import fresh

SIGNATURE = Signature((Field("x", "float64"),), (Field("p", "float64"),))
names = st.sampled_from(["delay", "churn"])
numbers = st.integers(0, 4)
alias_names = st.sampled_from(["champion", "steady"])


class Registry(RuleBasedStateMachine):
    """A registry beside what a reader of its answers would expect of it."""

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        home = str(fresh(Path(self.folder.name)))
        self.platform = open_platform(load({"home": home, "seed": 1}, environment={}))
        unsynced(self.platform)
        digest = self.platform.resources.store.put_tree([])
        self.trained = Model("lightgbm", digest, SIGNATURE)
        self.given: dict[str, int] = {}
        self.there: set[str] = set()
        self.alive: dict[str, set[int]] = {"delay": set(), "churn": set()}
        self.pointers: dict[tuple[str, str], int] = {}

    @rule(name=names)
    def register(self, name: str) -> None:
        made = self.platform.call("models.register", {"name": name, "trained": self.trained})
        self.given[name] = self.given.get(name, 0) + 1
        assert made.version == self.given[name]
        self.alive[name].add(made.version)
        self.there.add(name)

    @rule(name=names, alias=alias_names, version=numbers)
    def set_alias(self, name: str, alias: str, version: int) -> None:
        wanted = version or max(self.alive[name], default=0)
        moved = self.attempt("models.set_alias", name=name, alias=alias, version=wanted)
        assert moved == (wanted in self.alive[name])
        if moved:
            self.pointers[name, alias] = wanted

    @rule(name=names, alias=alias_names)
    def delete_alias(self, name: str, alias: str) -> None:
        assert self.attempt("models.delete_alias", name=name, alias=alias) == ((name, alias) in self.pointers)
        self.pointers.pop((name, alias), None)

    @rule(name=names, version=numbers)
    def delete_version(self, name: str, version: int) -> None:
        held = {number for (model, _), number in self.pointers.items() if model == name}
        deleted = self.attempt("models.delete_version", name=name, version=version, reason="try")
        assert deleted == (version in self.alive[name] - held)
        if deleted:
            self.alive[name].discard(version)

    @rule(name=names, version=st.integers(1, 4))
    def promote(self, name: str, version: int) -> None:
        promoted = self.attempt("models.promote", name=name, version=version, reason="try")
        assert promoted == (version in self.alive[name])
        if promoted:
            self.pointers[name, "champion"] = version

    @rule(name=names)
    def delete_model(self, name: str) -> None:
        pointed = any(model == name for model, _ in self.pointers)
        deleted = self.attempt("models.delete", name=name)
        assert deleted == (name in self.there and not pointed)
        if deleted:
            self.alive[name] = set()
            self.there.discard(name)

    @invariant()
    def the_registry_holds_what_is_expected(self) -> None:
        assert {model.name for model in self.platform.call("models.list", {})} == self.there
        for name in self.there:
            versions = [found.version for found in self.platform.call("models.versions", {"name": name})]
            assert versions == sorted(self.alive[name], reverse=True)
            aliases = {(name, a.alias): a.version for a in self.platform.call("models.aliases", {"name": name})}
            assert aliases == {key: number for key, number in self.pointers.items() if key[0] == name}
        assert self.platform.call("audit.verify", {}).intact

    def attempt(self, usecase: str, **arguments: object) -> bool:
        """Whether a call goes through; one that does not leaves no event."""
        before = self.platform.call("audit.verify", {}).entries
        try:
            answer = self.platform.call(usecase, arguments)
        except EverloopError:
            assert self.platform.call("audit.verify", {}).entries == before
            return False
        return bool(msgspec.json.encode(answer))

    def teardown(self) -> None:
        self.platform.close()
        self.folder.cleanup()


TestRegistry = Registry.TestCase
TestRegistry.settings = settings(
    max_examples=examples(8), stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
