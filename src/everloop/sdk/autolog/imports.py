"""What is to happen when a module has been imported, now or later."""

from __future__ import annotations

import importlib.abc
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

Ready = Callable[[], None]


class _Watched(importlib.abc.Loader):
    """Loads a module as its own loader does, and tells when it is there."""

    def __init__(self, loader: importlib.abc.Loader, name: str) -> None:
        self._loader = loader
        self._name = name

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        spec = module.__spec__
        if spec is not None:
            spec.loader = self._loader  # What reads resources or source through the loader finds the real one.
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        watch.tell(self._name)


class Watch(importlib.abc.MetaPathFinder):
    """Finds the modules that somebody waits for as the other finders do."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[Ready]] = {}
        self._lock = threading.RLock()
        self._looking = threading.local()

    def when(self, name: str, ready: Ready) -> None:
        """Call a function once the module is imported: at once, if it is."""
        with self._lock:
            if not _is_loaded(name):
                self._waiting.setdefault(name, []).append(ready)
                if self not in sys.meta_path:
                    sys.meta_path.insert(0, self)
                return
        ready()

    def forget(self, name: str) -> None:
        """Wait for a module no more."""
        with self._lock:
            self._waiting.pop(name, None)
            if not self._waiting and self in sys.meta_path:
                sys.meta_path.remove(self)

    def tell(self, name: str) -> None:
        """Call what waited for a module."""
        with self._lock:
            told = self._waiting.get(name, [])
            self.forget(name)
        for ready in told:
            ready()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module's own spec, with a loader that tells when it is loaded."""
        if fullname not in self._waiting or getattr(self._looking, "name", "") == fullname:
            return None
        self._looking.name = fullname
        try:
            spec = find_spec(fullname)
        finally:
            self._looking.name = ""
        if spec is None or spec.loader is None or not hasattr(spec.loader, "exec_module"):
            return None
        spec.loader = _Watched(spec.loader, fullname)
        return spec


watch = Watch()
"""The one of this process."""


def _is_loaded(name: str) -> bool:
    """Whether a module is imported, and not just being imported."""
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return name in sys.modules and not getattr(spec, "_initializing", False)
