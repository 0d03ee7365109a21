"""Ignoring follows git's own rules, which git itself is asked about."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.datasets.workspace.ignore import Rules, is_ours
from tests.datasets.workspace.conftest import git, write

PATHS = [
    "a.log",
    "a.txt",
    "b/a.log",
    "b/c/a.log",
    "b/c/d.txt",
    "build/x",
    "src/build/y",
    "#x",
    "!y",
    "a b",
    "z ",
]
RULES = [
    ["*.log"],
    ["/a.log"],
    ["b/"],
    ["build/"],
    ["/build/"],
    ["**/c"],
    ["b/**/a.log"],
    ["b/*"],
    ["b/c/**"],
    ["*.log", "!a.log"],
    ["*.log", "!/b/a.log"],
    ["a.*", "!*.txt", "a.txt"],
    ["[ab].log"],
    ["[!a].log"],
    ["?.log"],
    ["\\#x"],
    ["\\!y"],
    ["# *.log"],
    ["", "   ", "*.txt"],
    ["a\\ b"],
    ["z\\ "],
    ["c"],
    ["b/c"],
    ["/*", "!/b"],
]


def ignored(rules: Rules, path: str) -> bool:
    """Whether a file is left out: by itself, or because a folder that it is in is."""
    steps = path.split("/")
    above = ["/".join(steps[:count]) for count in range(1, len(steps))]
    return any(rules.ignores(folder, folder=True) for folder in above) or rules.ignores(path)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty git repository with the files."""
    folder = write(tmp_path_factory.mktemp("git"), dict.fromkeys(PATHS, "x"))
    git(folder, "init", "-q")
    return folder


def by_git(repository: Path, lines: list[str]) -> set[str]:
    """What git leaves out under some rules."""
    (repository / ".gitignore").write_text("\n".join(lines) + "\n")
    asked = subprocess.run(
        ["git", "-C", str(repository), "check-ignore", "--no-index", "-z", "--stdin"],
        input="\0".join(PATHS).encode(),
        capture_output=True,
        check=False,
    )
    return set(filter(None, asked.stdout.decode().split("\0")))


@pytest.mark.parametrize("lines", RULES, ids=[" ".join(lines) for lines in RULES])
def test_rules_leave_out_what_git_leaves_out(repository: Path, lines: list[str]) -> None:
    assert {path for path in PATHS if ignored(Rules(lines=lines), path)} == by_git(repository, lines)


def test_a_sign_of_a_pattern_stands_for_a_letter_where_git_counts_bytes() -> None:
    for pattern in ("?.log", "[!a].log", "é.*"):
        assert Rules(lines=[pattern]).ignores("é.log")


class TestFolders:
    above = Rules(lines=["*.log", "keep/"])

    def test_rules_of_a_folder_are_of_what_is_in_it(self) -> None:
        inner = Rules(self.above, "b", ["/x"])
        assert inner.ignores("b/x")
        assert not inner.ignores("b/c/x")
        assert not Rules(self.above).ignores("b/x")

    def test_what_it_says_goes_before_what_is_said_above(self) -> None:
        inner = Rules(self.above, "b", ["!a.log"])
        assert not inner.ignores("b/a.log")
        assert inner.ignores("b/other.log")

    def test_a_rule_of_folders_is_not_of_files(self) -> None:
        assert self.above.ignores("keep", folder=True)
        assert not self.above.ignores("keep")

    def test_where_nothing_is_said_nothing_is_left_out(self) -> None:
        assert not Rules().ignores("anything", folder=True)


class TestSignatures:
    def test_no_rules_have_none(self) -> None:
        assert Rules().signature == Rules(Rules()).signature == b""
        assert not Rules(Rules()).some

    def test_equal_rules_have_equal_ones(self) -> None:
        assert Rules(lines=["a", "b"]).signature == Rules(lines=["a", "b"]).signature

    @pytest.mark.parametrize(
        "other",
        [
            Rules(lines=["b", "a"]),
            Rules(lines=["a"]),
            Rules(folder="x", lines=["a", "b"]),
            Rules(Rules(lines=["a"]), "", ["b"]),
        ],
    )
    def test_other_rules_have_others(self, other: Rules) -> None:
        assert other.signature != Rules(lines=["a", "b"]).signature

    @given(st.lists(st.text(st.characters(exclude_characters="\n"), max_size=4), max_size=3))
    def test_any_lines_have_one(self, lines: list[str]) -> None:
        assert (Rules(lines=lines).signature == b"") is (not lines)


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        *((".git", True), (".hg", True), (".everloop", True), (".everloop-part", True), (".everloop-new-x", True)),
        *(
            (".everloopignore", False),
            (".gitignore", False),
            ("git", False),
            ("images.everloop", False),
            (".github", False),
        ),
    ],
)
def test_our_own_files_and_those_of_repositories_are_in_no_version(name: str, ours: bool) -> None:
    assert is_ours(name) is ours
