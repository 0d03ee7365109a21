"""Paths of the files of runs: nothing that leads out gets through, in any disguise, whatever system unpacks it."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.kernel.errors import InvalidInput
from everloop.tracking.paths import LONGEST_PATH, checked

OUT = (
    *("..", "../x", "a/../../x", "/etc/passwd", "//etc/passwd", "./../x", "", ".", "./"),
    *("\\..\\x", "..\\x", "C:\\x", "C:/x", "c:x", "a/C:/x", "file:/etc/passwd", "file:///etc/passwd", "https://evil/x"),
    *("%2e%2e/x", "%252e%252e%252fx", "%2fetc", "..%5cx", "a%00b", "a#b", "a%23b", "%c0%ae%c0%ae/x", "%ff", "%252523"),
    *("a\x00b", "a\nb", "\u202egnp.exe", "a\u200bb", "\ud800", "x" * (LONGEST_PATH + 1), "%" + "25" * 12 + "2e"),
)


@pytest.mark.parametrize("path", OUT)
def test_what_leads_out_is_refused(path: str) -> None:
    with pytest.raises(InvalidInput, match="is not a path inside a run"):
        checked(path)


@pytest.mark.parametrize("path", ["a", "a/b.txt", "...", "a..b", "100%", "%zz", "a?b", "12:30.png", "~", "ä/漢", "a b"])
def test_an_odd_name_is_a_name(path: str) -> None:
    assert checked(path) == path


def test_needless_parts_are_left_out() -> None:
    assert checked("./a//b/./c/") == "a/b/c"


@given(st.text(st.sampled_from("./\\%25eEfFcC#:a\x00"), max_size=12), st.integers(0, 3))
def test_whatever_is_let_through_stays_inside_however_often_it_is_unescaped(path: str, escaped: int) -> None:
    for _ in range(escaped):
        path = quote(path, safe="")
    try:
        inside = checked(path)
    except InvalidInput:
        return
    for _ in range(5):
        for pure in (PurePosixPath(inside), PureWindowsPath(inside)):
            assert not pure.anchor
            assert ".." not in pure.parts
        inside = unquote(inside)
