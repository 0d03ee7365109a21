"""Settings: one typed place. Each key stands in `everloop.toml`, in a variable `EVERLOOP_<KEY>`, or has its default."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from everloop.governance.retaining.entities import Declared
from everloop.kernel.errors import Misconfigured

FILE = "everloop.toml"
_PASSWORD = re.compile(r"(://[^/@:\s]*:)[^/@\s]*@")
_HOOK = re.compile(r"^(https?://[^/?#]*).*$")
"""A hook's path is its secret, more often than not."""
Origin = Literal["default", "everloop.toml", "environment", "argument"]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be set."""

    home: str = ".everloop"
    """The folder for everything that is kept: database, store, online store, inference log."""
    project: str = "default"
    """The project that commands act in."""
    database_url: str = ""
    """Where the catalog lives: empty for SQLite in the home, or postgresql://user@host/name."""
    store_url: str = ""
    """Where bytes are kept: empty for a folder in the home, file:///path, or s3://bucket/prefix."""
    online_store_url: str = ""
    """Where online features are kept: empty for LMDB in the home, or redis://host:port/0."""
    artifacts: str = ""
    """The default artifact root that the MLflow door names; empty for the store."""
    module: str = ""
    """The Python module with the project's declarations, such as `flights.project`; looked up beside everloop.toml."""
    executor: str = "local"
    """Where steps run."""
    channels: tuple[str, ...] = ()
    """Where alerts go: file:///path or https://hook."""
    clock: Literal["system", "shared"] = "system"
    """`shared` reads a simulated time from the file `clock` in the home, as the demo and simulations do."""
    seed: int | None = None
    """The seed of all randomness; none takes a fresh one at each start."""
    host: str = "127.0.0.1"
    """The address that servers listen on. Beyond loopback, tokens are required."""
    port: int = 7410
    """The port of the server."""
    url: str = ""
    """A server to talk to instead of working in process, such as http://127.0.0.1:7410."""
    token: str = ""
    """The token to show to that server."""
    secrets_key: str = ""
    """What secrets in the catalog are sealed with, such as those of webhooks; empty makes a key in the home."""
    authentication: Literal["auto", "required"] = "auto"
    """`auto` trusts loopback; `required` wants a token from everybody."""
    allowed_hosts: tuple[str, ...] = ()
    """Further Host headers that the server answers to, beside loopback's."""
    offline: bool = False
    """Whether runs are only written to journals in the home, for `everloop runs sync` to send later."""
    system_metrics_seconds: float = 10.0
    """How often a run logs what its machine is doing; 0 for never."""
    console: Literal["python", "all", "off"] = "python"
    """What a run keeps of the console: what Python prints, also what native code and children print, or nothing."""
    sandbox: Literal["code", "all"] = "code"
    """Which models run in a process of their own, without network: those that bring code, or all."""
    sandbox_memory_mb: int = 4096
    """How much memory for data such a process may take, in megabytes."""
    sandbox_seconds: float = 30.0
    """How long such a model may take for an answer before its process is replaced."""
    sandbox_isolation: Literal["required", "best-effort"] = "required"
    """`best-effort` runs them even where the kernel cannot keep them from the network."""
    max_body_mb: int = 64
    """The largest request body that the server reads, in megabytes."""
    max_file_mb: int = 102_400
    """The largest artifact that the server takes at once, in megabytes; it is never whole in memory."""
    serving_slo_ms: int = 50
    """The time to an answer that an inference server keeps to: what it could not answer in it is refused at once."""
    serving_workers: int = 0
    """How many workers `everloop serve` and each endpoint of `everloop up` have; 0 serves without any."""
    worker_hang_seconds: float = 10.0
    """How long a worker may not answer, or a model may run, before another takes its place."""
    worker_memory_mb: int = 0
    """How much memory of its own a worker may have before another takes its place, in megabytes; 0 for no limit."""
    worker_crashes: int = 5
    """How many workers a model may end within a minute before it is not run any more."""
    retention: dict[str, Declared] = {}
    """What runs keep, and for how long: policies by name, which `everloop apply` puts in force."""
    private_sources: bool = False
    """Whether callers of the server may have it import from, push to and pull from its own folders and network."""


class Setting(msgspec.Struct, frozen=True):
    """A setting as `everloop settings` shows it."""

    key: str
    value: str
    origin: Origin
    variable: str


class Loaded(msgspec.Struct, frozen=True):
    """The settings, where each came from, and the folder that the project's `everloop.toml` stands in."""

    values: Settings
    origins: dict[str, Origin]
    folder: Path

    def table(self) -> list[Setting]:
        """Every setting with its origin; secrets are not shown."""
        return [
            Setting(key, _shown(key, getattr(self.values, key)), self.origins.get(key, "default"), variable_of(key))
            for key in Settings.__struct_fields__
        ]


def variable_of(key: str) -> str:
    """The environment variable of a setting: `EVERLOOP_DATABASE_URL` for `database_url`."""
    return f"EVERLOOP_{key.upper()}"


def load(
    arguments: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Loaded:
    """The settings: arguments over the environment over `everloop.toml` over defaults.

    The file is looked for here and in the folders above; one in the home folder itself goes before it, for what
    belongs to that home (the project of a demo, a simulated clock).

    Raises:
        Misconfigured: a file cannot be read, or a key is unknown or of the wrong type.
    """
    environment = os.environ if environment is None else environment
    start = (folder or Path.cwd()).resolve()
    file = next((at / FILE for at in (start, *start.parents) if (at / FILE).is_file()), None)
    from_file = _read(file) if file else {}
    from_environment = {
        key: _parsed(key, environment[variable_of(key)])
        for key in Settings.__struct_fields__
        if variable_of(key) in environment
    }
    from_arguments = {key: value for key, value in (arguments or {}).items() if value is not None}
    given = from_environment | from_arguments
    home = _home(given, from_file, file.parent if file else start)
    if (home / FILE).is_file() and home / FILE != file:
        from_file |= _read(home / FILE)
    try:
        values = msgspec.convert(from_file | given | {"home": str(home)}, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise Misconfigured(
            f"The settings are wrong: {error}.",
            hint=f"Set in {_places(from_file, given, file, home)}. There are {', '.join(Settings.__struct_fields__)}.",
        ) from None
    origins: dict[str, Origin] = dict.fromkeys(from_file, "everloop.toml")
    origins |= dict.fromkeys(from_environment, "environment")
    origins |= dict.fromkeys(from_arguments, "argument")
    return Loaded(values, origins, file.parent if file else start)


def _home(given: Mapping[str, object], from_file: Mapping[str, object], folder: Path) -> Path:
    """The home as an absolute path: one that a file names is meant from that file's folder, any other from here."""
    base = Path.cwd() if "home" in given else folder
    return base / Path(str(given.get("home") or from_file.get("home") or Settings().home)).expanduser()


def _places(from_file: Mapping[str, object], given: Mapping[str, object], file: Path | None, home: Path) -> str:
    """Where to look for a wrong setting: the files that were read, and the variables and options that were given."""
    files = [str(place) for place in (file, home / FILE) if place and place.is_file()] if from_file else []
    return ", ".join([*dict.fromkeys(files), *(f"{variable_of(key)} or --{key}" for key in given)]) or "no place"


def _read(file: Path) -> dict[str, object]:
    try:
        return tomllib.loads(file.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{file} is not valid TOML: {error}.", hint="Mend the line that it names.") from None


def _parsed(key: str, text: str) -> object:
    default = getattr(Settings(), key)
    if isinstance(default, dict):
        try:
            return msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            raise Misconfigured(f"{variable_of(key)} is not JSON: {error}.") from None
    listed = isinstance(default, tuple)
    return tuple(part.strip() for part in text.split(",") if part.strip()) if listed else text


def _shown(key: str, value: object) -> str:
    if key in ("token", "secrets_key"):
        return "(set)" if value else ""
    if key == "channels" and isinstance(value, tuple):
        value = tuple(_HOOK.sub(r"\1/…", url) for url in value)
    if isinstance(value, dict):
        return msgspec.json.encode(value).decode() if value else ""
    text = ", ".join(value) if isinstance(value, tuple) else str(value)
    return _PASSWORD.sub(r"\1***@", text)
