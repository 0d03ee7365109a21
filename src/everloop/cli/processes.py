"""The commands that run processes: `up`, `server`, `controller`, `serve`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import click

from everloop.app import processes
from everloop.cli.door import Command, Door, this_door
from everloop.kernel.errors import EverloopError, InvalidInput, Refused

if TYPE_CHECKING:
    from everloop.serving.entities import Endpoint

MOST_WORKERS = 512


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
@click.option("--workers", type=click.IntRange(0, MOST_WORKERS), help="So many processes, each replaced when it fails.")
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

    An endpoint whose stable deployment has several replicas (Resources) is served by as many workers, unless
    EVERLOOP_SERVING_WORKERS says how many; it is looked up when the endpoint is first seen.

    Endpoints listen on the ports after the server's, in the order in which they appear; on free ones with --port 0.
    Stop it with Ctrl-C.
    """
    door = this_door()
    door.options |= {"host": host, "port": port}
    values = door.local.settings.values
    server_port = processes.free_port(values.host, values.port)
    supervisor = processes.Supervisor(_environment(door, server_port), lambda line: click.echo(line, err=True))
    supervisor.keep([processes.Command("server", ("server",)), processes.Command("controller", ("controller",))])
    known: dict[str, processes.Command] = {}
    supervisor.run(lambda: _endpoints(door, known))


def _endpoints(door: Door, known: dict[str, processes.Command]) -> Iterable[processes.Command]:
    """A process for each endpoint that there is now; each keeps the port that it got when it was first seen."""
    try:
        for endpoint in door.call("endpoints.list", {}):
            if endpoint.name not in known:
                port = str(_next_port(door, len(known)))
                words = ("serve", endpoint.name, "--port", port, *_replicas(door, endpoint))
                known[endpoint.name] = processes.Command(f"endpoint {endpoint.name}", words)
    except EverloopError as error:
        click.echo(str(error), err=True)
    yield from known.values()


def _replicas(door: Door, endpoint: Endpoint) -> tuple[str, ...]:
    """The words that ask for as many workers as the stable deployment has replicas; one needs no supervisor."""
    if door.local.settings.values.serving_workers:
        return ()
    deployed = door.call("endpoints.deployments", {"name": endpoint.name})
    count = next(one.resources.replicas for one in deployed if one.revision == endpoint.stable)
    return ("--workers", str(min(count, MOST_WORKERS))) if count > 1 else ()


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
