"""`everloop manifest` and `everloop size`: what serves a model elsewhere, and how much machine it needs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from everloop.cli.bars import progress
from everloop.cli.door import Command, Door, this_door
from everloop.cli.reference import reference
from everloop.kernel.durations import duration
from everloop.kernel.errors import InvalidInput, NotFound
from everloop.packaging.manifests.entities import ManifestKind

if TYPE_CHECKING:
    from everloop.packaging.manifests.entities import Manifests
    from everloop.packaging.sizing.entities import ModelProfile, Price, Sizing

_BAR = 40


@click.command(cls=Command)
@click.argument("what", metavar="ENDPOINT | MODEL@VERSION | MODEL@ALIAS")
@click.option("--kind", type=click.Choice(get_args(ManifestKind)), default="kubernetes", show_default=True)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="The folder to write to.")
@click.option(
    "--image", default="", help="Where the container image was pushed: registry/name, or with :tag or @sha256:…."
)
@click.option("--runtime", type=click.Choice(["package", "platform"]), default="package", help="What the image holds.")
@click.option("--namespace", default="", help="The namespace of Kubernetes.")
@click.option("--host", default="", help="The host that it answers to from outside.")
@click.option("--gateway", default="", help="The gateway that its route hangs on.")
@click.option("--replicas", type=int, default=0, help="How many at least; 2, if not given.")
@click.option("--most", type=int, default=0, help="How many at most.")
@click.option("--cpu", default="", help="What a replica asks for: 500m, 2.")
@click.option("--memory", default="", help="What a replica asks for: 256Mi, 1Gi.")
@click.option("--gpu", type=int, default=0, help="How many GPUs a replica has.")
@click.option("--region", default="", help="The region of the cloud.")
@click.option("--account", default="", help="The project of GCP, or the resource group of Azure.")
def manifest(what: str, kind: str, out: Path | None, image: str, **placed: object) -> None:
    """Write what serves an endpoint, with its traffic as it is now, or one version of a model elsewhere.

    Without --out the files are shown; those for Kubernetes can go to kubectl apply -f - as they are.
    """
    door = this_door()
    given = {"kind": kind, "image": image, "placement": {key: value for key, value in placed.items() if value}}
    found = _asked(door, what, given)
    if out is not None:
        _write(out, found.files)
    if door.json:
        door.show(found)
        return
    if out is None:
        click.echo(
            "---\n".join(found.files.values()) if len(found.files) > 1 else next(iter(found.files.values())), nl=False
        )
    else:
        for path in found.files:
            click.echo(out / path)
    for note in found.notes:
        click.echo(f"Note: {note}", err=True)


@click.command(cls=Command)
@click.argument("model", metavar="MODEL[@VERSION|@ALIAS]")
@click.option("--rate", type=float, required=True, help="Requests a second at the peak.")
@click.option("--latency", default="50ms", show_default=True, help="What 99 of 100 requests must meet.")
@click.option("--quick", is_flag=True, help="Measure for 5 seconds instead of 20.")
@click.option("--again", is_flag=True, help="Measure even if it was measured before.")
@click.option("--dry-run", is_flag=True, help="Say what would be done.")
@click.option("--price", multiple=True, metavar="PLACE=CORE/GIB", help="US dollars for an hour: aws=0.04/0.0044.")
def size(
    model: str, rate: float, latency: str, quick: bool, again: bool, dry_run: bool, price: tuple[str, ...]
) -> None:
    """Recommend replicas, cores, memory and cost for a rate and a latency, from a load test on this machine."""
    from everloop.packaging.sizing.recommendation import check_target

    door = this_door()
    asked = reference(model)
    latency_ms = duration(latency).total_seconds() * 1000
    check_target(rate, latency_ms)
    prices = [_price(text) for text in price]
    found = door.call("models.version", {"name": asked.name, "version": asked.version, "alias": asked.alias})
    named = {"model": asked.name, "version": found.version}
    profile = None if again else _known(door, named, latency_ms)
    if dry_run:
        _explain(door, named, profile is not None, quick)
        return
    if profile is None:
        profile = _measured(door, named | {"latency_ms": latency_ms, "quick": quick})
    answer = door.call("packages.size", named | {"rate": rate, "latency_ms": latency_ms, "prices": prices})
    if door.json:
        door.show({"size": answer, "profile": profile})
    else:
        click.echo(told(answer, profile))


def told(size: Sizing, profile: ModelProfile) -> str:
    """The recommendation, and what it was reckoned from."""
    lines = [f"{size.model}@{size.version}, {size.rate:g} requests a second, 99 of 100 in {size.latency_ms:g} ms:"]
    lines += [
        f"  {size.replicas} replicas of {size.per_replica:,.0f} requests a second each, one of them spare",
        f"  each with {size.cpu}m to {size.cpu_limit}m cores and {size.memory} to {size.memory_limit} MiB of memory",
    ]
    lines += [f"  {cost.place}: ${cost.month_usd:,.2f} a month, ${cost.million_usd:g} a million" for cost in size.costs]
    lines += ["", *_curve(profile), "", _evidence(profile), *(f"Note: {note}" for note in size.notes)]
    return "\n".join(lines)


def _curve(profile: ModelProfile) -> list[str]:
    """p99 by rate, as bars; what missed the latency is marked."""
    longest = max(point.p99_ms for point in profile.points)
    lines = [f"{'rate/s':>10}  p99, which is to be within {profile.latency_ms:g} ms"]
    for point in profile.points:
        bar = "█" * max(1, round(_BAR * point.p99_ms / longest))
        missed = "" if point.p99_ms <= profile.latency_ms and not point.errors else " too late"
        lines.append(f"{point.offered:>10,.0f}  {bar} {point.p99_ms:.3g} ms{missed}")
    return lines


def _evidence(profile: ModelProfile) -> str:
    on = profile.machine
    return (
        f"Measured {profile.at:%Y-%m-%d %H:%M} on one core of {on.cores} ({on.processor}): {profile.cpu_us:.0f} µs a "
        f"request, {profile.memory_mib} MiB, ready after {profile.start_seconds:.2g} s."
    )


def _asked(door: Door, what: str, given: Mapping[str, object]) -> Manifests:
    """The manifests of a model where a version or an alias is named, else of an endpoint or, without one, a model."""
    wanted = reference(what)
    if not wanted.version and not wanted.alias and not what.startswith("models:/"):
        try:
            found: Manifests = door.call("endpoints.manifest", {"name": wanted.name, **given})
            return found
        except NotFound as error:
            missing = error
        try:
            door.call("models.get", {"name": wanted.name})
        except NotFound:
            raise missing from None
    version = door.call("models.version", {"name": wanted.name, "version": wanted.version, "alias": wanted.alias})
    of_model: Manifests = door.call("packages.manifest", {"model": wanted.name, "version": version.version, **given})
    return of_model


def _known(door: Door, named: Mapping[str, object], latency_ms: float) -> ModelProfile | None:
    """What was measured for the same latency before."""
    try:
        found: ModelProfile = door.call("packages.profile", named)
    except NotFound:
        return None
    return found if found.latency_ms == latency_ms else None


def _measured(door: Door, asked: Mapping[str, object]) -> ModelProfile:
    """What is measured now, with a bar while it runs in this process."""
    from everloop.app.platform import Platform
    from everloop.kernel.progress import Progress

    with progress(door, "loads") as bars:
        if isinstance(door.platform, Platform):
            door.platform.resources.ports.provide(Progress, lambda: bars)
        found: ModelProfile = door.call("packages.measure", asked)
        return found


def _explain(door: Door, named: Mapping[str, object], known: bool, quick: bool) -> None:
    lasting = "5" if quick else "20"
    steps = (
        ["It was measured for this latency before: the recommendation is reckoned from that."]
        if known
        else [
            f"Start a server of {named['model']}@{named['version']} on this machine, on one core and a free port.",
            f"Put it under load for {lasting} s from the other cores: alone, as fast as it answers, then rising rates.",
            "Stop the server, and keep the figures as the version's profile.",
        ]
    )
    if door.json:
        door.show({"steps": steps})
    else:
        click.echo("\n".join(steps))


def _price(text: str) -> Price:
    from everloop.packaging.sizing.entities import Price

    place, _, figures = text.partition("=")
    core, separator, memory = figures.partition("/")
    try:
        found = Price(place, float(core), float(memory))
    except ValueError:
        separator = ""
    if not place or not separator or not 0 <= found.core_hour < 1e6 or not 0 <= found.memory_hour < 1e6:
        raise InvalidInput(f"{text!r} is no price.", hint="Write PLACE=CORE/GIB, such as aws=0.04048/0.004445.")
    return found


def _write(out: Path, files: dict[str, str]) -> None:
    try:
        for path, text in files.items():
            (out / path).parent.mkdir(parents=True, exist_ok=True)
            (out / path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise NotFound(f"{out} cannot be written ({error.strerror}).", hint="Choose another with --out.") from None
