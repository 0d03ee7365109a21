"""Is everything there that Everloop needs, and how to mend what is not: `everloop doctor`."""

from __future__ import annotations

import ctypes
import importlib
import importlib.metadata
import os
import re
import shutil
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from everloop.app import backends
from everloop.app.platform import Platform, open_platform
from everloop.app.settings import Loaded, Settings
from everloop.app.workers import serving_statuses
from everloop.catalog import migrations
from everloop.catalog.tables import ledger
from everloop.features.onlinestore import OnlineStore
from everloop.kernel.clock import SystemClock
from everloop.kernel.errors import Corrupted, EverloopError

State = Literal["ok", "warning", "broken"]
KINDS = ("databases", "blobs", "online_stores", "engines", "executors", "flavors", "channels")
NEWEST = (3, 14)
"""The first Python that this version was not tested with."""
LEAST_FREE_MB = 500
EARLIEST = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
"""A clock that shows an earlier time than this version of Everloop is wrong."""
_PROBE = b"everloop doctor"


class Finding(msgspec.Struct, frozen=True):
    """What was looked at, how it is, and what to do about it."""

    name: str
    state: State
    message: str
    mend: str = ""


def examine(settings: Loaded) -> list[Finding]:
    """Look at everything, from the interpreter to the clock. Nothing is made or changed but probes in the stores."""
    values = settings.values
    found = [_python(), *_dependencies(), *_backends(), _openmp(), _kernel()]
    found += [_home(Path(values.home)), _space(Path(values.home))]
    if Path(values.home).is_dir():
        found += _kept(settings)
    else:
        found.append(Finding("catalog", "ok", "There is none yet; the first command that needs one makes it."))
    return [*found, *_workers(Path(values.home)), _port(values), _system_clock()]


def is_broken(findings: list[Finding]) -> bool:
    """Whether something must be mended before Everloop can work."""
    return any(finding.state == "broken" for finding in findings)


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info >= NEWEST:
        return Finding("python", "warning", f"Python {version} is newer than Everloop knows.", "Install Python 3.13.")
    return Finding("python", "ok", f"Python {version}.")


def _dependencies() -> Iterator[Finding]:
    """Whether each library that the distribution requires can really be imported."""
    lines = [line for line in importlib.metadata.requires("everloop") or [] if "extra ==" not in line]
    required = [re.split(r"[^\w.-]", line)[0].lower() for line in lines]
    modules: dict[str, list[str]] = {}
    for module, distributions in importlib.metadata.packages_distributions().items():
        for distribution in distributions:
            modules.setdefault(distribution.lower(), []).append(module)
    missing = [name for name in required if not any(map(_imports, modules.get(name, ())))]
    if missing:
        mend = f"pip install {' '.join(missing)}"
        yield Finding("dependencies", "broken", f"Cannot be imported: {', '.join(missing)}.", mend)
    else:
        yield Finding("dependencies", "ok", f"All {len(required)} can be imported.")


def _imports(module: str) -> bool:
    try:
        importlib.import_module(module)
    except (ImportError, OSError, ValueError):
        return False
    return True


def _backends() -> Iterator[Finding]:
    """Which backends of each kind work here. One that lacks its library is no fault: it is an extra."""
    for kind in KINDS:
        working, lacking = [], []
        for name in backends.names(kind):
            try:
                backends.load(kind, name)
                working.append(name)
            except EverloopError as error:
                lacking.append(error)
        message = f"{', '.join(working) or 'none'} work{'s' if len(working) == 1 else ''}."
        message += "".join(f" {error.message}" for error in lacking)
        state: State = "ok" if working else "broken"
        yield Finding(kind.replace("_", " "), state, message, "; ".join(error.hint for error in lacking))


def _openmp() -> Finding:
    """LightGBM and scikit-learn need the OpenMP library of GCC, which slim images leave out."""
    try:
        ctypes.CDLL("libgomp.so.1")
    except OSError:
        return Finding("libgomp", "warning", "libgomp.so.1 is missing; LightGBM needs it.", "apt-get install libgomp1")
    return Finding("libgomp", "ok", "libgomp.so.1 is there.")


def _kernel() -> Finding:
    """Whether models of trees run in the kernel that was compiled at installation."""
    from everloop.registry.trees.kernel import library

    try:
        library()
    except EverloopError as error:
        return Finding("trees", "warning", f"{error.message} Models run in their own libraries, slower.", error.hint)
    return Finding("trees", "ok", "The kernel for trees is there.")


def _home(home: Path) -> Finding:
    if not home.exists():
        parent = next(above for above in home.absolute().parents if above.exists())
        if os.access(parent, os.W_OK | os.X_OK):
            return Finding("home", "ok", f"{home} is not there yet and can be made.")
        return Finding("home", "broken", f"{home} cannot be made in {parent}.", "Choose another with EVERLOOP_HOME.")
    if not home.is_dir() or not os.access(home, os.R_OK | os.W_OK | os.X_OK):
        return Finding("home", "broken", f"{home} cannot be written.", f"chown -R $USER {home} && chmod u+rwx {home}")
    mode = stat.S_IMODE(home.stat().st_mode)
    if mode & 0o077:
        return Finding("home", "warning", f"Others can look into {home} (mode {mode:o}).", f"chmod 700 {home}")
    return Finding("home", "ok", f"{home} can be written, and only by its owner.")


def _space(home: Path) -> Finding:
    there = next(folder for folder in (home.absolute(), *home.absolute().parents) if folder.exists())
    free = shutil.disk_usage(there).free >> 20
    if free < LEAST_FREE_MB:
        return Finding("space", "warning", f"Only {free} MB are free at {there}.", "Free some, or move EVERLOOP_HOME.")
    return Finding("space", "ok", f"{free:,} MB are free at {there}.")


def _kept(settings: Loaded) -> Iterator[Finding]:
    """The database, the store and the online store, each used in earnest."""
    try:
        platform = open_platform(settings)
    except EverloopError as error:
        yield Finding("catalog", "broken", error.message, error.hint)
        return
    try:
        yield _tried("catalog", "Check EVERLOOP_DATABASE_URL.", lambda: _schema(platform))
        yield _tried("store", "Check EVERLOOP_STORE_URL and its permissions.", lambda: _round_trip(platform))
        yield _tried("store health", "everloop store fsck tells more.", lambda: _store_whole(platform))
        yield _tried("online store", "Check EVERLOOP_ONLINE_STORE_URL.", lambda: _online_round_trip(platform))
        yield _tried("ledger", "everloop audit verify tells more.", lambda: _ledger_time(platform))
    finally:
        platform.close()


def _tried(name: str, mend: str, attempt: Callable[[], str]) -> Finding:
    try:
        return Finding(name, "ok", attempt())
    except EverloopError as error:
        return Finding(name, "broken", error.message, error.hint or mend)
    except (OSError, SQLAlchemyError) as error:
        return Finding(name, "broken", f"{type(error).__name__}: {error}", mend)


def _schema(platform: Platform) -> str:
    with platform.session().begin(write=False) as unit:
        return f"{unit.connection.dialect.name} at revision {migrations.revision(unit.connection)}."


def _round_trip(platform: Platform) -> str:
    store = platform.resources.store
    store.get(store.put(_PROBE))
    stats, trash = store.stats(), store.trash()
    waiting = f", {sum(each.objects for each in trash):,} of them in the trash" if trash else ""
    return f"Bytes go in and come out; it holds {stats.objects:,} objects in {stats.bytes >> 20:,} MB{waiting}."


def _store_whole(platform: Platform) -> str:
    """What a listing tells: the footers of packs that the index has read already are not read again."""
    torn = platform.resources.store.torn()
    if torn:
        raise Corrupted(f"{len(torn)} packs are torn, {torn[0]} for one.", hint="everloop store fsck tells more.")
    return "No pack is torn; everloop store fsck and everloop store verify look deeper."


def _online_round_trip(platform: Platform) -> str:
    online = platform.resources.ports.get(OnlineStore)
    online.write("doctor", [(b"probe", _PROBE)])
    found = online.read("doctor", [b"probe"])
    online.clear("doctor")
    return "Values go in and come out." if found == [_PROBE] else f"It gave back {found!r}."


def _ledger_time(platform: Platform) -> str:
    with platform.session().begin(write=False) as unit:
        entries, newest = unit.connection.execute(select(func.count(), func.max(ledger.c.at)).select_from(ledger)).one()
    if newest and newest > platform.resources.clock.now():
        return f"{entries:,} entries; the newest is from {newest:%Y-%m-%d %H:%M}, which the clock has not reached."
    return f"{entries:,} entries."


def _workers(home: Path) -> Iterator[Finding]:
    """How the workers are of what this home serves from several processes."""
    for status in serving_statuses(home):
        message = f"{status.ready} of {status.wanted} workers of {status.what} take requests at {status.address}."
        if status.quarantined:
            reasons = " ".join(status.quarantined.values())
            yield Finding("workers", "broken", f"{message} {reasons}", "Move traffic or alias to another version.")
        elif status.ready < status.wanted:
            state: State = "warning" if status.ready else "broken"
            yield Finding("workers", state, message, f"The last death: {status.last_death or 'none'}.")
        else:
            yield Finding("workers", "ok", message)


def _port(values: Settings) -> Finding:
    place = f"{values.host}:{values.port}"
    try:
        socket.create_server((values.host, values.port)).close()
    except OSError as error:
        if _answers(values.host, values.port):
            return Finding("port", "ok", f"Somebody listens on {place} (a running server, if you started one).")
        return Finding(
            "port", "broken", f"Cannot listen on {place} ({error.strerror}).", "Choose another: EVERLOOP_PORT."
        )
    return Finding("port", "ok", f"{place} is free.")


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def _system_clock() -> Finding:
    now = SystemClock().now()
    if now < EARLIEST:
        return Finding("clock", "broken", f"The clock shows {now:%Y-%m-%d}.", "Set it, for instance by NTP.")
    return Finding("clock", "ok", f"The clock shows {now:%Y-%m-%d %H:%M} UTC.")
