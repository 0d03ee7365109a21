"""The executable: one file that brings everything along, down to the C library, and runs where no Python is.

It is a script for any POSIX shell in front of an image's layers. The first start unpacks them into the user's cache,
which takes about a second; each later one goes straight to what is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from everloop.catalog.session import Session
from everloop.packaging.contents import Contents
from everloop.packaging.image.build import rootfs
from everloop.packaging.image.config import FOLDER, sha256
from everloop.packaging.image.interpreter import PYTHON
from everloop.packaging.image.layers import Layer
from everloop.store.entities import Digest

_RUNNER = "everloop.packaging.runner"
_SCRIPT = """#!/bin/sh
# Model {model}, version {version}: {name} predict < columns.json | manifest | serve --port 8080
# All that it needs is below; it is unpacked once, into EVERLOOP_PACKAGES, XDG_CACHE_HOME or HOME/.cache.
set -eu
PATH=${{PATH:-/usr/local/bin:/usr/bin:/bin}}; export PATH
if [ -n "${{EVERLOOP_PACKAGES:-}}" ]; then cache=$EVERLOOP_PACKAGES
elif [ -n "${{XDG_CACHE_HOME:-}}" ]; then cache=$XDG_CACHE_HOME/everloop/packages
elif [ -n "${{HOME:-}}" ] && [ -w "$HOME" ]; then cache=$HOME/.cache/everloop/packages
else  # Anybody may have made this one, with what they want to be run in it.
  cache=${{TMPDIR:-/tmp}}/everloop-packages-$(id -u)
  (umask 077; mkdir -p "$cache")
  [ -O "$cache" ] && [ ! -L "$cache" ] || {{ echo "$cache is not yours: set EVERLOOP_PACKAGES." >&2; exit 10; }}
fi
root=$cache/{key}
if [ ! -e "$root/{python}" ]; then
  umask 077
  mkdir -p "$cache"
  [ -O "$cache" ] || {{ echo "$cache is not yours: set EVERLOOP_PACKAGES to a folder that is." >&2; exit 10; }}
  partial=$(mktemp -d "$cache/.partial-XXXXXX")
  trap 'rm -rf "$partial"' EXIT INT TERM
  at={header}
  for size in {sizes}; do
    tail -c +$((at + 1)) "$0" | head -c "$size" | tar -xzf - -C "$partial" || {{ echo "$0 is damaged." >&2; exit 8; }}
    at=$((at + size))
  done
  mv "$partial" "$root" 2>/dev/null || [ -e "$root/{python}" ]  # Somebody else was faster.
  trap - EXIT INT TERM
  rm -rf "$partial"
fi
set -- "$root/{python}" -I -m {runner} "$root/{folder}" "$@"
exec "$root/{loader}" --inhibit-cache --library-path "$root/{libraries}" "$@"
"""
_DIGITS = 12


def pieces(session: Session, contents: Contents, places: tuple[str, str]) -> tuple[str, list[Layer]]:
    """The script in front, and the layers behind it; `places` are the loader's and the C library's."""
    layers = list(rootfs(session, contents))
    manifest = contents.manifest
    filled = {
        "model": manifest.model,
        "version": manifest.version,
        "name": f"{manifest.model}-{manifest.version}",
        "key": f"{manifest.model}-{manifest.version}-{sha256(''.join(one.digest for one in layers).encode())[:16]}",
        "python": PYTHON,
        "sizes": " ".join(str(layer.size) for layer in layers),
        "loader": places[0],
        "libraries": places[1],
        "runner": _RUNNER,
        "folder": FOLDER,
    }
    length = len(_SCRIPT.format(header="0" * _DIGITS, **filled).encode())
    # Shells read numbers that begin with 0 as octal ones: spaces fill what the number leaves.
    return _SCRIPT.format(header=f"{length}".ljust(_DIGITS), **filled), layers


def written(session: Session, script: str, layers: Sequence[Layer]) -> Iterator[bytes]:
    """The file, piece by piece."""
    yield script.encode()
    for layer in layers:
        yield from session.store.parts(Digest(layer.object))
