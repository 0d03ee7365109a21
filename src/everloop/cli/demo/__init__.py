"""`everloop demo`: the whole loop on a year of real flights, through the real processes, on a simulated clock."""

from __future__ import annotations

import click

from everloop.cli.door import Command, this_door


@click.command(cls=Command)
@click.option(
    "--months", type=click.IntRange(1, 10), default=10, show_default=True, help="How far into the year to go."
)
def demo(months: int) -> None:
    """Live through a year of real flights: data, features, training, gates, serving, canaries, monitoring, retraining.

    Everything runs for real, on a simulated clock, in the home folder; progress goes to standard error, and the account
    of the year to standard output. A demo that was interrupted goes on where it was.
    """
    from everloop.cli.demo.account import rendered
    from everloop.cli.demo.journey import travel

    door = this_door()
    account = travel(door.settings, months)
    if door.json:
        door.show(account)
        return
    click.echo(rendered(account))
