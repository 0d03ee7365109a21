"""The gRPC door in front of what fails, hangs or is asked too much."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import grpc.aio
import numpy as np
import pytest

from everloop.app.platform import Platform
from everloop.kernel.errors import Conflict, Corrupted, EverloopError, Refused, TooLarge, Unavailable
from everloop.registry.entities import Field
from everloop.server.inference.dataplane import DataPlane
from everloop.server.inference.grpc import inference_pb2 as pb
from everloop.server.inference.grpc.door import MOST_CALLS, GrpcDoor, client_of
from everloop.server.inference.served import Answered
from everloop.server.metrics import Metrics
from everloop.server.security import Gate
from everloop.serving.computed import Computed
from everloop.serving.request import PredictionRequest
from tests.server.inference.grpcclient import request

METHOD = "/inference.GRPCInferenceService/ModelInfer"
ROW = [{"name": "x", "datatype": "FP64", "shape": [1], "data": [1.0]}]


class Doubled:
    """A model that doubles `x`, once it is let."""

    name = "doubled"
    versions = ("1",)
    inputs = (Field("x", "float64"),)
    outputs = (Field("y", "float64"),)

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.asked = threading.Event()
        self.free = threading.Event()
        self.free.set()

    def compute(self, requests: Sequence[PredictionRequest]) -> Computed[Answered]:
        self.asked.set()
        self.free.wait(30)
        if self.error is not None:
            raise self.error
        return Computed([Answered("1", one.id, {"y": 2 * one.columns["x"]}) for one in requests])


class Asking:
    """Asks a door for the double of 1: it gives the code and the message, or the answer."""

    def __init__(self, door: GrpcDoor, channel: grpc.aio.Channel) -> None:
        self.door = door
        self._channel = channel

    async def ready(self) -> bool:
        """What `ServerReady` says."""
        answer = await self._channel.unary_unary(METHOD.replace("ModelInfer", "ServerReady"))(b"")
        return bool(pb.ServerReadyResponse.FromString(answer).ready)

    async def __call__(self, timeout: float = 20, **metadata: str) -> str:
        body = request("doubled", ROW, raw=True).SerializeToString()
        try:
            answer = await self._channel.unary_unary(METHOD)(body, timeout=timeout, metadata=tuple(metadata.items()))
        except grpc.aio.AioRpcError as error:
            return f"{error.code().name}: {error.details()}"
        return str(np.frombuffer(pb.ModelInferResponse.FromString(answer).raw_output_contents[0]).tolist())


@asynccontextmanager
async def door(platform: Platform, model: Doubled) -> AsyncIterator[Asking]:
    """A door in front of a model, for as long as the test takes."""
    metrics = Metrics()
    gate = Gate(platform.settings.values, lambda secret: platform.local_principal, platform.local_principal)
    opened = GrpcDoor(DataPlane([model], metrics), gate, metrics, platform.session().new_id)
    address = await opened.listen("127.0.0.1", 0)
    await opened.start()
    async with grpc.aio.insecure_channel(address.removeprefix("grpc://")) as channel:
        yield Asking(opened, channel)
    model.free.set()
    await opened.stop()


async def asked(platform: Platform, model: Doubled) -> str:
    async with door(platform, model) as ask:
        return await ask()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Unavailable("The feature store is away.", hint="Start it."), "UNAVAILABLE"),
        (TooLarge("Ten rows are the limit."), "RESOURCE_EXHAUSTED"),
        (Conflict("It was asked before."), "ABORTED"),
        (Refused("The policy says no."), "FAILED_PRECONDITION"),
        (Corrupted("The model is not what its digest says."), "INTERNAL"),
    ],
)
def test_an_error_has_its_code_and_says_what_to_do(platform: Platform, error: EverloopError, code: str) -> None:
    assert asyncio.run(asked(platform, Doubled(error))) == f"{code}: {error}"


def test_the_server_is_ready_until_something_hangs(platform: Platform) -> None:
    async def told() -> list[bool]:
        async with door(platform, Doubled()) as ask:
            before = await ask.ready()
            ask.door.plane.troubles = lambda: ("Two runs hang.",)
            return [before, await ask.ready()]

    assert asyncio.run(told()) == [True, False]


def test_a_model_that_crashes_is_told_to_the_log_only(platform: Platform, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        answer = asyncio.run(asked(platform, Doubled(ZeroDivisionError("secret"))))
    assert answer.startswith("INTERNAL: The run that this request was part of failed.")
    assert "secret" not in answer
    assert "secret" in caplog.text


def test_a_deadline_that_passes_leaves_the_others_alone(platform: Platform) -> None:
    async def run() -> tuple[str, str]:
        model = Doubled()
        async with door(platform, model) as ask:
            model.free.clear()
            late = await ask(timeout=0.2)
            model.free.set()
            while (answer := await ask()).startswith("UNAVAILABLE"):
                await asyncio.sleep(0.01)  # Until the late run has ended nobody can say how long it goes on.
            return late, answer

    late, next_one = asyncio.run(run())
    assert late.startswith("DEADLINE_EXCEEDED")
    assert next_one == "[2.0]"


def test_a_call_that_is_being_answered_when_the_door_stops_is_answered(platform: Platform) -> None:
    async def run() -> str:
        model = Doubled()
        async with door(platform, model) as ask:
            model.free.clear()
            call = asyncio.create_task(ask())
            while not model.asked.is_set():
                await asyncio.sleep(0.01)
            stopping = asyncio.create_task(ask.door.stop())
            await asyncio.sleep(0.2)
            model.free.set()
            await stopping
            return await call

    assert asyncio.run(run()) == "[2.0]"


@pytest.mark.slow
def test_what_cannot_be_answered_in_time_is_refused_and_the_rest_answered(platform: Platform) -> None:
    async def run() -> list[str]:
        model = Doubled()
        async with door(platform, model) as ask:
            model.free.clear()
            calls = [asyncio.create_task(ask()) for _ in range(MOST_CALLS + 200)]
            while sum(call.done() for call in calls) < 100:
                await asyncio.sleep(0.05)
            model.free.set()
            return [*await asyncio.gather(*calls), await ask()]

    answers = asyncio.run(run())
    refused = [answer for answer in answers if answer != "[2.0]"]
    assert len(refused) >= 100
    assert {answer.partition(":")[0] for answer in refused} <= {
        "UNAVAILABLE",
        "RESOURCE_EXHAUSTED",
        "DEADLINE_EXCEEDED",
    }
    assert answers[-1] == "[2.0]"


def test_what_a_proxy_on_this_machine_forwards_is_not_trusted(platform: Platform) -> None:
    async def run() -> tuple[str, str]:
        async with door(platform, Doubled()) as ask:
            return await ask(**{"x-forwarded-for": "203.0.113.9"}), await ask(authorization="Basic ???")

    forwarded, senseless = asyncio.run(run())
    assert forwarded.startswith("UNAUTHENTICATED: This server wants a token.")
    assert senseless.startswith("UNAUTHENTICATED: The basic authorization")


@pytest.mark.parametrize(
    ("peer", "client"),
    [
        ("ipv4:127.0.0.1:50000", "127.0.0.1"),
        ("ipv6:%5B::1%5D:50000", "::1"),
        ("ipv6:[::1]:50000", "::1"),
        ("unix:/tmp/socket", ""),
        ("", ""),
    ],
)
def test_a_peer_has_an_address_or_none(peer: str, client: str) -> None:
    assert client_of(peer) == client
