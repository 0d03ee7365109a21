"""What every command works with: the options that stand everywhere, the platform they lead to, and the output."""

from __future__ import annotations

import gc
import sys
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import click

from everloop.cli import output
from everloop.kernel.errors import EverloopError, Problem, Refused

if TYPE_CHECKING:
    from pathlib import Path

    from everloop.app.platform import Platform
    from everloop.app.remote import RemotePlatform
    from everloop.app.settings import Loaded
    from everloop.store.entities import Digest

_SETTINGS = ("home", "url", "token", "project", "host", "port", "artifacts")


class Door:
    """The command line's way to a platform: opened at the first call, in process or, with a URL, over HTTP."""

    def __init__(self, platform: Platform | RemotePlatform | None = None) -> None:
        self.options: dict[str, Any] = {}
        self._given = platform
        self._opened: Platform | RemotePlatform | None = None

    @property
    def json(self) -> bool:
        """Whether answers are wanted as JSON."""
        return bool(self.options.get("json"))

    @cached_property
    def settings(self) -> Loaded:
        """The settings, with the options that were given over them."""
        from everloop.app.settings import load

        return load({key: self.options.get(key) for key in _SETTINGS})

    @property
    def platform(self) -> Platform | RemotePlatform:
        """The platform that the options and settings name."""
        if self._given is not None:
            return self._given
        if self._opened is None:
            self._opened = self._open()
            gc.freeze()  # Garbage is looked for seldom, and not among what an open platform is made of.
            gc.set_threshold(50_000, 20, 50)
        return self._opened

    @property
    def is_open(self) -> bool:
        """Whether the platform is open already, so that using it costs nothing more."""
        return self._given is not None or self._opened is not None

    @property
    def local(self) -> Platform:
        """The platform in this process.

        Raises:
            Refused: a server's URL is set.
        """
        from everloop.app.platform import Platform

        if not isinstance(self.platform, Platform):
            raise Refused(
                "This command works on a home folder, not over HTTP.", hint="Leave out --url and EVERLOOP_URL."
            )
        return self.platform

    def call(self, name: str, arguments: Mapping[str, object]) -> Any:
        """Call a use case by name."""
        return self.platform.call(name, arguments, project=self.options.get("project") or "")

    def put(self, content: bytes) -> Digest:
        """Keep bytes in the platform's store."""
        from everloop.app.platform import Platform

        platform = self.platform
        return platform.resources.store.put(content) if isinstance(platform, Platform) else platform.put(content)

    def put_file(self, path: Path) -> Digest:
        """Keep a file's bytes in the platform's store."""
        from everloop.app.platform import Platform

        platform = self.platform
        return (platform.resources.store if isinstance(platform, Platform) else platform.store).put_file(path)

    def get_object(self, digest: Digest) -> bytes:
        """Bytes out of the platform's store."""
        from everloop.app.platform import Platform

        platform = self.platform
        if isinstance(platform, Platform):
            return platform.resources.store.get(digest)
        return platform.get_object(digest)

    def show(self, value: object) -> None:
        """Print an answer: as JSON, or for people."""
        output.show(value, as_json=self.json)

    def say(self, line: str) -> None:
        """Print a line for people, where no JSON is wanted."""
        if not self.json:
            click.echo(line)

    def fail(self, problem: Problem) -> None:
        """Print what went wrong on standard error."""
        output.show_problem(problem, as_json=self.json)

    def close(self) -> None:
        """Close the platform, if it was opened here."""
        if self._opened is not None:
            self._opened.close()

    def _open(self) -> Platform | RemotePlatform:
        values = self.settings.values
        if values.url:
            from everloop.app.remote import RemotePlatform

            return RemotePlatform(values.url, values.token, project=values.project)
        from everloop.app.platform import open_platform

        return open_platform(self.settings)


def this_door(context: click.Context | None = None) -> Door:
    """The door of the command that is running."""
    return (context or click.get_current_context()).ensure_object(Door)


def _keep(context: click.Context, parameter: click.Parameter, value: object) -> None:
    if value is not None and parameter.name is not None:
        this_door(context).options[parameter.name] = value


def everywhere() -> list[click.Option]:
    """The options that stand after every command."""

    def option(*names: str, **settings: Any) -> click.Option:
        return click.Option(list(names), callback=_keep, expose_value=False, **settings)

    return [
        option("--json", is_flag=True, default=None, help="Answer with JSON."),
        option("--home", metavar="DIR", help="The home folder to work in."),
        option("--project", metavar="NAME", help="The project to work in."),
        option("--url", metavar="URL", help="Work on the server there instead of in this process."),
        option("--token", metavar="SECRET", help="The token to show to that server."),
    ]


class Command(click.Command):
    """A command that also takes the options that stand everywhere, and lists them apart."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        taken = {name for parameter in self.params for name in parameter.opts}
        self.common = [option for option in everywhere() if not taken & set(option.opts)]
        self.params += self.common

    def get_short_help_str(self, limit: int = 45) -> str:
        """The first sentence, whole."""
        sentence = (self.help or "").partition("\n\n")[0].partition(". ")[0]
        return self.short_help or sentence.replace("\n", " ").rstrip(".")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options first, then those that stand everywhere."""
        mine = [p for p in self.get_params(ctx) if isinstance(p, click.Option) and p not in self.common]
        own = [found for p in mine if (found := p.get_help_record(ctx))]
        shared = [found for p in self.common if (found := p.get_help_record(ctx))]
        for title, records in (("Options", own), ("Everywhere", shared)):
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def run(commands: click.Command, arguments: list[str], door: Door) -> int:
    """Run a command line; its exit code."""
    door.options["json"] = "--json" in arguments or None
    try:
        found = commands.main(arguments, prog_name="everloop", standalone_mode=False, obj=door)
        return found if isinstance(found, int) else 0
    except EverloopError as error:
        door.fail(error.problem)
        return error.exit_code
    except click.ClickException as error:
        door.fail(Problem("invalid_input", error.format_message(), _help_hint(error)))
        return 2
    except click.Abort:
        return 130
    except BrokenPipeError:
        sys.stdout = None  # Nobody reads any more; nothing may be flushed at exit.
        return 141
    finally:
        door.close()


def _help_hint(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f"See {context.command_path} --help." if context else ""
