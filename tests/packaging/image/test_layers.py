"""Layers: what goes in comes out, and nothing else decides the bytes."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from everloop.packaging.image.layers import File, layer_bytes, write_layer
from tests.examples import examples

segment = st.text("abcdef.é-", min_size=1, max_size=5).filter(lambda name: name.strip(".") != "")
folder = st.lists(segment, min_size=1, max_size=3).map("/".join)
contents = st.dictionaries(folder.map(lambda path: f"d/{path}/file"), st.binary(max_size=300), max_size=6)


def read(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        files = (entry for entry in archive if entry.isfile())
        return {entry.name: archive.extractfile(entry).read() for entry in files}  # type: ignore[union-attr]  # a file


@given(contents)
@settings(max_examples=examples(60), deadline=None)
def test_what_goes_into_a_layer_comes_out(given_files: dict[str, bytes]) -> None:
    assert read(layer_bytes({path: File(data) for path, data in given_files.items()})) == given_files


@given(contents)
@settings(max_examples=examples(60), deadline=None)
def test_the_order_of_files_does_not_matter(given_files: dict[str, bytes]) -> None:
    files = [(path, File(data)) for path, data in given_files.items()]
    assert layer_bytes(dict(files)) == layer_bytes(dict(reversed(files)))


@given(contents.filter(bool), st.data())
@settings(max_examples=examples(60), deadline=None)
def test_another_byte_gives_another_layer(given_files: dict[str, bytes], data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(given_files)))
    other = given_files | {path: given_files[path] + b"\0"}
    made = [layer_bytes({name: File(content) for name, content in files.items()}) for files in (given_files, other)]
    assert made[0] != made[1]


def test_a_layer_knows_its_digests_and_sizes() -> None:
    out = io.BytesIO()
    digest, diff, size, unpacked = write_layer({"a/b": File(b"1" * 1000)}, out)
    tar = gzip.decompress(out.getvalue())
    assert (digest, size) == (hashlib.sha256(out.getvalue()).hexdigest(), len(out.getvalue()))
    assert (diff, unpacked) == (hashlib.sha256(tar).hexdigest(), len(tar))


def test_neither_time_nor_user_nor_umask_of_a_file_stands_in_a_layer(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"1")
    first = layer_bytes({"file": File(path)})
    path.chmod(0o600)
    os.utime(path, (1, 1))
    assert layer_bytes({"file": File(path)}) == first == layer_bytes({"file": File(b"1")})


def test_links_folders_and_modes_are_kept() -> None:
    files = {"bin/run": File(b"#!", 0o755), "bin/also": File(link="run"), "tmp": File(mode=0o1777, folder=True)}
    with tarfile.open(fileobj=io.BytesIO(layer_bytes(files)), mode="r:gz") as archive:
        found = {entry.name: (entry.type, entry.mode, entry.linkname, entry.uid, entry.mtime) for entry in archive}
    assert found == {
        "bin": (tarfile.DIRTYPE, 0o755, "", 0, 0),
        "bin/run": (tarfile.REGTYPE, 0o755, "", 0, 0),
        "bin/also": (tarfile.SYMTYPE, 0o777, "run", 0, 0),
        "tmp": (tarfile.DIRTYPE, 0o1777, "", 0, 0),
    }
