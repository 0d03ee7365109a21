"""How a candidate goes on: trained, registered, examined, rolled out, promoted or stopped.

Long work (training, examining) happens between transactions; each transaction moves the candidate together with all
that the move stands for. Training again after a crash costs little, since the pipeline's memo has the finished steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from everloop.catalog.session import Session
from everloop.kernel.errors import Conflict, InvalidInput, NotFound, Refused, StepFailed
from everloop.kernel.usecase import Json
from everloop.loop import candidates as states
from everloop.loop import service
from everloop.loop.entities import Candidate, GateResult, Loop
from everloop.loop.examination import Examination
from everloop.loop.reproduction import model_of
from everloop.loop.watch import Watch
from everloop.monitoring import service as monitors
from everloop.monitoring.entities import MonitorDefinition
from everloop.pipelines import service as pipelines
from everloop.pipelines.entities import Execution
from everloop.registry import service as models
from everloop.registry.calibration.service import calibrate, calibration
from everloop.registry.entities import Model
from everloop.registry.policies import gates
from everloop.registry.policies.entities import ApprovalMissing, GateJudgement
from everloop.rollouts import service as rollouts
from everloop.rollouts.decision import percents
from everloop.rollouts.entities import Evidence, Rollout
from everloop.serving import service as endpoints
from everloop.serving.entities import Share


@dataclass
class Errand:
    """A candidate on its way during one tick, and what was done for it, as sentences."""

    session: Session
    loop: Loop
    watch: Watch | None
    candidate: Candidate
    actions: list[str] = field(default_factory=list)

    def run(self) -> Candidate:
        """Take the candidate as far as it can go now."""
        steps = {"proposed": self._begin, "training": self._train, "gated": self._launch, "rolling_out": self._judge}
        while (step := steps.get(self.candidate.status)) is not None:
            before = self.candidate
            self.candidate = step()
            if self.candidate == before:
                break
        return self.candidate

    def _begin(self) -> Candidate:
        with self.session.begin() as unit:
            return states.begin_training(unit, self.candidate)

    def _train(self) -> Candidate:
        """Train and register, then examine; a version that is registered already is examined only."""
        candidate = self.candidate
        if candidate.version:
            return self._examine()
        try:
            execution = self._execution()
            return self._register(execution, model_of(execution))
        except (StepFailed, InvalidInput, NotFound, Refused) as error:
            return self._refuse(f"Training failed: {error.message}")

    def _register(self, execution: Execution, model: Model) -> Candidate:
        candidate = self.candidate
        models.compile_first(self.session, self.loop.model, model)
        with self.session.begin() as unit:
            note = f"Candidate {candidate.number} of loop {self.loop.name}: {candidate.reason}"
            version = models.register(unit, self.loop.model, model, run=execution.run, note=note)
            self._say(f"Trained version {version.version} ({_figures(model)}).")
            return states.trained(unit, candidate, execution.id, version.version)

    def _execution(self) -> Execution:
        """The execution whose output is the candidate's model: the one that was named, or a new one."""
        candidate = self.candidate
        if candidate.execution:
            with self.session.begin(write=False) as unit:
                return pipelines.execution(unit, candidate.execution)
        return pipelines.run(self.session, candidate.pipeline, candidate.arguments)

    def _examine(self) -> Candidate:
        candidate = self.candidate
        with self.session.begin(write=False) as unit:
            version = models.version(unit, candidate.model, candidate.version)
            folder = Path(pipelines.get(unit, candidate.pipeline).folder)
            came_from = (unit.urn("model", candidate.model, candidate.version),)
        examination = Examination(self.session, version.trained, self._champion, folder, came_from)
        results = () if candidate.skip_gates else examination.results(self.loop.gates)
        refused = [result for result in results if not result.passed]
        if refused:
            return self._refuse(" ".join(result.message for result in refused), results)
        with self.session.begin() as unit:
            passed = f"Version {version.version} passed {len(results)} gates."
            self._say(passed if results else "Its gates were skipped.")
            self._judged(unit, results)
            return states.gated(unit, candidate, results, examination.measured)

    def _champion(self, alias: str) -> Model | None:
        with self.session.begin(write=False) as unit:
            found = service.champion_of(unit, self.loop.model, alias)
        return found.trained if found else None

    def _launch(self) -> Candidate:
        """Begin the rollout; the first version of all, which nothing can be compared with, gets all traffic at once."""
        with self.session.begin(write=False) as unit:
            is_first = service.champion_of(unit, self.loop.model) is None
        if problem := self._calibrated():
            return self._refuse(f"It cannot be served: {problem}")
        if is_first:
            return self._launch_first()
        with self.session.begin() as unit:
            try:
                rollout = rollouts.start(unit, self.loop.endpoint, self.candidate.version, self.loop.rollout)
            except (Conflict, Refused, InvalidInput, NotFound) as error:
                return self._stop(unit, f"Its rollout could not begin: {error.message}")
            share = percents(rollout.strategy)[0]
            self._say(f"Version {self.candidate.version} meets its first {share:g} % of the traffic.")
            return states.rolling_out(unit, self.candidate, rollout.id)

    def _calibrated(self) -> str:
        """Measure the intervals that the endpoint answers with, of which a new version has none; what prevents it."""
        loop, version = self.loop, self.candidate.version
        with self.session.begin(write=False) as unit:
            if not any(one.name == loop.endpoint for one in endpoints.list_endpoints(unit)):
                return ""
            stable = endpoints.get(unit, loop.endpoint).stable
            deployed = endpoints.deployments(unit, loop.endpoint)
            alpha = next(one.configuration.interval for one in deployed if one.revision == stable)
            digest = models.version(unit, loop.model, version).trained.digest
            if not alpha or calibration(unit, digest, alpha) is not None:
                return ""
        try:
            measured = calibrate(self.session, loop.model, version, alpha)
        except (Refused, InvalidInput, NotFound) as error:
            return error.message
        self._say(f"Version {version} answers with intervals of ±{measured.margin:.4g}, measured on its holdout.")
        return ""

    def _launch_first(self) -> Candidate:
        try:
            with self.session.begin() as unit:
                return self._promote_first(unit)
        except ApprovalMissing as error:
            return self._wait(error)
        except (Conflict, Refused, InvalidInput, NotFound) as error:
            with self.session.begin() as unit:
                return self._stop(unit, f"It cannot be served: {error.message}")

    def _promote_first(self, unit: Session) -> Candidate:
        loop, candidate = self.loop, self.candidate
        reason = "It is the first version."
        if any(endpoint.name == loop.endpoint for endpoint in endpoints.list_endpoints(unit)):
            deployment = endpoints.deploy(unit, loop.endpoint, candidate.version)
            endpoints.set_traffic(unit, loop.endpoint, (Share(deployment.revision, 100.0),))
        else:
            endpoints.create(unit, loop.endpoint, loop.model, label_key=loop.label.key, version=candidate.version)
            monitors.define(unit, loop.endpoint, MonitorDefinition(labels_within=loop.label.within))
        self._promote(unit, reason)
        return states.promoted(unit, candidate, reason)

    def _judge(self) -> Candidate:
        """Let the guards judge the evidence; promotion moves alias and traffic in one transaction."""
        with self.session.begin(write=False) as unit:
            before = rollouts.get(unit, self.candidate.rollout)
        if before.status != "running":
            with self.session.begin() as unit:
                return self._ended(unit, before)
        evidence = self.watch.evidence(before) if self.watch else Evidence()
        try:
            with self.session.begin() as unit:
                if rollouts.get(unit, before.id).status != "running":
                    return self.candidate  # Somebody ended it meanwhile; the next tick sees what became of it.
                after = self._advanced(unit, before, evidence)
                if after.status != "running":
                    return self._ended(unit, after)
        except ApprovalMissing as error:
            return self._wait(error)
        if after.step != before.step:
            share = percents(after.strategy)[after.step]
            self._say(f"Version {after.version} goes on to {share:g} % of the traffic: {after.reason}")
        return self.candidate

    def _advanced(self, unit: Session, before: Rollout, evidence: Evidence) -> Rollout:
        """The rollout, one judgement on; somebody's rejection of the version ends it."""
        decisions = models.approvals(unit, self.loop.model, self.candidate.version)
        if decisions and decisions[0].decision == "rejected":
            reason = f"{decisions[0].approver} rejected it: {decisions[0].reason}"
            return rollouts.abort(unit, before.id, reason)
        return rollouts.advance(unit, before.id, evidence)

    def _wait(self, error: ApprovalMissing) -> Candidate:
        """Stay where the candidate is, until what it lacks is there: nothing of the promotion was kept."""
        self._say(f"Version {self.candidate.version} waits: {error.message}")
        return self.candidate

    def _ended(self, unit: Session, rollout: Rollout) -> Candidate:
        if rollout.status == "promoted":
            self._promote(unit, rollout.reason)
            return states.promoted(unit, self.candidate, rollout.reason, rollout.units)
        self._say(f"Version {rollout.version} was rolled back after {rollout.units} predictions: {rollout.reason}")
        self._reject(unit, rollout.reason)
        return states.rolled_back(unit, self.candidate, rollout.reason, rollout.units)

    def _promote(self, unit: Session, reason: str) -> None:
        said = [msgspec.to_builtins(result) for result in self.candidate.gates]
        evidence: dict[str, Json] = {"candidate": self.candidate.id, "rollout": self.candidate.rollout, "gates": said}
        models.promote(unit, self.loop.model, self.candidate.version, reason, evidence)
        self._say(f"Version {self.candidate.version} is the champion: {reason}")

    def _refuse(self, reason: str, results: Sequence[GateResult] = ()) -> Candidate:
        with self.session.begin() as unit:
            return self._stop(unit, reason, results)

    def _stop(self, unit: Session, reason: str, results: Sequence[GateResult] = ()) -> Candidate:
        name = f"version {self.candidate.version}" if self.candidate.version else "the candidate"
        self._say(f"Refused {name}: {reason}")
        self._judged(unit, results)
        self._reject(unit, reason)
        return states.refused(unit, self.candidate, reason, results or self.candidate.gates)

    def _judged(self, unit: Session, results: Sequence[GateResult]) -> None:
        """Note for policies what gates said of the version."""
        if results:
            version = models.version(unit, self.candidate.model, self.candidate.version)
            name, digest, now = version.model, version.trained.digest, unit.clock.now()
            loop = unit.urn("loop", self.loop.name)
            told = [
                GateJudgement(name, version.version, digest, it.gate, it.passed, it.message, loop, now)
                for it in results
            ]
            gates.record(unit, version, told)

    def _reject(self, unit: Session, reason: str) -> None:
        if self.candidate.version:
            evidence = {"candidate": self.candidate.id}
            models.approve(unit, self.loop.model, self.candidate.version, "rejected", reason, evidence)

    def _say(self, sentence: str) -> None:
        self.actions.append(sentence)


def _figures(model: Model) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in sorted(model.metrics.items())) or model.flavor
