"""What KServe's clients ask. It runs where kserve is installed, and imports nothing of ours."""

import asyncio
import json
import sys

CHECKS = {}


def check(sentence):
    def add(function):
        CHECKS[sentence] = function
        return function

    return add


def asked(model, name, values, datatype, binary):
    from kserve import InferInput, InferRequest

    one = InferInput(name, list(values.shape), datatype)
    one.set_data_from_numpy(values, binary_data=binary)
    return InferRequest(model, [one])


async def rest(url, request, **more):
    from kserve import InferenceRESTClient
    from kserve.inference_client import RESTConfig

    async with InferenceRESTClient(RESTConfig(protocol="v2", timeout=60)) as client:
        return await client.infer(url, request, model_name=request.model_name, **more)


async def over_grpc(address, request):
    from kserve import InferenceGRPCClient

    async with InferenceGRPCClient(address) as client:
        return await client.infer(request)


def same(found, expected):
    assert found.dtype == expected.dtype, (found.dtype, expected.dtype)
    assert found.tolist() == expected.tolist(), (found.tolist(), expected.tolist())


def datatypes():
    import numpy as np

    return {
        "BOOL": np.array([True, False]),
        "INT8": np.array([-128, 127], "i1"),
        "INT64": np.array([-(2**63), 2**63 - 1], "i8"),
        "UINT64": np.array([0, 2**64 - 1], "u8"),
        "FP16": np.array([0.5, -2], "f2"),
        "FP32": np.array([0.1, 3e38], "f4"),
        "FP64": np.array([0.1, 1e308], "f8"),
        "BYTES": np.array([b"\xfftext", b""], dtype=object),
    }


def give_back(datatype):
    @check(f"{datatype} goes in as binary data over REST")
    async def binary(url, address):
        values = datatypes()[datatype]
        response = await rest(url, asked(f"echo_{datatype.lower()}", "x", values, datatype, True))
        found = response.outputs[0].data
        expected = values.tolist()
        if datatype != "BYTES":
            assert found == expected, (found, expected)

    @check(f"{datatype} goes in and out over gRPC")
    async def over(url, address):
        values = datatypes()[datatype]
        response = await over_grpc(address, asked(f"echo_{datatype.lower()}", "x", values, datatype, True))
        same(response.outputs[0].as_numpy(), values)


for name in ("BOOL", "INT8", "INT64", "UINT64", "FP16", "FP32", "FP64"):
    give_back(name)


@check("BYTES go in and out as JSON over REST")
async def texts(url, address):
    import numpy as np

    response = await rest(url, asked("echo_bytes", "x", np.array(["a", "ü"], dtype=object), "BYTES", False))
    assert response.outputs[0].data == ["a", "ü"], response.outputs[0].data


@check("BYTES come out as binary data over REST")
async def raw(url, address):
    import numpy as np
    from kserve.protocol.infer_type import RequestedOutput

    values = np.array([b"text", "ü".encode(), b""], dtype=object)
    request = asked("echo_bytes", "x", values, "BYTES", True)
    request.request_outputs = [RequestedOutput("y", parameters={"binary_data": True})]
    found = (await rest(url, request)).outputs[0].as_numpy().tolist()
    assert [one if isinstance(one, str) else one.decode() for one in found] == ["text", "ü", ""], found


@check("outputs come as binary data over REST")
async def binary_output(url, address):
    import numpy as np

    values = np.array([1.5, 2.5], "f4")
    request = asked("echo_fp32", "x", values, "FP32", True)
    request.parameters = {"binary_data_output": True}
    same((await rest(url, request)).outputs[0].as_numpy(), values)


@check("matrices keep their shape over REST and gRPC")
async def matrices(url, address):
    import numpy as np

    values = np.arange(12, dtype="f4").reshape(2, 2, 3)
    for response in (
        await rest(url, asked("image", "x", values, "FP32", False)),
        await over_grpc(address, asked("image", "x", values, "FP32", True)),
    ):
        assert response.outputs[0].as_numpy().tolist() == values.tolist()


@check("server and model are live and ready over REST")
async def rest_ready(url, address):
    from kserve import InferenceRESTClient
    from kserve.inference_client import RESTConfig

    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        assert await client.is_server_live(url) is True
        assert await client.is_server_ready(url) is True
        assert await client.is_model_ready(url, "table") is True
        assert await client.is_model_ready(url, "nothing") is False


@check("server and model are live and ready over gRPC")
async def grpc_ready(url, address):
    from kserve import InferenceGRPCClient

    async with InferenceGRPCClient(address) as client:
        assert await client.is_server_live() is True
        assert await client.is_server_ready() is True
        assert await client.is_model_ready("table") is True


@check("the first protocol's predictions")
async def first(url, address):
    from kserve import InferenceRESTClient
    from kserve.inference_client import RESTConfig

    async with InferenceRESTClient(RESTConfig(protocol="v1")) as client:
        assert await client.is_model_ready(url, "table") is True
        found = await client.infer(url, {"instances": [1.5, 2.5]}, model_name="echo_fp64")
        assert found["predictions"] == [1.5, 2.5], found
        rows = [{"a": 1.5, "n": 1, "s": "x"}, {"a": 2.5, "n": 2, "s": "y"}]
        found = await client.infer(url, {"instances": rows}, model_name="table")
        assert found["predictions"] == [{"total": 2.5, "text": "x"}, {"total": 4.5, "text": "y"}], found


@check("the first protocol's matrices")
async def first_matrices(url, address):
    from kserve import InferenceRESTClient
    from kserve.inference_client import RESTConfig

    async with InferenceRESTClient(RESTConfig(protocol="v1")) as client:
        image = [[1, 2, 3], [4, 5, 6]]
        found = await client.infer(url, {"instances": [{"x": image}]}, model_name="image")
        assert found["predictions"] == [image], found


@check("an unknown model is refused with its name over REST")
async def unknown(url, address):
    import httpx

    said = None
    try:
        await rest(url, asked("nothing", "x", datatypes()["FP32"], "FP32", False))
    except httpx.HTTPStatusError as error:
        said = error
    assert said is not None, "it was not refused"
    assert said.response.status_code == 404, said
    assert "nothing" in str(said), said


@check("an unknown model is NOT_FOUND over gRPC")
async def unknown_grpc(url, address):
    import grpc

    code = None
    try:
        await over_grpc(address, asked("nothing", "x", datatypes()["FP32"], "FP32", True))
    except grpc.RpcError as error:
        code = error.code()
    assert code == grpc.StatusCode.NOT_FOUND, code


@check("a model is loaded and unloaded in KServe's words over gRPC")
async def repository(url, address):
    import grpc.aio
    from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
    from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

    async with grpc.aio.insecure_channel(address) as channel:
        stub = GRPCInferenceServiceStub(channel)
        loaded = await stub.RepositoryModelLoad(pb.RepositoryModelLoadRequest(model_name="spare"))
        assert (loaded.model_name, loaded.isLoaded) == ("spare", True)
        gone = await stub.RepositoryModelUnload(pb.RepositoryModelUnloadRequest(model_name="spare"))
        assert (gone.model_name, gone.isUnloaded) == ("spare", True)


async def main(words):
    for sentence, function in CHECKS.items():
        error = ""
        if words != ["--list"]:
            try:
                await asyncio.wait_for(function(*words), 60)
            except Exception as failure:  # noqa: BLE001
                error = f"{type(failure).__name__}: {failure}"[:500] or "failed"
        print(json.dumps({"check": sentence, "error": error}), flush=True)  # noqa: T201


asyncio.run(main(sys.argv[1:]))
