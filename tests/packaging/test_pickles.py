"""Pickles judged by opcodes: written by hand, and never loaded."""

from __future__ import annotations

import bz2
import collections
import datetime
import decimal
import gzip
import io
import lzma
import pickle
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everloop.app.platform import Platform
from everloop.packaging import scan
from everloop.packaging.entities import Package
from everloop.packaging.scan import scan_folder
from everloop.registry.pickles import ALLOWED, is_pickle, problems
from tests.examples import examples

OS = b"cos\nsystem\n(S'echo owned'\ntR."
"""What every variant below does in its own way: os.system('echo owned')."""


def text(word: str) -> bytes:
    """A short string as protocol 4 writes it."""
    return b"\x8c" + bytes([len(word)]) + word.encode()


CALL = text("echo owned") + b"\x85R."
SYSTEM = text("os") + b"\x94" + text("system") + b"\x94\x93"

BAD = {
    "a global": OS,
    "the module below the module": b"cposix\nsystem\n(S'x'\ntR.",
    "an instance": b"(S'echo owned'\nios\nsystem\n.",
    "an object": b"(cos\nsystem\nS'echo owned'\no.",
    "a new object": b"\x80\x02cos\nsystem\nU\x04echo\x85\x81.",
    "a new object with keywords": b"\x80\x04" + SYSTEM + text("echo") + b"\x85}\x92.",
    "names from the stack": b"\x80\x04" + SYSTEM + CALL,
    "names in a frame": b"\x80\x04\x95" + struct.pack("<Q", len(SYSTEM + CALL)) + SYSTEM + CALL,
    "names by way of the memo": b"\x80\x04" + text("os") + b"\x940" + text("system") + b"\x940h\0h\1\x93" + CALL,
    "names by way of numbered memos": b"\x80\x02X\x02\0\0\0osq\x070X\x06\0\0\0systemq\x090h\x07h\x09\x93" + CALL,
    "names behind something popped": b"\x80\x04"
    + text("os")
    + text("OrderedDict")
    + b"0"
    + text("system")
    + b"\x93"
    + CALL,
    "a memo that is written over": b"\x80\x04"
    + (text("collections") + b"q\x050" + text("os") + b"q\x050h\x05" + text("system") + b"\x93" + CALL),
    "a name that a call gives": b"\x80\x04" + text("os") + b"cbuiltins\nstr\n" + text("system") + b"\x85R\x93" + CALL,
    "bytes as names": b"\x80\x04C\x02osC\x06system\x93" + CALL,
    "eval": b"cbuiltins\neval\n(S'1'\ntR.",
    "exec of Python 2": b"c__builtin__\nexecfile\n(S'x'\ntR.",
    "an import": b"cbuiltins\n__import__\n(S'os'\ntR.",
    "getattr": b"cbuiltins\ngetattr\n(cbuiltins\nlist\nS'append'\ntR.",
    "a path through an allowed type": b"\x80\x04" + text("builtins") + text("list.__class__") + b"\x93.",
    "a path through an allowed module": b"\x80\x04" + text("collections") + text("_sys.modules") + b"\x93.",
    "an allowed module's own import": b"cnumpy\ntesting\n.",
    "a library that runs code": b"cnumpy.testing._private.utils\nrunstring\n(S'1'\n}tR.",
    "a loader of pickles": b"cpickle\nloads\n(S'x'\ntR.",
    "a loader of arrays": b"cnumpy\nload\n(S'x.npy'\ntR.",
    "a loader of joblib": b"cjoblib\nload\n(S'x'\ntR.",
    "a process": b"csubprocess\nPopen\n(S'x'\ntR.",
    "a debugger": b"cbdb\nBdb\n)\x81.",
    "a timer": b"ctimeit\ntimeit\n(S'1'\ntR.",
    "a module that is run": b"crunpy\nrun_path\n(S'x'\ntR.",
    "a pager": b"cpydoc\npipepager\n(S'x'\nS'sh'\ntR.",
    "an installer": b"cpip\nmain\n(S'install'\ntR.",
    "a browser": b"cwebbrowser\nopen\n(S'x'\ntR.",
    "a socket": b"csocket\ncreate_connection\n(S'x'\ntR.",
    "a file": b"cbuiltins\nopen\n(S'x'\nS'w'\ntR.",
    "a file by its path": b"cpathlib\nPath.write_text\n.",
    "code made of bytes": b"ctypes\nCodeType\n.",
    "a function made of code": b"ctypes\nFunctionType\n.",
    "a foreign library": b"cctypes\nCDLL\n(S'x'\ntR.",
    "a partial call": b"cfunctools\npartial\n(cos\nsystem\nS'x'\ntR.",
    "a getter of attributes": b"coperator\nattrgetter\n(S'system'\ntR.",
    "a state that is set on a module": b"csys\nmodules\n}b.",
    "an extension": b"\x82\x01.",
    "a wide extension": b"\x84\1\0\0\0.",
    "a persistent id": b"Pwhatever\n.",
    "a binary persistent id": b"\x80\x04" + text("x") + b"Q.",
    "a call before the break": OS[:-1],
    "a call before nonsense": OS[:-1] + b"\xff\xff",
    "a call after a good pickle": pickle.dumps([1, 2]) + OS,
    "a model of torch": b"ctorch._utils\n_rebuild_tensor_v2\n.",
    "a lambda of dill": b"cdill._dill\n_create_function\n.",
    "a name with a space": b"cos\nsystem evil\n.",
    "a name with a trick": b"cbuiltins\nlist\r\n.",
    "an estimator of one's own": b"cmymodels\nModel\n)\x81.",
}

GOOD = {
    "plain values": {"a": [1, 2.5, None, True, "text", b"bytes"], "b": ({1, 2}, frozenset("xy"), 10**40)},
    "collections": [collections.OrderedDict(a=1), collections.deque([1]), collections.Counter("aab")],
    "times and decimals": [datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), decimal.Decimal("1.5")],
    "arrays": [np.arange(5), np.array(["a", None], dtype=object), np.float64(3), np.zeros((2, 2), dtype="f4")],
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_pickle_is_stopped(case: str) -> None:
    assert problems(BAD[case]) != []


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("case", GOOD)
def test_a_good_pickle_of_any_protocol_passes(case: str, protocol: int) -> None:
    assert problems(pickle.dumps(GOOD[case], protocol)) == []


def test_a_fitted_estimator_passes() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.tree import DecisionTreeClassifier

    rows, label = np.arange(20.0).reshape(10, 2), np.arange(10) % 2
    for native in (make_pipeline(StandardScaler(), LogisticRegression()), DecisionTreeClassifier()):
        assert problems(pickle.dumps(native.fit(rows, label))) == []


def test_what_would_be_imported_is_named() -> None:
    assert problems(OS) == ["It would import os.system."]
    assert problems(BAD["names by way of the memo"]) == ["It would import os.system."]


def test_nothing_allowed_can_run_code_by_its_name() -> None:
    dangerous = {"eval", "exec", "compile", "getattr", "open", "__import__", "system", "load", "loads"}
    assert not {name for _, name in ALLOWED} & dangerous
    assert not [name for _, name in ALLOWED if "." in name]


@given(st.binary(max_size=300))
@settings(max_examples=examples(200), deadline=None)
def test_any_bytes_are_judged_without_an_accident(data: bytes) -> None:
    assert isinstance(problems(data), list)
    assert isinstance(is_pickle(data), bool)


@given(st.recursive(st.none() | st.integers() | st.text() | st.binary(), lambda inner: st.lists(inner), max_leaves=9))
@settings(max_examples=examples(60), deadline=None)
def test_a_call_hidden_in_a_good_pickle_is_found_wherever_it_stands(value: object) -> None:
    body = pickle.dumps(value, 2)[2:-1]
    assert problems(b"\x80\x02(" + body + OS[:-1] + b"t.") == ["It would import os.system."]
    assert problems(b"\x80\x02(" + OS[:-1] + body + b"t.") == ["It would import os.system."]


def folded(name: str, data: bytes) -> bytes:
    """The bytes inside an archive of one file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, data)
    return out.getvalue()


def array_of_objects() -> bytes:
    """A .npy file whose pickle was swapped."""
    out = io.BytesIO()
    np.save(out, np.array([None], dtype=object), allow_pickle=True)
    data = out.getvalue()
    return data[: data.index(b"\n") + 1] + OS


HIDDEN = {
    "weights.pkl": OS,
    "weights.JOBLIB": OS,
    "model.txt": OS,
    "no-suffix": b"\x80\x04" + SYSTEM + CALL,
    "nested/deep/a.pickle": OS,
    "broken.pkl": OS[:-1],
    "a.pkl.gz": gzip.compress(OS),
    "a.pkl.bz2": bz2.compress(OS),
    "a.pkl.xz": lzma.compress(OS),
    "a.pkl.z": zlib.compress(OS),
    "a.pt": folded("archive/data.pkl", OS),
    "a.zip": folded("inner.zip", folded("a.pkl", OS)),
    "a.npy": array_of_objects(),
    "a.npz": folded("a.npy", array_of_objects()),
    "picture.png": OS + folded("a", b"b"),
    "matryoshka.gz": gzip.compress(gzip.compress(gzip.compress(gzip.compress(gzip.compress(OS))))),
    "bomb.pkl": gzip.compress(bytes(2_000_000)),
    "locked.zip": folded("a.pkl", OS)[:-30],
    "leads-out.zip": folded("../../etc/passwd", b"x"),
    "half.gz": gzip.compress(OS)[:-9],
    "head.npy": b"\x93NUMPY\x01\0\x04\0((((",
}


@pytest.mark.parametrize("name", HIDDEN)
def test_a_bad_pickle_is_found_wherever_it_hides(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "LARGEST", 1_000_000)
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(HIDDEN[name])
    findings = scan_folder(tmp_path)
    assert {finding.severity for finding in findings} == {"error"}
    assert all(finding.path.startswith(name) for finding in findings)


def saved(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


CLEAN = {
    "flights.csv": b"count\nfoo\n1,2\n",
    "carrier.csv": b"carrier,hour\nAA,12\n",
    "inputs.json": b'[{"name": "x"}]',
    "model.txt": b"tree\nversion=v4\nnum_class=1\n",
    "notes.md": b"# Notes\n",
    "empty": b"",
    "good.pkl": pickle.dumps(GOOD["plain values"]),
    "good.pkl.gz": gzip.compress(pickle.dumps(GOOD["arrays"])),
    "numbers.npy": saved(np.arange(9)),
    "table.npy": saved(np.zeros(3, dtype=[("a", "f8"), ("b", "U3")])),
    "numbers.npz": folded("a.npy", saved(np.arange(9.0))),
    "random.bin": bytes(range(256)) * 8,
}


@pytest.mark.parametrize("name", CLEAN)
def test_what_is_harmless_is_left_alone(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(CLEAN[name])
    assert scan_folder(tmp_path) == []


def test_native_code_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "kernel.so").write_bytes(b"\x7fELF\2\1\1")
    assert [(f.path, f.severity) for f in scan_folder(tmp_path)] == [("kernel.so", "warning")]


def test_scanning_runs_nothing(tmp_path: Path) -> None:
    target = tmp_path / "owned"
    (tmp_path / "a.pkl").write_bytes(b"cos\nsystem\n(S'touch " + str(target).encode() + b"'\ntR.")
    assert scan_folder(tmp_path)
    assert not target.exists()


def test_a_packages_own_files_scan_clean(tmp_path: Path, package: Package, registered: Platform) -> None:
    data = registered.resources.store.get(package.digest)
    (tmp_path / "apart").mkdir()
    (tmp_path / "apart" / "delay.bin").write_bytes(data[data.index(b"PK\x03\x04") :])
    assert scan_folder(tmp_path / "apart") == []
