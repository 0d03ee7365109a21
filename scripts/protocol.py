"""Write the messages of the inference protocol: src/everloop/server/inference/grpc/inference_pb2.py and .pyi.

python -m scripts.protocol
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

FOLDER = Path(__file__).parents[1] / "src" / "everloop" / "server" / "inference" / "grpc"
SOURCE = "inference.proto"
_HEAD = '''"""The messages of inference.proto. Written by `python -m scripts.protocol`: do not edit.

They are in a pool of their own, so that other clients of the protocol may be imported in the same process.
"""

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.internal import enum_type_wrapper

DESCRIPTOR = descriptor_pool.DescriptorPool().AddSerializedFile(
'''


def written() -> dict[str, str]:
    """The generated files, by name."""
    from google.protobuf.descriptor_pb2 import FileDescriptorSet
    from grpc_tools import protoc

    with TemporaryDirectory() as folder:
        out = Path(folder)
        words = [f"--proto_path={FOLDER}", f"--descriptor_set_out={out / 'set'}", f"--pyi_out={out}", SOURCE]
        if protoc.main(["protoc", *words]):
            sys.exit(1)
        [file] = FileDescriptorSet.FromString((out / "set").read_bytes()).file
        types = (out / "inference_pb2.pyi").read_text()
    data = file.SerializeToString(deterministic=True)
    lines = [f"    {data[at : at + 64]!r}\n" for at in range(0, len(data), 64)]
    names = [
        f'{message.name} = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["{message.name}"])\n'
        for message in file.message_type
    ]
    names += [
        f'{enum.name} = enum_type_wrapper.EnumTypeWrapper(DESCRIPTOR.enum_types_by_name["{enum.name}"])\n'
        for enum in file.enum_type
    ]
    return {"inference_pb2.py": _HEAD + "".join(lines) + ")\n" + "".join(names), "inference_pb2.pyi": types}


if __name__ == "__main__":
    for name, text in written().items():
        (FOLDER / name).write_text(text)
