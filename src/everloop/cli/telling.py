"""What people are told where an answer has more fields than they can read: one line for each thing that matters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from everloop.cli import tracked

if TYPE_CHECKING:
    from everloop.datasets.entities import Snapshot
    from everloop.datasets.history.entities import Branch, Merge, Tag
    from everloop.datasets.quality.entities import CheckReport, Suite
    from everloop.datasets.remotes.entities import Pull, Push
    from everloop.datasets.splits.entities import Split

Told = Callable[[Any], object]


def history(found: list[Snapshot]) -> list[dict[str, object]]:
    """Versions, one a line: `2  main  11 files, 24,010 bytes`."""
    return [
        {
            "version": one.version,
            "created": one.created,
            "branch": one.branch,
            "author": one.author,
            "holds": _held(one),
            "from": ", ".join(f"{one.dataset}@{base}" for base in one.base) or ", ".join(one.parents),
            "digest": one.digest,
            "note": one.note,
        }
        for one in found
    ]


def check(report: CheckReport) -> object:
    """A verdict, and each expectation in words."""
    from everloop.datasets.quality.words import sentence_of

    return {
        "checked": f"{report.dataset}@{report.version}",
        "passed": report.passed,
        "results": [
            {
                "verdict": "passed" if one.passed else one.expectation.severity,
                "expectation": sentence_of(one.expectation),
                "rows that fail": f"{one.failures:,} of {one.rows:,}" if one.rows > 1 else "",
                "such as": one.sample,
                "observed": one.observed,
                "reference": one.reference,
            }
            for one in report.results
        ],
    }


def checks(found: list[CheckReport]) -> list[dict[str, object]]:
    """Reports, one a line, with how many expectations failed and warned."""
    return [
        {
            "version": report.version,
            "at": report.at,
            "passed": report.passed,
            "expectations": len(report.results),
            "failed": sum(not one.passed and one.expectation.severity == "error" for one in report.results),
            "warned": sum(not one.passed and one.expectation.severity == "warning" for one in report.results),
        }
        for report in found
    ]


def suite(found: Suite) -> list[dict[str, object]]:
    """What is expected, in words."""
    from everloop.datasets.quality.words import sentence_of

    return [{"severity": one.severity, "expectation": sentence_of(one)} for one in found.expectations]


def split(found: Split) -> str:
    """The parts with their rows, whether the proof holds, and the remarks."""
    lines = [f"{part.snapshot.rpartition('/')[2]}: {part.rows:,} rows" for part in found.parts]
    proof = "holds" if found.proof.holds else "DOES NOT HOLD"
    lines.append(f"Proof that they share nothing: {proof}. Again: everloop datasets prove {found.id}")
    return "\n".join([*lines, *(f"Note: {note}" for note in found.notes)])


def splits(found: list[Split]) -> list[dict[str, object]]:
    """Splits, one a line, each with its id and the rows of its parts."""
    return [
        {
            "id": one.id,
            "of": f"{one.dataset}@{one.version}",
            "strategy": one.strategy.__struct_config__.tag,
            "seed": one.seed,
            "parts": ", ".join(f"{part.snapshot.rpartition('/')[2]} {part.rows:,} rows" for part in one.parts),
            "holds": one.proof.holds,
            "created": one.created,
        }
        for one in found
    ]


def tag(made: Tag) -> str:
    """What has which name now."""
    return f"{made.dataset}@{made.name} is version {made.version}."


def branch(made: Branch) -> str:
    """Where a branch stands."""
    return f"Branch {made.name} of {made.dataset} stands at version {made.version}."


def merge(made: Merge) -> object:
    """How a merge came out; conflicts one a line."""
    pair = f"{made.branch} into {made.into} of {made.dataset}"
    would = " (a dry run: nothing was changed)" if made.dry_run else ""
    told = {
        "nothing": f"{made.into} of {made.dataset} has all of {made.branch} already",
        "forwarded": f"Moved forward {pair}: it stands at version {made.version}",
        "merged": f"Merged {pair}: version {made.version}",
        "conflicts": f"{made.conflicts:,} conflicts, merging {pair}; nothing was changed",
    }[made.outcome]
    return {"outcome": f"{told}{would}.", "conflicts": made.listed} if made.listed else f"{told}{would}."


def push(made: Push) -> str:
    """What went where."""
    went = f"{made.sent.objects:,} objects, {made.sent.bytes:,} bytes" if made.sent.objects else "nothing was lacking"
    moved = "stands where it stood" if made.before == made.commit else f"points to commit {made.commit[:12]}"
    return f"{made.ref} at {made.remote} {moved}; {went}."


def pull(made: Pull) -> str:
    """What came from where."""
    came = f"{len(made.versions):,} new versions" if made.versions else "no new versions"
    got = f"{made.received.objects:,} objects, {made.received.bytes:,} bytes"
    return f"{made.ref} from {made.remote}: {came}, {got}; {made.branch} stands at version {made.version}."


def _held(one: Snapshot) -> str:
    what = f"{one.files:,} files" if one.kind == "files" else f"{one.rows:,} rows in {len(one.columns)} columns"
    told = f"{what}, {one.bytes:,} bytes"
    return f"{told} (purged {one.purged.at:%Y-%m-%d}: {one.purged.reason})" if one.purged else told


TOLD: Mapping[str, Told] = {
    **tracked.TOLD,
    "datasets.log": history,
    "datasets.check": check,
    "datasets.checks": checks,
    "datasets.expect": suite,
    "datasets.expectations": suite,
    "datasets.split": split,
    "datasets.splits": splits,
    "datasets.tag": tag,
    "datasets.branch": branch,
    "datasets.merge": merge,
    "remotes.push": push,
    "remotes.pull": pull,
}
"""What is told of the answers of use cases; those that are not here are shown field by field."""
