"""What one can do with sizes: measure a version under load, see what was measured, and have a size recommended."""

from __future__ import annotations

from everloop.catalog.session import Session
from everloop.kernel.errors import NotFound
from everloop.kernel.ids import Name
from everloop.kernel.usecase import usecase
from everloop.packaging.sizing.entities import ModelProfile, Price, Sizing
from everloop.packaging.sizing.profiles import keep, newest_profile
from everloop.packaging.sizing.recommendation import check_latency, recommended
from everloop.registry import service as models


@usecase("packages.measure", permission="packages:run", route="POST /packages/{model}/profile", long=True)
def measure(
    session: Session, model: Name, version: int = 0, latency_ms: float = 50.0, quick: bool = False
) -> ModelProfile:
    """Serve a version (the newest, unless a number says which) in a process of its own, and put it under load.

    It takes a core for the server and one for the load, for about 20 seconds; `quick` takes 5, and is less sure.

    Raises:
        InvalidInput: the latency means nothing.
        Unavailable: the server did not start, or ended.
    """
    from everloop.packaging.sizing.measuring import measured

    check_latency(latency_ms)
    with session.begin(write=False) as unit:
        wanted = models.version(unit, model, version)
    profile = measured(session, wanted, latency_ms, quick=quick)
    with session.begin() as unit:
        return keep(unit, profile)


@usecase("packages.profile", permission="packages:read", route="GET /packages/{model}/profile")
def profile(session: Session, model: Name, version: int = 0) -> ModelProfile:
    """What was measured last of a version (the newest, unless a number says which).

    Raises:
        NotFound: it was never measured.
    """
    wanted = models.version(session, model, version)
    found = newest_profile(session, model, wanted.version)
    if found is None:
        raise NotFound(
            f"Version {wanted.version} of {model!r} was not measured.",
            hint=f"everloop packages measure {model} --version {wanted.version}",
        )
    return found


@usecase("packages.size", permission="packages:read", route="GET /packages/{model}/size")
def size(
    session: Session,
    model: Name,
    rate: float,
    latency_ms: float = 50.0,
    version: int = 0,
    prices: tuple[Price, ...] = (),
) -> Sizing:
    """Replicas, cores, memory and cost for so many requests a second, of which 99 of 100 are to meet a latency.

    It is reckoned from the newest profile: with 30 % of headroom, and one replica more than is needed.

    Raises:
        InvalidInput: the target means nothing.
        NotFound: the version was never measured.
        Refused: no number of replicas reaches the latency.
    """
    return recommended(profile(session, model, version), rate, latency_ms, prices)
