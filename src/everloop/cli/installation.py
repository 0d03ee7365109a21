"""The commands about this installation: `doctor`, `settings`, `completion`."""

from __future__ import annotations

import os

import click

from everloop.cli.door import Command, this_door

_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "broken": ("✗", "red")}


@click.command(cls=Command)
def doctor() -> int:
    """Check the installation, the backends and the home folder, and say how to mend what is broken.

    The exit code is 10 when something is broken; warnings are none.
    """
    from everloop.app import doctor as examination
    from everloop.kernel.errors import Misconfigured

    door = this_door()
    findings = examination.examine(door.settings)
    if door.json:
        door.show(findings)
    for finding in findings if not door.json else ():
        mark, colour = _MARKS[finding.state]
        click.echo(f"{click.style(mark, fg=colour)} {finding.name:<14} {finding.message}")
        if finding.mend and finding.state != "ok":
            click.echo(f"  {'':<14} {finding.mend}")
    return Misconfigured.exit_code if examination.is_broken(findings) else 0


@click.command(cls=Command)
def settings() -> None:
    """Show every setting, its value, where it came from, and the variable that sets it."""
    door = this_door()
    door.show(door.settings.table())


@click.command(cls=Command)
@click.argument("shell", required=False, type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str | None) -> None:
    """Print a script that completes commands and options in your shell.

    Try: eval "$(everloop completion bash)"
    """
    from click.shell_completion import get_completion_class

    root = click.get_current_context().find_root().command
    name = shell or os.path.basename(os.environ.get("SHELL", "bash"))  # noqa: PTH119 - a name, not a place
    kind = get_completion_class(name) or get_completion_class("bash")
    if kind is not None:
        click.echo(kind(root, {}, "everloop", "_EVERLOOP_COMPLETE").source())
