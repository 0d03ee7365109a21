"""Names for what MLflow's clients start without one: two words and a number, which people can tell each other."""

from __future__ import annotations

from random import Random

_KINDS = (
    *("able", "amusing", "big", "bold", "bright", "calm", "capable", "caring", "casual", "clean", "funny", "gentle"),
    *("gifted", "learned", "loud", "nimble", "orderly", "peaceful", "polite", "popular", "powerful", "rare"),
    *("resilient", "selective", "serious", "silent", "sincere", "smiling", "thoughtful", "unique", "wise"),
)
_THINGS = (
    *("alder", "ash", "aspen", "beech", "birch", "cedar", "cherry", "cypress", "elder", "elm", "fir", "hawthorn"),
    *("hazel", "holly", "hornbeam", "juniper", "larch", "linden", "maple", "oak", "olive", "pear", "pine", "poplar"),
    *("rowan", "spruce", "walnut", "willow", "yew"),
)


def made(generator: Random) -> str:
    """A name such as `calm-willow-412`."""
    return f"{generator.choice(_KINDS)}-{generator.choice(_THINGS)}-{generator.randrange(1000)}"
