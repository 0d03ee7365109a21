"""Pages: what one process writes, others read, whole or not at all."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from everloop.server.replicas.pages import Pages


@given(st.lists(st.binary(max_size=5000), min_size=1, max_size=6))
def test_the_newest_text_is_read(texts: list[bytes]) -> None:
    page = Pages(1).workers[0]
    for text in texts:
        page.write(text)
    assert page.read() == texts[-1]


def test_what_another_process_wrote_outlives_it() -> None:
    page = Pages(1).workers[0]
    pid = os.fork()
    if not pid:
        page.set("beat", 2.5)
        place, name = page.suspicion("3f2a")
        place[:] = name
        page.write(b"counted")
        os._exit(0)
    os.waitpid(pid, 0)
    assert (page.get("beat"), page.suspect, page.read()) == (2.5, "3f2a", b"counted")


def test_pages_do_not_overlap() -> None:
    pages = Pages(3)
    for number, page in enumerate((pages.control, *pages.workers)):
        page.set("pid", number)
        page.write(bytes([number]) * 100_000)
    assert [page.get("pid") for page in pages.workers] == [1, 2, 3]
    assert [page.read()[:1] for page in pages.workers] == [b"\x01", b"\x02", b"\x03"]


def test_a_text_that_is_too_long_leaves_the_one_before() -> None:
    page = Pages(1).workers[0]
    page.write(b"short")
    page.write(b"x" * (1 << 20))
    assert page.read() == b"short"


def test_a_page_that_is_cleared_tells_nothing() -> None:
    page = Pages(1).workers[0]
    page.set("ready", 1.0)
    page.write(b"text")
    page.clear()
    assert (page.get("ready"), page.read(), page.suspect) == (0.0, b"", "")
