"""Names and paths that may stand in a tree, links that stay in it, and twins on other people's disks."""

from __future__ import annotations

import posixpath
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.kernel.errors import InvalidInput
from everloop.store.paths import (
    DEEPEST,
    LONGEST_NAME,
    check_depth,
    check_name,
    check_names,
    check_path,
    checked_link,
    leads_out,
    twins,
)

ANY = st.text(st.characters(), max_size=8)
STEPS = st.lists(st.sampled_from(["a", "b", "..", ".", "", "é"]), max_size=6).map("/".join)
BAD = ["", ".", "..", "a/b", "/", "a\\b", "a\0", "\n", "\x1f", "\x7f", "\ud800", "a" * 256, "é" * 128, "𝄞" * 64]
GOOD = [
    "a",
    "...",
    ".gitignore",
    "..a",
    " ",
    "a b",
    "é",
    "日本",
    "a" * 255,
    "é" * 127,
    "𝄞" * 63,
    "-",
    "~",
    "con",
    "\x80",
]


def allowed(name: str) -> bool:
    """Whether a name passes, as the rules say it one by one."""
    encodable = all(not 0xD800 <= ord(letter) <= 0xDFFF for letter in name)
    plain = all(ord(letter) > 0x1F and letter not in "\x7f/\\" for letter in name)
    return name not in ("", ".", "..") and plain and encodable and len(name.encode()) <= LONGEST_NAME


def refused(check: object, *given: object) -> bool:
    try:
        check(*given)  # type: ignore[operator]
    except InvalidInput:
        return True
    return False


class TestNames:
    @pytest.mark.parametrize("name", BAD)
    def test_that_no_disk_should_see_are_refused(self, name: str) -> None:
        with pytest.raises(InvalidInput, match="is no name for a file in a tree"):
            check_name(name)

    @pytest.mark.parametrize("name", GOOD)
    def test_of_people_are_fine(self, name: str) -> None:
        assert check_name(name) == name

    @given(ANY)
    def test_are_judged_by_the_rules_and_nothing_else(self, name: str) -> None:
        assert refused(check_name, name) is not allowed(name)

    @given(st.lists(ANY, max_size=5))
    def test_are_judged_together_as_one_by_one(self, names: list[str]) -> None:
        assert refused(check_names, names) is not all(map(allowed, names))

    @given(st.integers(60, 260), st.sampled_from(["a", "é", "日", "𝄞"]))
    def test_have_so_many_bytes_at_most_however_many_letters(self, count: int, letter: str) -> None:
        fits = len((letter * count).encode()) <= LONGEST_NAME
        assert refused(check_name, letter * count) is refused(check_names, ["a", letter * count]) is not fits

    def test_one_of_many_is_named(self) -> None:
        with pytest.raises(InvalidInput, match=r"'a\\x00'"):
            check_names(["a", "b", "a\0"])


class TestPaths:
    @pytest.mark.parametrize("path", ["a", "a/b", "a/.b/c", "日本/é", "/".join("a" * 256)])
    def test_inside_of_a_tree_are_fine(self, path: str) -> None:
        assert check_path(path) == path

    @pytest.mark.parametrize(
        "path", ["", "/", "/a", "a/", "a//b", "a/./b", "a/../b", "../a", "a\\b", "C:\\a", "a/\0", "a/b\n"]
    )
    def test_that_lead_anywhere_else_are_refused_whole(self, path: str) -> None:
        with pytest.raises(InvalidInput) as caught:
            check_path(path)
        assert caught.value.message == f"{path!r} is not a path inside a tree."

    @given(STEPS)
    def test_that_pass_are_as_short_as_they_can_be(self, path: str) -> None:
        if not refused(check_path, path):
            assert posixpath.normpath(path) == path
            assert not path.startswith((".", "/")) or path.startswith("...")

    def test_may_be_so_deep_and_no_deeper(self) -> None:
        check_depth("/".join(["d"] * (DEEPEST + 1)))
        with pytest.raises(InvalidInput, match="is more than 255 folders deep") as caught:
            check_path("/".join(["d"] * (DEEPEST + 2)))
        assert len(caught.value.message) < 120
        assert caught.value.hint == "Keep it as an archive, in one file."


class TestLinks:
    @pytest.mark.parametrize(
        ("path", "target"),
        [("a", "b"), ("a", "b/c"), ("a/b", "../c"), ("a/b/c", "../../d"), ("a", "./b"), ("a", "b//c"), ("a/b", "..")],
    )
    def test_to_what_is_in_the_tree_are_fine(self, path: str, target: str) -> None:
        assert checked_link(path, target) == target

    @pytest.mark.parametrize(
        ("path", "target"),
        [
            *(("a", ""), ("a", "/etc/passwd"), ("a", ".."), ("a", "../b"), ("a/b", "../../c"), ("a", "./../b")),
            *(("a/b", "c/../d"), ("a/b/c", "../d/../../e"), ("a", "b/..")),
        ],
    )
    def test_that_lead_out_or_may_are_refused_with_what_to_do(self, path: str, target: str) -> None:
        with pytest.raises(InvalidInput, match="leads out of the folder") as caught:
            checked_link(path, target)
        assert ".everloopignore" in caught.value.hint

    @given(st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map("/".join), STEPS)
    def test_that_pass_never_end_above_the_tree(self, path: str, target: str) -> None:
        if not leads_out(path, target):
            end = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
            assert not end.startswith(("..", "/"))

    @given(st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map("/".join), STEPS)
    def test_further_down_lead_out_of_less(self, path: str, target: str) -> None:
        assert leads_out(path, target) or not leads_out(f"deeper/{path}", target)


class TestTwins:
    @pytest.mark.parametrize(
        "pair",
        [
            *(("README", "readme"), ("a/B", "A/b"), ("straße", "STRASSE"), ("ß", "ss"), ("É", "é")),
            (unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é")),
            (unicodedata.normalize("NFC", "É"), unicodedata.normalize("NFD", "é")),
        ],
    )
    def test_are_one_file_on_a_disk_that_folds(self, pair: tuple[str, str]) -> None:
        assert list(twins(pair)) == [pair]

    @pytest.mark.parametrize("paths", [[], ["a"], ["a", "b"], ["a", "a/b"], ["e", "é"], ["a", "a"], ["1", "2"]])
    def test_are_none_among_different_names(self, paths: list[str]) -> None:
        assert list(twins(paths)) == []

    def test_are_told_with_the_first_of_them(self) -> None:
        assert list(twins(["a", "A", "b", "á", "Á"])) == [("a", "A"), ("á", "Á")]

    @given(st.lists(st.text("aAäÄ", min_size=1, max_size=3), unique=True, max_size=8))
    def test_leave_one_of_each_that_differ_even_there(self, paths: list[str]) -> None:
        second = {path for _, path in twins(paths)}
        left = [path.casefold() for path in paths if path not in second]
        assert len(left) == len(set(left))
