"""Ports: what an area needs from outside, looked up by its Protocol and a backend's name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar, cast

from everloop.kernel.errors import Misconfigured

P = TypeVar("P")


class Ports:
    """The backends of a running platform. `app` fills it; areas ask it for the Protocol that they declared.

    A backend is built at its first use, so that a heavy library is paid for only by those who need it.
    """

    def __init__(self) -> None:
        self._factories: dict[tuple[object, str], Callable[[], object]] = {}
        self._built: dict[tuple[object, str], object] = {}
        self._finders: dict[object, Callable[[str], object]] = {}

    def provide(self, kind: type[P], factory: Callable[[], P], name: str = "") -> None:
        """Offer a backend for a port; the unnamed one is what the settings chose."""
        self._factories[kind, name] = factory
        self._built.pop((kind, name), None)

    def provide_by_name(self, kind: type[P], find: Callable[[str], P]) -> None:
        """Offer whatever `find` makes of a name, for the names that nothing else was provided under.

        It raises Misconfigured for a name that it does not know.
        """
        self._finders[kind] = find

    def get(self, kind: type[P], name: str = "") -> P:
        """The backend for a port, built at the first call.

        Raises:
            Misconfigured: nothing was provided under that name.
        """
        key = (kind, name)
        if key not in self._built:
            self._built[key] = self._made(kind, name)
        return cast(P, self._built[key])

    def names(self, kind: type[object]) -> list[str]:
        """The named backends on offer for a port."""
        return sorted(name for port, name in self._factories if port is kind and name)

    def built(self) -> Iterable[object]:
        """The backends that were really used, for closing them."""
        return list(self._built.values())

    def _made(self, kind: type[P], name: str) -> object:
        if (kind, name) in self._factories:
            return self._factories[kind, name]()
        if kind in self._finders:
            return self._finders[kind](name)
        known = ", ".join(self.names(kind)) or "none"
        raise Misconfigured(f"There is no {kind.__name__} backend {name!r}.", hint=f"Known here: {known}.")
