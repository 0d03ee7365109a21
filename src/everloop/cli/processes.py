"""The commands that run processes: `up`, `server`, `controller`, `serve`."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click

from everloop.app import processes
from everloop.cli.door import Command, Door, this_door
from everloop.kernel.errors import EverloopError, InvalidInput, Refused


def _listening(command: Callable[..., None]) -> Callable[..., None]:
    command = click.option("--port", type=int, help="The port; 0 takes a free one.")(command)
    return click.option("--host", metavar="ADDRESS", help="The address to listen on; 127.0.0.1 if not given.")(command)


@click.command(cls=Command)
@_listening
@click.option("--artifacts", metavar="URI", help="The default artifact root that the MLflow door names.")
def server(host: str | None, port: int | None, artifacts: str | None) -> None:
    """Run the HTTP doors: UI, REST, MLflow, health.

    Beyond this machine it listens only where EVERLOOP_AUTHENTICATION=required is set and a token exists.
    """
    door = this_door()
    door.options |= {"host": host, "port": port, "artifacts": artifacts}
    values = door.local.settings.values
    processes.entry("server")(door.local, values.host, values.port, _announcer(door, "server"))


@click.command(cls=Command)
@click.option("--interval", type=float, default=1.0, show_default=True, help="Seconds between looks at the loops.")
@click.option("--port", type=int, default=0, help="The port for /healthz and /readyz; 0 takes a free one.")
def controller(interval: float, port: int) -> None:
    """Run what makes the loops turn: monitors, triggers, training, gates, rollouts."""
    door = this_door()
    processes.entry("controller")(door.local, interval, port, _announcer(door, "controller"))


@click.command(cls=Command)
@click.argument("what", nargs=-1, required=True, metavar="ENDPOINT | models:/NAME@ALIAS…")
@_listening
@click.option("--grpc-port", type=click.IntRange(0, 65535), help="Also over gRPC, on this port; 0 takes a free one.")
@click.option("--workers", type=click.IntRange(0, 512), help="So many processes, each replaced when it fails.")
def serve(
    what: tuple[str, ...], host: str | None, port: int | None, grpc_port: int | None, workers: int | None
) -> None:
    """Serve an endpoint, or registered models by name (models:/NAME@ALIAS, models:/NAME/VERSION).

    It answers over HTTP, and over gRPC where --grpc-port is given. Aliases are followed when they move.
    """
    door = this_door()
    door.options |= {"host": host, "port": port}
    announce = _announcer(door, f"serving {' '.join(what)}")
    models = all(word.startswith("models:/") for word in what)
    if len(what) > 1 and not models:
        raise InvalidInput(
            "A process serves one endpoint, or any number of models:/….", hint="Start one for each endpoint."
        )
    count = door.settings.values.serving_workers if workers is None else workers
    if count:
        _with_workers(door, what, grpc_port, count, announce)
        return
    values = door.local.settings.values
    if models:
        processes.entry("models")(door.local, list(what), values.host, values.port, announce, grpc_port)
        return
    processes.entry("endpoint")(door.local, what[0], values.host, values.port, announce, grpc_port)


def _with_workers(
    door: Door, what: tuple[str, ...], grpc_port: int | None, count: int, announce: Callable[[str], None]
) -> None:
    """Nothing is opened here: each worker opens the platform itself."""
    values = door.settings.values
    if values.url:
        raise Refused("This command works on a home folder, not over HTTP.", hint="Leave out --url and EVERLOOP_URL.")
    processes.entry("workers")(door.settings, what, values.host, values.port, announce, grpc_port, count)


@click.command(cls=Command)
@_listening
def up(host: str | None, port: int | None) -> None:
    """Start everything: the server, the controller, and a process for each endpoint; those that die start again.

    Endpoints listen on the ports after the server's, in the order in which they appear; on free ones with --port 0.
    Stop it with Ctrl-C.
    """
    door = this_door()
    door.options |= {"host": host, "port": port}
    values = door.local.settings.values
    server_port = processes.free_port(values.host, values.port)
    supervisor = processes.Supervisor(_environment(door, server_port), lambda line: click.echo(line, err=True))
    supervisor.keep([processes.Command("server", ("server",)), processes.Command("controller", ("controller",))])
    ports: dict[str, int] = {}
    supervisor.run(lambda: _endpoints(door, ports))


def _endpoints(door: Door, ports: dict[str, int]) -> Iterable[processes.Command]:
    """A process for each endpoint that there is now; each keeps the port that it got when it was first seen."""
    try:
        found = door.call("endpoints.list", {})
    except EverloopError as error:
        click.echo(str(error), err=True)
        return
    for endpoint in found:
        if endpoint.name not in ports:
            ports[endpoint.name] = _next_port(door, len(ports))
        words = ("serve", endpoint.name, "--port", str(ports[endpoint.name]))
        yield processes.Command(f"endpoint {endpoint.name}", words)


def _next_port(door: Door, taken: int) -> int:
    """The port after those of the server and the endpoints before; any free one, if the server took any.

    The neighbour of a port that the system chose is one that it gives to clients: while nobody listens there, one that
    asks again and again connects to itself, and keeps the endpoint from coming back.
    """
    values = door.local.settings.values
    return values.port + 1 + taken if values.port else processes.free_port(values.host, 0)


def _environment(door: Door, port: int) -> dict[str, str]:
    """What the children must know of the options that were given here."""
    values = door.local.settings.values
    return {
        "EVERLOOP_HOME": values.home,
        "EVERLOOP_PROJECT": values.project,
        "EVERLOOP_HOST": values.host,
        "EVERLOOP_PORT": str(port),
    }


def _announcer(door: Door, what: str) -> Callable[[str], None]:
    def announce(address: str) -> None:
        if door.json:
            door.show({"process": what, "address": address})
        else:
            click.echo(f"everloop {what}: {address}")

    return announce
