"""Pages of runs: the list, one run, one of its files, several side by side."""

from __future__ import annotations

import io
import json
import re
from html import unescape

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from everloop.app.platform import Platform
from everloop.server.pages.recorded import folder
from everloop.server.pages.runs import Asked, field_of
from everloop.store.entities import Digest
from everloop.tracking.entities import Artifact, Run
from everloop.tracking.search import parse_field
from tests.server.conftest import TestClient
from tests.server.test_pages import BROWSER, Outline, bearer_of, page_of

PICTURE = b"\x89PNG\r\n\x1a\n"


def made(platform: Platform, name: str = "one", points: int = 3, **more: object) -> Run:
    """A run with a metric of so many points."""
    run: Run = platform.call("runs.start", {"experiment": "tuning", "name": name, **more})
    metrics = [{"key": "loss", "value": 1 / (step + 1), "step": step} for step in range(points)]
    platform.call("runs.log", {"id": run.id, "metrics": metrics})
    return run


def kept(platform: Platform, run: Run, path: str, content: bytes) -> None:
    digest = platform.resources.store.put(content)
    platform.call("runs.log_artifact", {"id": run.id, "path": path, "digest": digest})


def plots_of(html: str) -> list[dict[str, str | None]]:
    return [section for section in Outline(html).all("section") if "data-plot" in section]


def names_in(html: str) -> list[str]:
    return re.findall(r'<th scope="row">(?:<span[^>]*>└</span>)?<a[^>]*>([^<]*)', html)


def test_a_run_has_a_chart_of_each_metric_with_points(platform: Platform, http: TestClient) -> None:
    run = made(platform)
    (plot,) = plots_of(page_of(http, f"/runs/{run.id}"))
    assert plot["data-key"] == "loss"
    assert json.loads(str(plot["data-runs"])) == [{"id": run.id, "name": "one", "started": run.started.timestamp()}]


def test_what_the_machine_did_stands_apart(platform: Platform, http: TestClient) -> None:
    run = made(platform)
    points = [{"key": "system/cpu_percent", "value": 10.0 * step, "step": step} for step in range(3)]
    platform.call("runs.log", {"id": run.id, "metrics": points})
    html = page_of(http, f"/runs/{run.id}")
    before, _, after = html.partition("The machine: 1 charts")
    assert [plot["data-key"] for plot in plots_of(before)] == ["loss"]
    assert [plot["data-key"] for plot in plots_of(after)] == ["system/cpu_percent"]


def test_a_metric_of_one_value_has_a_figure_and_no_chart(platform: Platform, http: TestClient) -> None:
    html = page_of(http, f"/runs/{made(platform, points=1).id}")
    assert plots_of(html) == []
    assert '<span class="label">loss</span>' in html


def test_a_run_tells_whether_it_goes_on(platform: Platform, http: TestClient) -> None:
    run = made(platform)
    assert 'data-status="running"' in page_of(http, f"/runs/{run.id}")
    platform.call("runs.finish", {"id": run.id})
    assert 'data-status="finished"' in page_of(http, f"/runs/{run.id}")


def test_notes_are_markdown_that_can_do_nothing(platform: Platform, http: TestClient) -> None:
    run = made(platform)
    platform.call("runs.describe", {"id": run.id, "note": "# Tried\n\n**wide** <script>alert(1)</script>"})
    html = page_of(http, f"/runs/{run.id}")
    assert "<h3>Tried</h3>" in html
    assert "<strong>wide</strong> &lt;script&gt;" in html
    assert "<script>alert" not in html


def test_only_who_may_write_is_offered_to_change_notes(platform: Platform, http: TestClient) -> None:
    run = made(platform)
    assert "<summary>Write notes</summary>" in page_of(http, f"/runs/{run.id}")
    reader = http.get(f"/runs/{run.id}", headers=BROWSER | bearer_of(platform, "ada"))
    assert "<summary>Write notes</summary>" not in reader.text
    assert not [script for script in Outline(reader.text).all("script") if "act.js" in str(script["src"])]


def test_a_run_leads_to_its_parts_and_back(platform: Platform, http: TestClient) -> None:
    whole = made(platform, "whole")
    part = made(platform, "part", parent=whole.id)
    assert f'href="/runs/{part.id}"' in page_of(http, f"/runs/{whole.id}")
    assert f'part of <a href="/runs/{whole.id}">whole</a>' in page_of(http, f"/runs/{part.id}")


def test_the_end_of_a_long_console_is_shown(platform: Platform, http: TestClient) -> None:
    run = made(platform)
    kept(platform, run, "console.txt", "".join(f"line {number}\n" for number in range(5_000)).encode())
    html = page_of(http, f"/runs/{run.id}")
    assert "line 4999" in html
    assert "line 17\n" not in html


def test_files_are_a_tree_of_folders() -> None:
    digest = Digest("0" * 64)
    files = [Artifact(path, digest, 10) for path in ("a.txt", "plots/b.png", "plots/deep/c.png")]
    tree = folder(files)
    assert [file.path for file in tree.files] == ["a.txt"]
    (plots,) = tree.folders
    assert (plots.name, plots.count, plots.size) == ("plots", 2, 20)
    assert [inner.name for inner in plots.folders] == ["deep"]


@pytest.mark.parametrize(
    ("path", "content", "shown"),
    [
        ("a.json", b'{"depth":3}', '"depth": 3'),
        ("a.csv", b"x,y\n1,two\n", "<td>two</td>"),
        ("a.txt", b"<b>not bold</b>", "<b>not bold</b>"),
        ("a.md", b"# Title", "<h2>Title</h2>"),
        ("a.bin", b"\0\1", "It is not text."),
        ("a.txt", b"", "It is empty."),
        ("a.parquet", b"not parquet", "cannot be read as that"),
    ],
)
def test_a_file_is_shown_as_what_it_is(
    platform: Platform, http: TestClient, path: str, content: bytes, shown: str
) -> None:
    run = made(platform)
    kept(platform, run, f"some folder/{path}", content)
    html = page_of(http, f"/runs/{run.id}/files/some%20folder/{path}")
    assert shown in unescape(html)
    assert "<b>not bold" not in html


def test_parquet_is_shown_as_a_table(platform: Platform, http: TestClient) -> None:
    written = io.BytesIO()
    pq.write_table(pa.table({"city": [f"town {number}" for number in range(500)]}), written)
    run = made(platform)
    kept(platform, run, "towns.parquet", written.getvalue())
    html = page_of(http, f"/runs/{run.id}/files/towns.parquet")
    assert "500 rows of 1 columns; the first 100 rows." in html
    assert "<td>town 99</td>" in html
    assert "town 100" not in html


def test_an_image_is_shown_and_may_do_nothing_else(platform: Platform, http: TestClient) -> None:
    run = made(platform)
    kept(platform, run, "plots/a.png", PICTURE)
    html = page_of(http, f"/runs/{run.id}/files/plots/a.png")
    (image,) = Outline(html).all("img")
    response = http.get(str(image["src"]))
    assert response.content == PICTURE
    assert response.headers["content-type"] == "image/png"
    assert "sandbox" in response.headers["content-security-policy"]


def test_what_is_no_image_is_not_shown_as_one(platform: Platform, http: TestClient) -> None:
    run = made(platform)
    kept(platform, run, "page.html", b"<script>alert(1)</script>")
    assert http.get(f"/shown/{run.id}/page.html").status_code == 404


def test_a_sound_can_be_heard_on_its_page_only(platform: Platform, http: TestClient) -> None:
    run = made(platform)
    kept(platform, run, "a.wav", b"RIFF")
    heard = http.get(f"/runs/{run.id}/files/a.wav", headers=BROWSER)
    assert "<audio controls" in heard.text
    assert "media-src 'self'" in heard.headers["content-security-policy"]
    assert "media-src" not in http.get(f"/runs/{run.id}", headers=BROWSER).headers["content-security-policy"]


def test_runs_stand_side_by_side_with_what_differs(platform: Platform, http: TestClient) -> None:
    one, two = (
        made(platform, name, parameters={"depth": depth, "kind": "gbm"}) for name, depth in (("a", "2"), ("b", "5"))
    )
    html = page_of(http, f"/runs/compare?run={one.id}&run={two.id}")
    assert '<th scope="row">depth</th><td>2</td><td>5</td>' in html
    assert '<th scope="row">kind</th>' not in html
    assert {run["name"] for run in json.loads(str(plots_of(html)[0]["data-runs"]))} == {"a", "b"}


def test_what_the_pictures_of_several_runs_draw_is_what_differs(platform: Platform, http: TestClient) -> None:
    runs = [made(platform, depth, parameters={"depth": depth, "kind": "gbm", "loss": depth}) for depth in ("2", "5")]
    html = page_of(http, f"/runs/compare?run={runs[0].id}&run={runs[1].id}")
    (told,) = [section["data-values"] for section in Outline(html).all("section") if "data-values" in section]
    assert json.loads(str(told))["columns"] == {"depth": [2.0, 5.0], "loss": [2.0, 5.0]}


def test_with_fewer_than_two_runs_one_is_asked_to_choose(platform: Platform, http: TestClient) -> None:
    run = made(platform)
    html = page_of(http, f"/runs/compare?run={run.id}")
    assert "Choose two or more runs." in html
    assert f'name="run" value="{run.id}"' in html


def test_too_many_runs_are_refused(http: TestClient) -> None:
    address = "/runs/compare?" + "&".join(f"run={number}" for number in range(51))
    assert "51 runs are too many" in page_of(http, address, status=400)


def test_one_chooses_the_columns_of_the_list(platform: Platform, http: TestClient) -> None:
    made(platform, parameters={"depth": "2", "kind": "gbm"}, tags={"team": "core"})
    heads = re.findall(r'<a class="sort"[^>]*>([^<]*)', page_of(http, "/runs?show=tags.team&show=metrics.loss"))
    assert heads == ["Run", "Experiment", "State", "team", "loss", "Started"]


def test_the_head_of_a_column_orders_by_it_and_turns_the_order(platform: Platform, http: TestClient) -> None:
    for points in (1, 3, 2):
        made(platform, f"with {points}", points=points)
    html = page_of(http, "/runs?order=metrics.loss")
    assert names_in(html) == ["with 3", "with 2", "with 1"]
    assert 'aria-sort="ascending"' in html
    assert "order=metrics.loss+desc" in html


def test_runs_stand_in_groups(platform: Platform, http: TestClient) -> None:
    for name, kind in (("a", "gbm"), ("b", "linear"), ("c", "gbm")):
        made(platform, name, parameters={"kind": kind})
    html = page_of(http, "/runs?group=parameters.kind")
    assert re.findall(r'colspan="\d+">([^<]*)', html) == ["parameters.kind: gbm", "parameters.kind: linear"]
    assert names_in(html)[-1] == "b"


def test_parts_stand_behind_what_they_are_part_of(platform: Platform, http: TestClient) -> None:
    whole = made(platform, "whole")
    made(platform, "alone")
    made(platform, "part", parent=whole.id)
    html = page_of(http, "/runs")
    assert names_in(html) == ["alone", "whole", "part"]
    assert ">1 part</button>" in html


def test_a_long_list_has_pages_that_hold_every_run_once(platform: Platform, http: TestClient) -> None:
    for number in range(120):
        platform.call("runs.start", {"experiment": "tuning", "name": f"run {number}"})
    first = page_of(http, "/runs")
    (following,) = [str(link["href"]) for link in Outline(first).all("a") if link.get("rel") == "next"]
    second = page_of(http, following)
    assert sorted(names_in(first) + names_in(second)) == sorted(f"run {number}" for number in range(120))
    assert "First page" in second


def test_only_who_may_write_is_offered_to_delete(platform: Platform, http: TestClient) -> None:
    made(platform)
    assert "data-delete" in page_of(http, "/runs")
    assert "data-delete" not in http.get("/runs", headers=BROWSER | bearer_of(platform, "ada")).text


@pytest.mark.parametrize("key", ["loss", "val/loss", "two words", 'with "quotes"', "a,b", "`x`", "desc or not"])
def test_a_field_is_spelled_so_that_it_is_found_again(key: str) -> None:
    assert parse_field(field_of("metric", key)) == ("metric", key)


def test_an_address_leaves_out_what_nobody_asked_for() -> None:
    asked = Asked(where="metrics.a > 1", show=("metrics.a", "tags.b"), after="cursor")
    assert asked.address(after="") == "/runs?where=metrics.a+%3E+1&show=metrics.a&show=tags.b"
