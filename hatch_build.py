"""Compiles the kernel for trees when the package is built; where there is no compiler, the package does without."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER = Path("src") / "everloop" / "registry" / "trees"
SOURCE = FOLDER / "kernel.c"
LIBRARY = FOLDER / "libtrees.so"
FLAGS = ("-O3", "-std=c11", "-fPIC", "-shared", "-ffp-contract=off", "-fno-fast-math", "-Wall", "-Wextra")
"""Exactness forbids both fused multiplication and the processor of this very machine: all must compute alike."""


class KernelBuildHook(BuildHookInterface[Any]):
    """Adds the kernel to wheels, which then are for one platform, and to the source tree of editable installs."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile before files are collected."""
        if self.target_name != "wheel" or not compiled(Path(self.root)):
            return
        build_data["artifacts"].append(f"/{LIBRARY.as_posix()}")
        build_data["pure_python"] = False
        # The kernel knows nothing of Python, so one wheel serves every version of it.
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"


def compiled(root: Path) -> bool:
    """Whether the kernel could be compiled; if not, the reason is on stderr and no old one is left behind."""
    target = root / LIBRARY
    command = shlex.split(
        os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang") or ""
    )
    made = target.with_name(f"{target.name}.{os.getpid()}")
    problem = "there is no C compiler" if not command else ""
    if command:
        try:
            subprocess.run(
                [*command, *FLAGS, "-o", made, root / SOURCE, "-lm"], check=True, capture_output=True, text=True
            )
            made.replace(target)
            return True
        except (OSError, subprocess.CalledProcessError) as error:
            problem = str(getattr(error, "stderr", "") or error).strip()
    target.unlink(missing_ok=True)
    sys.stderr.write(
        f"everloop: the kernel for trees was not compiled ({problem}); models run in their own libraries.\n"
    )
    return False
