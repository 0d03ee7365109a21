"""Traffic: which unit meets which deployment. The same key always meets the same one while shares only grow."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from hashlib import blake2b

from everloop.kernel.errors import InvalidInput
from everloop.serving.entities import Share, Span

WHOLE = 1_000_000
"""Keys are divided in millionths."""


def salt_of(endpoint: str) -> bytes:
    """What makes the assignments of two endpoints independent."""
    return blake2b(endpoint.encode(), digest_size=blake2b.PERSON_SIZE).digest()


def position(salt: bytes, key: str) -> int:
    """Where a key stands among the millionths, uniformly. Costs 1 µs."""
    return int.from_bytes(blake2b(key.encode(), digest_size=8, person=salt).digest(), "big") * WHOLE >> 64


def check(shares: Sequence[Share]) -> None:
    """Let shares through that divide all of the traffic.

    Raises:
        InvalidInput: a deployment twice, not one stable one, or percentages that are negative or not 100 together.
    """
    named = [share.deployment for share in shares]
    answering = [share for share in shares if share.role != "shadow"]
    if len(set(named)) != len(named):
        raise InvalidInput(f"A deployment has more than one share: {named}.", hint="Give each deployment one share.")
    stable = [share.deployment for share in shares if share.role == "stable"]
    if len(stable) != 1:
        raise InvalidInput(
            f"The traffic has {len(stable)} stable deployments.", hint="Name exactly one: it is what a rollback keeps."
        )
    total = sum(share.percent for share in answering)
    if any(not 0 <= share.percent <= 100 for share in shares) or abs(total - 100) > 1e-6:
        parts = " + ".join(f"{share.percent:g}" for share in answering)
        raise InvalidInput(f"The shares are {parts} = {total:g} %, not 100 %.", hint="Shadows do not count.")


def allocate(shares: Sequence[Share], before: Sequence[Span] = ()) -> tuple[Span, ...]:
    """Divide the keys so that as few as possible meet another deployment than before.

    A deployment that grows keeps every key it had; one that shrinks keeps only keys it had.
    """
    wanted = _millionths(shares)
    kept, free = _kept(wanted, before)
    for deployment, missing in wanted.items():
        while missing:
            span = free.pop(0)
            taken = min(missing, span.stop - span.start)
            kept.append(Span(span.start, span.start + taken, deployment))
            missing -= taken
            if span.start + taken < span.stop:
                free.insert(0, Span(span.start + taken, span.stop, 0))
    return _joined(kept)


class Split:
    """An allocation, ready to answer which deployment a key meets. One bisection and one hash a key."""

    def __init__(self, endpoint: str, allocation: Sequence[Span]) -> None:
        self._salt = salt_of(endpoint)
        self._starts = [span.start for span in allocation]
        self._deployments = [span.deployment for span in allocation]
        self._widths = [span.stop - span.start for span in allocation]

    def chance(self, deployment: int) -> float:
        """The probability that a unit meets a deployment."""
        return sum(w for d, w in zip(self._deployments, self._widths, strict=True) if d == deployment) / WHOLE

    def assign(self, keys: Iterable[str]) -> list[int]:
        """The deployment of each key."""
        if len(self._deployments) == 1:
            return self._deployments * len(list(keys))
        return [self._deployments[bisect_right(self._starts, position(self._salt, key)) - 1] for key in keys]


def _millionths(shares: Sequence[Share]) -> dict[int, int]:
    """The width of each share; what rounding leaves over or short goes to the largest."""
    answering = [share for share in shares if share.role != "shadow"]
    wanted = {share.deployment: round(share.percent * WHOLE / 100) for share in answering}
    largest = max(wanted, key=lambda deployment: wanted[deployment])
    wanted[largest] += WHOLE - sum(wanted.values())
    return {deployment: width for deployment, width in wanted.items() if width > 0}


def _kept(wanted: dict[int, int], before: Sequence[Span]) -> tuple[list[Span], list[Span]]:
    """What stays with its deployment and what is free; `wanted` is lowered to what is still missing."""
    kept, free = [], []
    for span in before or (Span(0, WHOLE, 0),):
        width = min(wanted.get(span.deployment, 0), span.stop - span.start)
        if width:
            # The end is kept, so that a shrinking stable gives up its first keys, next to those given up before.
            kept.append(Span(span.stop - width, span.stop, span.deployment))
            wanted[span.deployment] -= width
        if span.stop - width > span.start:
            free.append(Span(span.start, span.stop - width, 0))
    return kept, free


def _joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    joined: list[Span] = []
    for span in sorted(spans, key=lambda span: span.start):
        if joined and joined[-1].deployment == span.deployment and joined[-1].stop == span.start:
            joined[-1] = Span(joined[-1].start, span.stop, span.deployment)
        else:
            joined.append(span)
    return tuple(joined)
