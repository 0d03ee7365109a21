"""Groups of commands that know what was meant when a name is misspelled."""

from __future__ import annotations

import difflib

import click


class Suggesting(click.Group):
    """A group that answers an unknown command with the nearest ones."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the next word names.

        Raises:
            UsageError: there is none; it says which were meant, or which there are.
        """
        known = self.list_commands(ctx)
        if args and not args[0].startswith("-") and args[0] not in known:
            near = difflib.get_close_matches(args[0], known, 3)
            meant = f"Did you mean {' or '.join(near)}?" if near else f"There are: {', '.join(known)}."
            raise click.UsageError(f"There is no command {args[0]!r}. {meant}", ctx)
        return super().resolve_command(ctx, args)
