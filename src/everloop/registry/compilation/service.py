"""What one can do about compilation: see what was proven of a version, and compile it again."""

from __future__ import annotations

from everloop.catalog.session import Session
from everloop.kernel.errors import NotFound, Refused
from everloop.kernel.ids import Name
from everloop.kernel.usecase import usecase
from everloop.registry import service as models
from everloop.registry.compilation import kept
from everloop.registry.compilation.entities import Compilation
from everloop.registry.entities import FILES


@usecase("models.compilation", permission="models:read", route="GET /models/{name}/compilation")
def compilation(session: Session, name: Name, version: int = 0) -> Compilation:
    """What runs a version, why, and what was measured when it was compiled."""
    wanted = models.version(session, name, version)
    found = kept.known(session, wanted.trained)
    if found is None:
        raise NotFound(
            f"Version {wanted.version} of model {name!r} was never compiled.",
            hint=f"everloop models compile {name} --version {wanted.version} does it.",
        )
    return found


@usecase("models.compile", permission="models:write", route="POST /models/{name}/compilation", long=True)
def compile_version(session: Session, name: Name, version: int = 0) -> Compilation:
    """Compile a version again, for instance one that was registered where there was no compiler."""
    with session.begin(write=False) as unit:
        wanted = models.version(unit, name, version)
    if wanted.trained.flavor == FILES:
        raise Refused(
            f"{name}@{wanted.version} holds files of MLflow's clients, which only those load.",
            hint="Register the model with a flavor of its own.",
        )
    from everloop.registry.compilation.compiler import compile_again

    return compile_again(session, wanted.trained)
