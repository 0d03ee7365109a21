"""What MLServer's client asks. It runs where mlserver is installed, and imports nothing of ours."""

import json
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

CHECKS = {}


def check(sentence):
    def add(function):
        CHECKS[sentence] = function
        return function

    return add


def got(url, body=None):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body), timeout=60) as response:
            return response.read()
    except urllib.error.HTTPError as error:
        return error.read()


def posted(url, model, request):
    from mlserver.types import InferenceResponse

    found = got(f"{url}/v2/models/{model}/infer", request.model_dump_json().encode())
    assert b'"error"' not in found, found
    return InferenceResponse.model_validate_json(found)


@check("`mlserver infer` answers a file of requests")
def infer(url, address):
    one = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [2], "data": [1.5, 2.5]}]}
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder) / "in.jsonl", Path(folder) / "out.jsonl"
        asked.write_text("".join(json.dumps(one | {"id": str(n)}) + "\n" for n in range(10)))
        command = [
            Path(sys.executable).with_name("mlserver"),
            "infer",
            "-u",
            url.partition("://")[2],
            "-m",
            "echo_fp32",
        ]
        done = subprocess.run(
            [*command, "-i", asked, "-o", answered], capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr[-500:]
        found = [json.loads(line) for line in answered.read_text().splitlines()]
    assert len(found) == 10, found
    assert all(one["outputs"][0]["data"] == [1.5, 2.5] for one in found), found[0]


@check("`mlserver infer` asks for binary data")
def infer_binary(url, address):
    one = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [2], "data": [1.5, 2.5]}]}
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder) / "in.jsonl", Path(folder) / "out.jsonl"
        asked.write_text(json.dumps(one) + "\n")
        command = [
            Path(sys.executable).with_name("mlserver"),
            "infer",
            "-u",
            url.partition("://")[2],
            "-m",
            "echo_fp32",
        ]
        done = subprocess.run(
            [*command, "-i", asked, "-o", answered, "-b"], capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr[-500:]
        [found] = [json.loads(line) for line in answered.read_text().splitlines()]
    assert found["outputs"][0]["data"] == [1.5, 2.5], found


def numpy_codec(datatype, dtype, values):
    @check(f"NumpyCodec: {datatype}")
    def numbers(url, address):
        import numpy as np
        from mlserver.codecs import NumpyCodec
        from mlserver.types import InferenceRequest

        array = np.array(values, dtype=dtype)
        request = InferenceRequest(inputs=[NumpyCodec.encode_input("x", array)])
        response = posted(url, f"echo_{datatype.lower()}", request)
        found = NumpyCodec.decode_output(response.outputs[0])
        assert found.ravel().tolist() == array.tolist(), found
        assert response.outputs[0].datatype == datatype, response


for case in (
    ("BOOL", "?", [True, False]),
    ("INT8", "i1", [-128, 127]),
    ("INT32", "i4", [-5, 5]),
    ("INT64", "i8", [-(2**63), 2**63 - 1]),
    ("UINT8", "u1", [0, 255]),
    ("UINT64", "u8", [0, 2**64 - 1]),
    ("FP32", "f4", [0.1, 3e38]),
    ("FP64", "f8", [0.1, 1e308]),
):
    numpy_codec(*case)


@check("NumpyCodec: matrices keep their shape")
def matrices(url, address):
    import numpy as np
    from mlserver.codecs import NumpyCodec
    from mlserver.types import InferenceRequest

    array = np.arange(12, dtype="f4").reshape(2, 2, 3)
    response = posted(url, "image", InferenceRequest(inputs=[NumpyCodec.encode_input("x", array)]))
    assert NumpyCodec.decode_output(response.outputs[0]).tolist() == array.tolist()


@check("StringCodec")
def strings(url, address):
    from mlserver.codecs import StringCodec
    from mlserver.types import InferenceRequest

    request = InferenceRequest(inputs=[StringCodec.encode_input("x", ["a", "ü"], use_bytes=False)])
    assert StringCodec.decode_output(posted(url, "echo_bytes", request).outputs[0]) == ["a", "ü"]


@check("Base64Codec: bytes come in as base64")
def coded(url, address):
    from mlserver.codecs import Base64Codec, StringCodec
    from mlserver.types import InferenceRequest

    request = InferenceRequest(inputs=[Base64Codec.encode_input("x", ["ü".encode()], use_bytes=False)])
    assert StringCodec.decode_output(posted(url, "echo_bytes", request).outputs[0]) == ["ü"]


@check("PandasCodec: a frame goes in, and one comes out")
def frames(url, address):
    import pandas as pd
    from mlserver.codecs import PandasCodec

    frame = pd.DataFrame({"a": [1.5, 2.5], "n": [1, 2], "s": pd.Series(["x", "y"], dtype=object)})
    response = posted(url, "table", PandasCodec.encode_request(frame, use_bytes=False))
    found = PandasCodec.decode_response(response)
    assert found["total"].tolist() == [2.5, 4.5], found
    assert [text if isinstance(text, str) else text.decode() for text in found["text"]] == ["x", "y"], found


def stub(address):
    import grpc
    from mlserver.grpc.dataplane_pb2_grpc import GRPCInferenceServiceStub

    return GRPCInferenceServiceStub(grpc.insecure_channel(address))


@check("its gRPC client gets a prediction")
def over_grpc(url, address):
    import numpy as np
    from mlserver.codecs import NumpyCodec
    from mlserver.grpc.converters import ModelInferRequestConverter, ModelInferResponseConverter
    from mlserver.types import InferenceRequest

    request = InferenceRequest(inputs=[NumpyCodec.encode_input("x", np.array([0.5, 1.5]))])
    message = ModelInferRequestConverter.from_types(request, model_name="echo_fp64", model_version="")
    response = ModelInferResponseConverter.to_types(stub(address).ModelInfer(message))
    assert NumpyCodec.decode_output(response.outputs[0]).ravel().tolist() == [0.5, 1.5]


@check("its gRPC client sends raw tensors")
def raw(url, address):
    import numpy as np
    from mlserver.codecs import NumpyCodec
    from mlserver.grpc.converters import ModelInferRequestConverter, ModelInferResponseConverter
    from mlserver.types import InferenceRequest

    request = InferenceRequest(inputs=[NumpyCodec.encode_input("x", np.array([0.5, 1.5]))])
    message = ModelInferRequestConverter.from_types(request, model_name="echo_fp64", model_version="", use_raw=True)
    response = ModelInferResponseConverter.to_types(stub(address).ModelInfer(message))
    assert NumpyCodec.decode_output(response.outputs[0]).ravel().tolist() == [0.5, 1.5]


@check("its gRPC client reads metadata and readiness")
def metadata(url, address):
    from mlserver.grpc import dataplane_pb2 as pb

    client = stub(address)
    assert client.ServerLive(pb.ServerLiveRequest()).live
    assert client.ModelReady(pb.ModelReadyRequest(name="table")).ready
    found = client.ModelMetadata(pb.ModelMetadataRequest(name="image"))
    assert [(one.name, one.datatype, list(one.shape)) for one in found.inputs] == [("x", "FP32", [-1, 2, 3])]


@check("its gRPC client reads the index, loads and unloads")
def repository(url, address):
    from mlserver.grpc import dataplane_pb2 as pb

    client = stub(address)
    states = {one.name: one.state for one in client.RepositoryIndex(pb.RepositoryIndexRequest()).models}
    assert states["table"] == "READY", states
    client.RepositoryModelLoad(pb.RepositoryModelLoadRequest(model_name="spare"))
    assert client.ModelReady(pb.ModelReadyRequest(name="spare")).ready
    client.RepositoryModelUnload(pb.RepositoryModelUnloadRequest(model_name="spare"))


@check("REST bodies are what its types say")
def types(url, address):
    from mlserver.types import (
        InferenceErrorResponse,
        MetadataModelResponse,
        MetadataServerResponse,
        RepositoryIndexResponse,
    )

    MetadataServerResponse.model_validate_json(got(f"{url}/v2"))
    MetadataModelResponse.model_validate_json(got(f"{url}/v2/models/table"))
    RepositoryIndexResponse.model_validate_json(got(f"{url}/v2/repository/index", b"{}"))
    error = InferenceErrorResponse.model_validate_json(got(f"{url}/v2/models/nothing"))
    assert "nothing" in error.error


def main(words):
    for sentence, function in CHECKS.items():
        error = ""
        if words != ["--list"]:
            try:
                function(*words)
            except Exception as failure:  # noqa: BLE001
                error = f"{type(failure).__name__}: {failure}"[:500] or "failed"
        print(json.dumps({"check": sentence, "error": error}), flush=True)  # noqa: T201


main(sys.argv[1:])
