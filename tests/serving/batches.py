"""Encoded batches, read back by Arrow."""

from __future__ import annotations

import struct

import pyarrow as pa

from everloop.serving.ipc import EncodedBatch


def read(batch: EncodedBatch) -> pa.RecordBatch:
    """What any Arrow reader makes of the bytes, fully validated."""
    message = struct.pack("<Ii", 0xFFFFFFFF, len(batch.metadata)) + batch.metadata + batch.body
    found = pa.ipc.read_record_batch(pa.ipc.read_message(message), batch.schema)
    found.validate(full=True)
    return found
