"""The index follows the catalog: changes, deletions, rollbacks, other connections, other threads, other processes."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from sqlalchemy import delete

from everloop.app.platform import Platform, open_platform
from everloop.app.settings import load
from everloop.kernel.errors import InvalidInput
from everloop.tracking import service
from everloop.tracking.entities import MetricPoint
from everloop.tracking.index import searching
from everloop.tracking.index.expressions import Search
from everloop.tracking.tables import runs


def names(platform: Platform, where: str = "", **more: object) -> list[str]:
    return sorted(run.name for run in platform.call("runs.search", {"where": where, **more}))


def start(platform: Platform, name: str, **parameters: str) -> str:
    id: str = platform.call("runs.start", {"experiment": "trial", "name": name, "parameters": parameters}).id
    return id


def test_a_search_sees_what_was_written_before_it(platform: Platform) -> None:
    run = start(platform, "a", kind="gbm")
    assert names(platform, "metrics.auc > 0.5") == []
    platform.call("runs.log", {"id": run, "metrics": [MetricPoint("auc", 0.9)], "tags": {"by": "ann"}})
    assert names(platform, "metrics.auc > 0.5 and tags.by = 'ann'") == ["a"]
    platform.call("runs.delete_tag", {"id": run, "key": "by"})
    platform.call("runs.rename", {"id": run, "name": "b"})
    assert names(platform, "tags.by is null") == ["b"]


def test_deleted_runs_are_out_of_sight_until_they_are_restored(platform: Platform) -> None:
    run = start(platform, "a")
    platform.call("runs.delete", {"id": run})
    assert names(platform) == []
    platform.call("runs.restore", {"id": run})
    assert names(platform) == ["a"]


def test_what_was_rolled_back_is_forgotten(platform: Platform) -> None:
    kept = start(platform, "kept")
    with suppress(RuntimeError), platform.session().begin() as unit:
        service.start(unit, "trial", "lost")
        service.log(unit, kept, tags={"by": "nobody"})
        assert len(searching.page(unit, Search()).ids) == 2
        raise RuntimeError
    assert names(platform) == ["kept"]
    assert names(platform, "tags.by is not null") == []


def test_a_run_that_is_gone_from_the_catalog_is_on_no_page(platform: Platform) -> None:
    gone, _ = start(platform, "a"), start(platform, "b")
    assert names(platform) == ["a", "b"]
    with platform.session().begin() as unit:
        unit.execute(delete(runs).where(runs.c.id == gone))
    assert names(platform, limit=1) == ["b"]
    assert platform.call("runs.page", {}).total == 1


def test_another_server_on_the_catalog_is_followed(platform: Platform) -> None:
    assert names(platform) == []
    other = open_platform(load({"home": str(platform.resources.home)}, environment={}))
    start(other, "there")
    assert names(platform) == ["there"]
    other.close()


def test_projects_do_not_see_each_other(platform: Platform) -> None:
    start(platform, "mine")
    assert platform.call("runs.search", {}, project="other") == []


def test_readers_and_writers_at_once_see_whole_runs(platform: Platform) -> None:
    def write(number: int) -> None:
        start(platform, f"r{number:03}", one=str(number), two=str(number))

    def read(_: int) -> bool:
        found = platform.call("runs.table", {"columns": ["parameters.one", "parameters.two"], "limit": 1000})
        return all(one == two for one, two in found.rows)

    with ThreadPoolExecutor(4) as pool:
        reads = pool.map(read, range(20))
        list(pool.map(write, range(20)))
        assert all(reads)
    assert len(names(platform)) == 20


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_begins_anew(platform: Platform) -> None:
    from everloop.tracking.index import refresh

    start(platform, "a")
    assert names(platform) == ["a"]
    with refresh._indexes._making:
        child = os.fork()
        if child == 0:
            os._exit(0 if refresh._indexes._making.acquire(timeout=1) else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_cursor_goes_on_and_belongs_to_its_search(platform: Platform) -> None:
    for name in "abcde":
        start(platform, name)
    first = platform.call("runs.page", {"order": "name", "limit": 2})
    rest = platform.call("runs.page", {"order": "name", "limit": 9, "after": first.cursor})
    assert [run.name for run in (*first.runs, *rest.runs)] == list("abcde")
    assert (first.total, rest.cursor) == (5, "")
    for other in ({"order": "name desc"}, {"where": "name = 'a'"}, {"experiment": "trial"}):
        with pytest.raises(InvalidInput, match="another search"):
            platform.call("runs.page", {"order": "name", "after": first.cursor} | other)


@pytest.mark.parametrize("cursor", ["x", "!", "kw", "é", "k8QI"])
def test_what_is_no_cursor_is_refused(platform: Platform, cursor: str) -> None:
    with pytest.raises(InvalidInput, match="cursor"):
        platform.call("runs.page", {"after": cursor})


def test_datasets_are_searched_by_what_they_are(platform: Platform) -> None:
    run = start(platform, "a")
    platform.call("runs.log", {"id": run, "inputs": ["dataset:default/flights@3", "dataset:default/weather@1"]})
    start(platform, "b")
    assert names(platform, "datasets.name = 'flights' and dataset.version = '3'") == ["a"]
    assert names(platform, "datasets.name like 'w%'") == ["a"]
    assert names(platform, "datasets.name is null") == ["b"]
