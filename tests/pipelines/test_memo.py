"""A step runs again exactly when something that it really used has changed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.pipelines.conftest import Project

HEADER = """
from __future__ import annotations
import functools
from dataclasses import dataclass, field
from pathlib import Path
import msgspec
import everloop as el
import tools
from tools import scale
from library import version
"""
FOOTER = """
@el.pipeline
def fit() -> object:
    return work()
"""
TOOLS = '''
"""Tools."""
LIMIT = 10
UNUSED = 1
TABLE = {"a": 1, "b": 2}
WORDS = frozenset({"ab", "cd", "ef", "gh"})


def scale(x):
    return x * inner(x)


def inner(x):
    return x + LIMIT


def unused(x):
    return x - 1


class Model:
    """A model."""

    rate = 0.1

    def __init__(self, k=2):
        self.k = k

    def fit(self, x):
        return self._core(x) * self.k

    def _core(self, x):
        return x + self.rate


class Child(Model):
    pass


def doubled(function):
    def wrapper(*args):
        return function(*args) * 2
    return wrapper
'''


class Case(msgspec.Struct, frozen=True):
    """A step, an edit, and whether the step must run again after it."""

    name: str
    step: str
    before: str
    after: str
    reruns: bool
    file: str = "steps.py"


def plain(body: str, signature: str = "def work():") -> str:
    return f"@el.step\n{signature}\n    {body}\n"


MUST = [
    Case("its own body", plain("return 1 + 1"), "1 + 1", "1 + 2", True),
    Case("a constant int to float", plain("return 1"), "return 1", "return 1.0", True),
    Case("a constant int to bool", plain("return 1"), "return 1", "return True", True),
    Case(
        "the order of two statements",
        plain("a = [2, 1]; a.sort(); a.append(0); return a"),
        "a.sort(); a.append(0)",
        "a.append(0); a.sort()",
        True,
    ),
    Case("a helper in the same module", "def h(x): return x\n" + plain("return h(1)"), "return x", "return -x", True),
    Case(
        "a helper of a helper in another module", plain("return scale(1)"), "x + LIMIT", "x - LIMIT", True, "tools.py"
    ),
    Case("a constant of another module", plain("return scale(1)"), "LIMIT = 10", "LIMIT = 11", True, "tools.py"),
    Case(
        "a constant read through the module", plain("return tools.LIMIT"), "LIMIT = 10", "LIMIT = 11", True, "tools.py"
    ),
    Case("a function read through the module", plain("return tools.inner(1)"), "x + LIMIT", "x", True, "tools.py"),
    Case("a dict constant", plain("return tools.TABLE"), '"b": 2', '"b": 3', True, "tools.py"),
    Case("a set constant", plain("return len(tools.WORDS)"), '"gh"', '"gi"', True, "tools.py"),
    Case("a frozenset in the code", plain("return 'a' in {'a', 'b'}"), "'b'}", "'c'}", True),
    Case("a default", plain("return n", "def work(n=1):"), "n=1", "n=2", True),
    Case("a default of a helper", "def h(n=1): return n\n" + plain("return h()"), "n=1", "n=2", True),
    Case("a keyword-only default", plain("return n", "def work(*, n=1):"), "n=1", "n=2", True),
    Case("a default that is a constant", "N = 1\n" + plain("return n", "def work(n=N):"), "N = 1", "N = 2", True),
    Case(
        "a closure's value",
        "def make(k):\n    def inner(): return k\n    return inner\nh = make(1)\n" + plain("return h()"),
        "make(1)",
        "make(2)",
        True,
    ),
    Case(
        "a closure's function",
        "def make(f):\n    def inner(): return f(1)\n    return inner\nh = make(lambda x: x)\n" + plain("return h()"),
        "lambda x: x",
        "lambda x: -x",
        True,
    ),
    Case(
        "a decorator's body",
        "@tools.doubled\ndef h(): return 1\n" + plain("return h()"),
        "* 2",
        "* 3",
        True,
        "tools.py",
    ),
    Case(
        "a decorator taken away",
        "@tools.doubled\ndef h(): return 1\n" + plain("return h()"),
        "@tools.doubled\n",
        "",
        True,
    ),
    Case(
        "a function under a decorator",
        "@tools.doubled\ndef h(): return 1\n" + plain("return h()"),
        "return 1",
        "return 2",
        True,
    ),
    Case(
        "a function under functools.wraps",
        "def d(f):\n    @functools.wraps(f)\n    def w(): return f()\n    return w\n"
        "@d\ndef h(): return 1\n" + plain("return h()"),
        "return 1",
        "return 2",
        True,
    ),
    Case(
        "a function under functools.cache",
        "@functools.cache\ndef h(): return 1\n" + plain("return h()"),
        "return 1",
        "return 2",
        True,
    ),
    Case("a method", plain("return tools.Model().fit(1)"), "* self.k", "+ self.k", True, "tools.py"),
    Case("a method that a method calls", plain("return tools.Model().fit(1)"), "x + self.rate", "x", True, "tools.py"),
    Case("a class attribute", plain("return tools.Model().fit(1)"), "rate = 0.1", "rate = 0.2", True, "tools.py"),
    Case("a method of a base class", plain("return tools.Child().fit(1)"), "* self.k", "+ self.k", True, "tools.py"),
    Case("a default in a class body", plain("return tools.Model().fit(1)"), "k=2", "k=3", True, "tools.py"),
    Case("an instance's state", "m = tools.Model(2)\n" + plain("return m.fit(1)"), "Model(2)", "Model(4)", True),
    Case(
        "a class in the step's own module",
        "class C:\n    def f(self): return 1\n" + plain("return C().f()"),
        "return 1",
        "return 2",
        True,
    ),
    Case(
        "a static method",
        "class C:\n    @staticmethod\n    def f(): return 1\n" + plain("return C.f()"),
        "return 1",
        "return 2",
        True,
    ),
    Case(
        "a property",
        "class C:\n    @property\n    def f(self): return 1\n" + plain("return C().f"),
        "return 1",
        "return 2",
        True,
    ),
    Case(
        "a nested function",
        plain("f = lambda x: x + 1\n    def g(x): return f(x)\n    return g(1)"),
        "x + 1",
        "x + 2",
        True,
    ),
    Case(
        "a global that a nested function reads",
        "N = 1\n" + plain("def g(): return N\n    return g()"),
        "N = 1",
        "N = 2",
        True,
    ),
    Case(
        "a global that a comprehension reads", "N = 1\n" + plain("return [N for _ in range(2)]"), "N = 1", "N = 2", True
    ),
    Case(
        "a global that shadows a builtin",
        "def len(x): return 1\n" + plain("return len([])"),
        "return 1",
        "return 2",
        True,
    ),
    Case("a builtin that gets shadowed", plain("return len([])"), "@el.step", "def len(x): return 7\n@el.step", True),
    Case("a lambda", "h = lambda x: x + 1\n" + plain("return h(1)"), "x + 1", "x + 2", True),
    Case(
        "one of two lambdas on a line",
        "h, g = lambda: 1, lambda: 2\n" + plain("return h()"),
        "lambda: 1",
        "lambda: 3",
        True,
    ),
    Case(
        "a partial's argument",
        "def h(a, b): return a + b\np = functools.partial(h, 1)\n" + plain("return p(2)"),
        "(h, 1)",
        "(h, 5)",
        True,
    ),
    Case(
        "a partial's function",
        "def h(a): return a\np = functools.partial(h, 1)\n" + plain("return p()"),
        "return a",
        "return -a",
        True,
    ),
    Case("a dataclass default", "@dataclass\nclass D:\n    a: int = 1\n" + plain("return D().a"), "= 1", "= 2", True),
    Case(
        "a dataclass factory",
        "@dataclass\nclass D:\n    a: list = field(default_factory=lambda: [1])\n" + plain("return D().a"),
        "[1]",
        "[2]",
        True,
    ),
    Case("a Struct default", "class S(msgspec.Struct):\n    a: int = 1\n" + plain("return S().a"), "= 1", "= 2", True),
    Case(
        "a Struct method",
        "class S(msgspec.Struct):\n    a: int = 1\n    def f(self): return 1\n" + plain("return S().f()"),
        "return 1",
        "return 2",
        True,
    ),
    Case(
        "a Struct that only the annotation names",
        "class S(msgspec.Struct, frozen=True):\n    a: int = 1\n    b: int = 1\n"
        "def make(): return None\n" + plain("return make()", "def work() -> S | None:"),
        "b: int = 1",
        "b: int = 2",
        True,
    ),
    Case(
        "an enumeration's value",
        "import enum\nclass E(enum.Enum):\n    A = 1\n" + plain("return E.A.value"),
        "A = 1",
        "A = 2",
        True,
    ),
    Case(
        "an import inside the step",
        plain("from tools import inner\n    return inner(1)"),
        "x + LIMIT",
        "x",
        True,
        "tools.py",
    ),
    Case(
        "a module imported inside the step",
        plain("import tools as t\n    return t.inner(1)"),
        "x + LIMIT",
        "x",
        True,
        "tools.py",
    ),
    Case("a module reached by getattr", plain("return getattr(tools, 'inner')(1)"), "x + LIMIT", "x", True, "tools.py"),
    Case("a name reached by globals()", "N = 1\n" + plain("return globals()['N']"), "N = 1", "N = 2", True),
    Case(
        "another function under the same name",
        "from tools import inner as h\n" + plain("return h(1)"),
        "import inner as h",
        "import unused as h",
        True,
    ),
    Case(
        "a registry of functions",
        "R = {}\ndef h(): return 1\nR['h'] = h\n" + plain("return R['h']()"),
        "return 1",
        "return 2",
        True,
    ),
    Case(
        "a pattern", "import re\nP = re.compile('a')\n" + plain("return bool(P.match('a'))"), "'a')\n", "'b')\n", True
    ),
    Case("a computed constant", "N = sum([1, 2])\n" + plain("return N"), "[1, 2]", "[1, 3]", True),
    Case(
        "how a scratch global begins", "SEEN = [1]\n" + plain("SEEN.append(2); return SEEN[:1]"), "[1]\n", "[5]\n", True
    ),
    Case(
        "a library's version",
        plain("return version()"),
        "VERSION",
        "VERSION",
        True,
        "site-packages/library/__init__.py",
    ),
    Case(
        "an except clause",
        plain("try:\n        return int('x')\n    except (TypeError, ValueError):\n        return 1"),
        "(TypeError, ValueError)",
        "(KeyError, ValueError)",
        True,
    ),
]
MUST_NOT = [
    Case("a comment", plain("return 1"), "return 1", "return 1  # one", False),
    Case("a line above", plain("return 1"), "@el.step", "# above\n\n\n@el.step", False),
    Case("a docstring added", plain("return 1"), "    return 1", "    '''Why.'''\n    return 1", False),
    Case("a docstring changed", plain("'''Why.'''\n    return 1"), "Why.", "Because.", False),
    Case(
        "a docstring of a helper's class",
        plain("return tools.Model().fit(1)"),
        "A model.",
        "The model.",
        False,
        "tools.py",
    ),
    Case("line breaks", plain("return max(1, 2)"), "max(1, 2)", "max(\n        1,\n        2,\n    )", False),
    Case(
        "line breaks in a condition",
        plain("if 1 < len([1]) and len([2]) < 3:\n        return 1\n    return 2"),
        "and len",
        "and \\\n            len",
        False,
    ),
    Case("quotes", plain("return 'a'"), "'a'", '"a"', False),
    Case("parentheses", plain("return 1 + 2 * 3"), "2 * 3", "(2 * 3)", False),
    Case("an unused helper", plain("return scale(1)"), "x - 1", "x - 2", False, "tools.py"),
    Case("an unused constant", plain("return scale(1)"), "UNUSED = 1", "UNUSED = 2", False, "tools.py"),
    Case(
        "an unused constant beside one read through the module",
        plain("return tools.LIMIT"),
        "UNUSED = 1",
        "UNUSED = 2",
        False,
        "tools.py",
    ),
    Case("a new function", plain("return scale(1)"), "LIMIT = 10", "LIMIT = 10\ndef new(): pass", False, "tools.py"),
    Case("a global that a local shadows", "N = 1\n" + plain("N = 5\n    return N"), "N = 1", "N = 2", False),
    Case("a global that a parameter shadows", "N = 1\n" + plain("return N", "def work(N=3):"), "N = 1", "N = 2", False),
    Case(
        "a global named like an attribute",
        "fit = 1\nclass A: fit = 2\n" + plain("return A.fit"),
        "fit = 1",
        "fit = 3",
        False,
    ),
    Case(
        "the order of a dict constant",
        plain("return tools.TABLE"),
        '"a": 1, "b": 2',
        '"b": 2, "a": 1',
        False,
        "tools.py",
    ),
    Case("how a constant is written", plain("return tools.LIMIT"), "LIMIT = 10", "LIMIT = 5 * 2", False, "tools.py"),
    Case(
        "a helper that moves within its module",
        "def h(): return 1\n" + plain("return h()"),
        "def h(): return 1\n",
        "import os\ndef other(): return 2\ndef h(): return 1\n",
        False,
    ),
    Case("a file that is written again", plain("return 1"), "return 1", "return 1", False),
]


@pytest.fixture(autouse=True)
def library(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that is installed beside the project."""
    site = project.folder.parent / "site-packages"
    (site / "library").mkdir(parents=True)
    (site / "library" / "__init__.py").write_text("def version():\n    return 'VERSION'\n")
    release(site, "1.0")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, "library", raising=False)
    project.write("tools.py", TOOLS)


def release(site: Path, version: str) -> None:
    for old in site.glob("library-*.dist-info"):
        (old / "METADATA").unlink()
        old.rmdir()
    folder = site / f"library-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: library\nVersion: {version}\n")


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=f"{kind}: {case.name}", marks=[pytest.mark.slow] if number % 4 else [])
        for kind, cases in (("must", MUST), ("must not", MUST_NOT))
        for number, case in enumerate(cases)
    ],
)
def test_a_step_runs_again_exactly_when_what_it_uses_changed(
    project: Project, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("steps.py", HEADER + case.step + FOOTER)
    assert project.executed() == ["work"]
    assert project.executed() == []
    if case.file.startswith("site-packages"):
        release(project.folder.parent / "site-packages", "1.1")
        monkeypatch.delitem(sys.modules, "library")
    else:
        project.edit(case.file, case.before, case.after)
    os.utime(project.folder / "tools.py", (1, 1))
    assert project.executed() == (["work"] if case.reruns else [])
    assert project.executed() == []


ARGUMENTS = [
    (1, 1.0, True), (1, True, True), (0.0, False, True), (1, "1", True), ("a", b"a", True), ([1], (1,), True),
    (None, 0, True), ([1, 2], [2, 1], True), ({"a": 1}, {"a": 2}, True), ({"a": 1}, {"a": 1.0}, True),
    ([[1], 2], [1, [2]], True), (["ab", "c"], ["a", "bc"], True), ({1: 2}, {"1": 2}, True), (1 << 70, 1 << 71, True),
    (1, 1, False), (float("nan"), float("nan"), False), ({"a": 1, "b": 2}, {"b": 2, "a": 1}, False),
    ({"x", "y", "z"}, {"z", "y", "x"}, False), ([1, (2, None)], [1, (2, None)], False),
    (0.1 + 0.2, 0.30000000000000004, False),
]  # fmt: skip


@pytest.mark.parametrize(
    ("first", "second", "reruns"),
    [pytest.param(*case, marks=[pytest.mark.slow] if number % 4 else []) for number, case in enumerate(ARGUMENTS)],
    ids=lambda value: repr(sorted(value)) if isinstance(value, set) else repr(value),
)
def test_arguments_count_by_value_and_type(project: Project, first: object, second: object, reruns: bool) -> None:
    project.write(
        "steps.py",
        HEADER + plain("return None", "def work(x):") + FOOTER.replace("fit()", "fit(x)").replace("work()", "work(x)"),
    )
    assert project.executed(x=first) == ["work"]
    assert project.executed(x=second) == (["work"] if reruns else [])


def given(project: Project, body: str = "return 1") -> Callable[[object], list[str]]:
    """A project with a step that takes anything; what is executed when it is given something."""
    project.write("steps.py", HEADER + plain(body, "def work(x):") + "@el.pipeline\ndef fit(x): return work(x)\n")
    return lambda value: project.executed(x=value)


def test_a_table_counts_by_its_content_and_not_by_how_it_lies_in_memory(project: Project) -> None:
    import pyarrow as pa

    executed = given(project)
    table = pa.table({"a": [1, 2, None, 4], "b": ["x", None, "z", "w"], "c": [True, False, None, True]})
    chunked = pa.concat_tables([table.slice(0, 3), table.slice(3)])
    padded = pa.concat_tables([table, table]).slice(4)
    assert executed(table) == ["work"]
    assert executed(chunked) == []
    assert executed(padded) == []
    assert executed(table.set_column(0, "a", [[1, 2, None, 5]])) == ["work"]
    assert executed(table.set_column(0, "a", pa.array([1, 2, None, 4], pa.int32()))) == ["work"]
    assert executed(table.rename_columns(["a", "b", "d"])) == ["work"]


def test_an_array_counts_by_content_type_and_shape(project: Project) -> None:
    import numpy as np

    executed = given(project)
    assert executed(np.arange(6)) == ["work"]
    assert executed(np.arange(12)[::2] // 2) == []
    assert executed(np.arange(6).astype(np.int32)) == ["work"]
    assert executed(np.arange(6).reshape(2, 3)) == ["work"]


@pytest.mark.parametrize("kind", [Path, str])
def test_a_path_counts_with_the_file_that_it_leads_to_whatever_its_times_say(project: Project, kind: type) -> None:
    executed = given(project)
    file = project.folder / "data.csv"
    file.write_text("1")
    os.utime(file, (1, 1))
    assert executed(kind(file)) == ["work"]
    assert executed(kind(file)) == []
    file.write_text("2")
    os.utime(file, (1, 1))
    assert executed(kind(file)) == ["work"]
    file.unlink()
    assert executed(kind(file)) == ["work"]


def test_a_path_to_a_folder_counts_with_every_file_below_it(project: Project) -> None:
    executed = given(project)
    (project.folder / "data" / "deep").mkdir(parents=True)
    (project.folder / "data" / "deep" / "a").write_text("1")
    assert executed(project.folder / "data") == ["work"]
    assert executed(project.folder / "data") == []
    (project.folder / "data" / "deep" / "a").write_text("2")
    assert executed(project.folder / "data") == ["work"]


def test_a_function_as_argument_counts_by_what_it_does(project: Project) -> None:
    executed = given(project)
    factor = 2
    assert executed(lambda x: x * 2) == ["work"]
    assert executed(lambda x: x * 3) == ["work"]
    assert executed(lambda x: x * factor) == ["work"]
    factor = 3
    assert executed(lambda x: x * factor) == ["work"]


def test_an_argument_that_cannot_be_told_from_its_like_is_refused(project: Project) -> None:
    import threading

    executed = given(project)
    with pytest.raises(Exception, match="cannot be handed to a step"):
        executed(threading.Lock())


def test_the_same_name_in_two_modules_is_two_steps(project: Project) -> None:
    project.write("one.py", "import everloop as el\n@el.step\ndef work(): return 1\n")
    project.write("two.py", "import everloop as el\n@el.step\ndef work(): return 1\n")
    project.write(
        "steps.py", "import everloop as el, one, two\n@el.pipeline\ndef fit(): return one.work(), two.work()\n"
    )
    assert project.executed() == ["work", "work"]
    assert project.executed() == []
    project.edit("two.py", "return 1", "return 2")
    assert project.executed() == ["work"]
    assert project.output == (1, 2)


def test_what_a_step_leaves_in_a_global_is_no_input(project: Project) -> None:
    project.write(
        "steps.py", HEADER + "CALLS = []\nCOUNT = {'n': 0}\n" + plain("CALLS.append(1); COUNT['n'] += 1") + FOOTER
    )
    assert project.executed() == ["work"]
    assert project.executed() == []


def test_a_step_that_calls_a_step_runs_again_when_the_inner_one_changes(project: Project) -> None:
    project.write("steps.py", HEADER + "@el.step\ndef inner(): return 1\n" + plain("return inner()") + FOOTER)
    assert project.executed() == ["work"]
    assert project.executed() == []
    project.edit("steps.py", "return 1", "return 2")
    assert project.executed() == ["work"]
    assert project.output == 2


def test_a_function_that_was_never_in_a_file_counts_by_its_code(project: Project) -> None:
    def run(text: str) -> list[str]:
        scope: dict[str, object] = {"__name__": "__main__"}
        imports = HEADER.replace("import tools\nfrom tools import scale\nfrom library import version\n", "")
        exec(compile(imports + text, "<cell>", "exec"), scope)  # noqa: S102 - as a notebook does
        return execute_of(project, scope["fit"])

    step = plain("'''Doc.'''\n    return N") + FOOTER
    assert run("N = 1\n" + step) == ["work"]
    assert run("N = 1\n\n# comment\n" + step.replace("Doc.", "Other.")) == []
    assert run("N = 2\n" + step) == ["work"]


def execute_of(project: Project, pipeline: object) -> list[str]:
    from everloop.pipelines.execution import execute

    return execute(project.session, pipeline, {})[0].executed  # type: ignore[arg-type]  # the test knows


@pytest.mark.slow
def test_the_hash_seed_and_the_process_change_no_key(project: Project) -> None:
    words = "W = {'alpha', 'beta', 'gamma', 'delta', 'epsilon'}\n"
    project.write(
        "steps.py", HEADER + words + plain("return len(W) if 'b' in {'a', 'b', 'c'} else tools.WORDS") + FOOTER
    )
    script = (
        "import sys; from pathlib import Path; from everloop.pipelines.project import load_module;"
        "from everloop.pipelines.memo import code_key; sys.path.append(sys.argv[2]);"
        "print(code_key(load_module(Path(sys.argv[1]), 'steps').work))"
    )
    site = str(project.folder.parent / "site-packages")
    keys = {
        subprocess.run(
            [sys.executable, "-c", script, str(project.folder), site],
            env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }  # fmt: skip
    assert len(keys) == 1
