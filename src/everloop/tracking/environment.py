"""Environment capture: what a run ran in, without anything secret."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from itertools import takewhile
from pathlib import Path

from everloop.tracking.entities import Environment

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
"""Variables that decide how many threads compute, and with that the last bits of sums."""
ALLOWED = ("LANG", "LC_ALL", "TZ", "PYTHONHASHSEED", "PYTHONOPTIMIZE", "CUDA_VISIBLE_DEVICES", "SOURCE_DATE_EPOCH")
"""The only other variables that are kept: an allow-list, so that no secret is ever among them."""
MASK = "***"
_SECRET = r"(?:pass(?:word|wd|phrase)?|pwd|secret|token|key|auth(?:orization)?|credentials?|cookie|session|dsn|bearer)"
_SECRET_WORD = re.compile(rf"(?:^|[-_.]){_SECRET}(?:$|[-_.\d])")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_NAMED = re.compile(r"^(?P<name>-{0,2}[A-Za-z][\w.-]*)(?P<between>[=:])(?P<value>.+)$", re.DOTALL)
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)[^\s/@]+@")
_QUERY = re.compile(rf"(?P<name>[?&][\w.-]*{_SECRET}[\w.-]*=)[^&\s]+", re.IGNORECASE)
_ISSUED = re.compile(
    r"(?:gh[pousr]_|github_pat_|glpat-|sk-|xox[abprs]-|hf_|pypi-|npm_|dop_v1_|ya29\.|eyJ|AKIA|ASIA|AIza)[\w.~+/=-]{8,}"
    r"|[0-9a-fA-F]{32,}|(?=[\w+/=-]*\d)(?=[\w+/=-]*[A-Z])(?=[\w+/=-]*[a-z])[A-Za-z0-9+_=-]{32,}"
)
"""What services issue: by how they mark it, or just long and random."""
_LONGEST_WORD = 1_000


def capture(variables: Mapping[str, str] | None = None) -> Environment:
    """The environment of this process. The list of packages is read once, in some 10 to 30 ms, and kept."""
    found = os.environ if variables is None else variables
    return Environment(
        python=platform.python_version(),
        platform=f"{sys.platform}-{platform.machine()}",
        cpu_count=os.cpu_count() or 1,
        packages=dict(packages()),
        threads={name: found[name] for name in THREADS if name in found},
        hash_seed=found.get("PYTHONHASHSEED", "random"),
        variables={name: found[name] for name in ALLOWED if name in found},
        system=operating_system(),
        cpu=cpu(),
        memory=memory(),
        gpus=gpus(),
        command=command_line(sys.orig_argv),
    )


@cache
def packages() -> Mapping[str, str]:
    """Every installed distribution with its version: of those with the same name the one that is imported."""
    found: dict[str, str] = {}
    for place in sys.path:
        for name, version in _installed(Path(place)):
            found.setdefault(name, version)
    return dict(sorted(found.items()))


def _installed(place: Path) -> Iterator[tuple[str, str]]:
    """The distributions in one place of the path of imports.

    In folders only the first lines of each are read: the standard library parses whole descriptions, for a second.
    """
    if not place.is_dir():
        from importlib.metadata import distributions  # It imports the parser of e-mails, for 20 ms.

        yield from ((each.name, each.version) for each in distributions(path=[str(place)]) if each.name)
        return
    for head in (*place.glob("*.dist-info/METADATA"), *place.glob("*.egg-info/PKG-INFO")):
        with suppress(OSError), head.open(encoding="utf-8", errors="replace") as lines:
            told: dict[str, str] = {}
            for key, _, text in (line.partition(": ") for line in takewhile(str.strip, lines)):
                told.setdefault(key, text.strip())
                if "Name" in told and "Version" in told:
                    yield told["Name"], told["Version"]
                    break


@cache
def operating_system() -> str:
    """The distribution and kernel, such as `Debian GNU/Linux 12 (bookworm), Linux 6.1.0`."""
    try:
        name = platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        name = ""
    return ", ".join(part for part in (name, f"{platform.system()} {platform.release()}") if part)


@cache
def cpu() -> str:
    """The model of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


@cache
def memory() -> int:
    """How much memory the machine has, in bytes; 0 where it does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 0


@cache
def gpus() -> tuple[str, ...]:
    """The models of the graphics processors that the NVIDIA driver tells of."""
    found = [
        line.partition(":")[2].strip()
        for info in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
        for line in info.read_text(errors="replace").splitlines()
        if line.startswith("Model:")
    ]
    return tuple(found) or _told_by_smi()


def _told_by_smi() -> tuple[str, ...]:
    """As above, from a driver that is outside of this container."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    try:
        command = [program, "--query-gpu=name", "--format=csv,noheader"]
        told = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in told.splitlines() if line.strip())


def command_line(words: Sequence[str]) -> tuple[str, ...]:
    """A command line with what may be secret in it masked: `--token abc`, `password=abc`, `://user:abc@`, issued keys.

    Code that was handed over with `-c` is left out: anything may stand in it.
    """
    kept: list[str] = []
    hide = False
    for place, word in enumerate(words):
        after_code = place > 0 and words[place - 1] == "-c"
        kept.append(MASK if after_code or (hide and not word.startswith("-")) else _masked(word))
        hide = word.startswith("-") and "=" not in word and _is_secret(word)
    return tuple(kept)


def _masked(word: str) -> str:
    named = _NAMED.match(word)
    if named is not None and _is_secret(named["name"]):
        return f"{named['name']}{named['between']}{MASK}"
    for pattern, instead in ((_URL, rf"\g<scheme>{MASK}@"), (_QUERY, rf"\g<name>{MASK}")):
        word = pattern.sub(instead, word)
    return (word if _is_path(word) else _ISSUED.sub(MASK, word))[:_LONGEST_WORD]


def _is_secret(name: str) -> bool:
    return _SECRET_WORD.search(_HUMP.sub("_", name.lstrip("-")).lower()) is not None


def _is_path(word: str) -> bool:
    """Whether a word names a file: those are long too, and hold digits."""
    return word.startswith(("/", "./", "../", "~")) or Path(word).suffix in {".py", ".ipynb", ".json", ".toml", ".yaml"}
