"""Artifacts byte by byte: what goes up and comes down through MLflow's door, and what never does."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from starlette.testclient import TestClient

from everloop.app.platform import Platform
from everloop.server.files import range_of
from everloop.store.service import digest_of
from tests.server.conftest import HERE, client_of

API = "/api/2.0/mlflow"
FILES = "/api/2.0/mlflow-artifacts/artifacts"
PARTS = "/api/2.0/mlflow-artifacts/mpu"
LARGE = Random(1).randbytes(20 << 20)


@pytest.fixture
def run(http: TestClient) -> str:
    """The path of a new run's artifacts."""
    info = http.post(f"{API}/runs/create", json={"experiment_id": "0"}).json()["run"]["info"]
    return f"0/{info['run_id']}/artifacts"


def error(answer: Any) -> tuple[int, str]:
    """Status and code of a refusal in MLflow's form."""
    body = answer.json()
    assert set(body) == {"error_code", "message"}
    return answer.status_code, body["error_code"]


def sent(http: TestClient, method: str, raw: str, **more: Any) -> Any:
    """The answer to a request whose path goes over the wire exactly so."""
    request = http.build_request(method, f"{HERE}/x", **more)
    request.url = request.url.copy_with(raw_path=raw.encode())
    return http.send(request)


def listed(http: TestClient, run: str, folder: str = "") -> list[str]:
    """What is in a folder of a run."""
    answer = http.get(f"{API}/artifacts/list", params={"run_id": run.split("/")[1], "path": folder})
    return [file["path"] for file in answer.json()["files"]]


class TestUpAndDown:
    @pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 1, 20 << 20])
    def test_a_file_comes_back_as_it_went_up(self, http: TestClient, run: str, size: int) -> None:
        assert http.put(f"{FILES}/{run}/a.bin", content=LARGE[:size]).status_code == 200
        answer = http.get(f"{FILES}/{run}/a.bin")
        assert answer.content == LARGE[:size]
        assert answer.headers["content-length"] == str(size)
        assert answer.headers["content-type"] == "application/octet-stream"

    def test_a_body_of_unknown_length_is_taken_as_it_comes(self, http: TestClient, run: str) -> None:
        http.put(f"{FILES}/{run}/a.bin", content=iter([LARGE[:100], LARGE[100 : 3 << 20]]))
        assert http.get(f"{FILES}/{run}/a.bin").content == LARGE[: 3 << 20]

    def test_head_tells_the_size_and_sends_nothing(self, http: TestClient, run: str) -> None:
        http.put(f"{FILES}/{run}/a.bin", content=LARGE[:5000])
        answer = http.head(f"{FILES}/{run}/a.bin")
        assert (answer.status_code, answer.headers["content-length"], answer.content) == (200, "5000", b"")

    def test_a_file_is_put_in_the_place_of_another(self, http: TestClient, run: str) -> None:
        for content in (b"one", b"two"):
            assert http.put(f"{FILES}/{run}/notes/a.txt", content=content).status_code == 200
        assert http.get(f"{FILES}/{run}/notes/a.txt").content == b"two"
        assert listed(http, run, "notes") == ["notes/a.txt"]

    def test_a_file_larger_than_other_bodies_may_be_is_taken(self, platform: Platform) -> None:
        values = msgspec.structs.replace(platform.settings.values, max_body_mb=1, max_file_mb=3)
        platform.settings = msgspec.structs.replace(platform.settings, values=values)
        http = client_of(platform)
        id = http.post(f"{API}/runs/create", json={"experiment_id": "0"}).json()["run"]["info"]["run_id"]
        assert http.put(f"{FILES}/0/{id}/artifacts/a", content=LARGE[: 2 << 20]).status_code == 200
        assert error(http.put(f"{FILES}/0/{id}/artifacts/b", content=LARGE[: 4 << 20]))[0] == 413
        assert listed(http, f"0/{id}/artifacts") == ["a"]

    def test_what_the_client_has_is_not_sent_again(self, http: TestClient, run: str) -> None:
        http.put(f"{FILES}/{run}/a.bin", content=b"bytes")
        tag = http.get(f"{FILES}/{run}/a.bin").headers["etag"]
        assert http.get(f"{FILES}/{run}/a.bin", headers={"if-none-match": f'"x", {tag}'}).status_code == 304

    def test_no_browser_shows_a_file(self, http: TestClient, run: str) -> None:
        http.put(f"{FILES}/{run}/e%22vil.html", content=b"<script>")
        headers = http.get(f"{FILES}/{run}/e%22vil.html").headers
        assert headers["content-disposition"] == "attachment; filename*=UTF-8''e%22vil.html"
        assert headers["x-content-type-options"] == "nosniff"

    def test_a_file_is_no_folder_and_a_folder_no_file(self, http: TestClient, run: str) -> None:
        http.put(f"{FILES}/{run}/a/b", content=b"x")
        assert error(http.put(f"{FILES}/{run}/a", content=b"x"))[0] == 400
        assert error(http.put(f"{FILES}/{run}/a/b/c", content=b"x"))[0] == 400

    def test_every_other_method_is_refused(self, http: TestClient, run: str) -> None:
        for method, path in (("POST", f"{run}/a"), ("PATCH", f"{run}/a"), ("DELETE", ""), ("PUT", "")):
            assert error(http.request(method, f"{FILES}/{path}")) == (405, "BAD_REQUEST")


class TestRanges:
    @pytest.mark.parametrize(
        ("wanted", "start", "stop"),
        [
            ("bytes=0-0", 0, 1),
            ("bytes=5-", 5, None),
            ("bytes=-7", -7, None),
            ("bytes=3000000-9000000", 3000000, 9000001),
        ],
    )
    def test_a_range_is_sent(self, http: TestClient, run: str, wanted: str, start: int, stop: int | None) -> None:
        data = LARGE[: 10 << 20]
        http.put(f"{FILES}/{run}/a.bin", content=data)
        answer = http.get(f"{FILES}/{run}/a.bin", headers={"range": wanted})
        assert (answer.status_code, answer.content) == (206, data[start:stop])
        assert answer.headers["content-length"] == str(len(data[start:stop]))

    def test_a_range_behind_the_end_is_not_satisfiable(self, http: TestClient, run: str) -> None:
        http.put(f"{FILES}/{run}/a.bin", content=b"12345")
        answer = http.get(f"{FILES}/{run}/a.bin", headers={"range": "bytes=5-"})
        assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */5")

    def test_what_is_no_range_is_as_if_it_was_not_there(self) -> None:
        for header in ("", "bytes=", "bytes=-", "bytes=5-2", "lines=1-2", "bytes=1-2,4-5", "bytes=x-", "bytes=1-2x"):
            assert range_of(header, 10) is None
        assert range_of("bytes=0-", 0) == range(0)
        assert range_of("bytes=-0", 10) == range(0)

    def test_a_range_of_what_has_changed_is_the_whole(self, http: TestClient, run: str) -> None:
        http.put(f"{FILES}/{run}/a.bin", content=b"12345")
        answer = http.get(f"{FILES}/{run}/a.bin", headers={"range": "bytes=1-2", "if-range": '"other"'})
        assert (answer.status_code, answer.content) == (200, b"12345")


DISGUISES = [
    *("../x", "..", "a/../../x", "a/%2e%2e/x", "%2e%2e%2f%2e%2e%2fx", "%252e%252e%252fx", "%25252e%25252e/x"),
    *("%2Fetc%2Fpasswd", "%5C..%5Cx", "..%5Cx", "a%5Cb", "C:%5Cx", "C:x", "c:/x", "a/C:/x", "file:%2F%2F/etc/passwd"),
    *("file:/etc/passwd", "https:%2F%2Fevil/x", "a%23b", "a%2523b", "a%00b", "a%2500b", "a%0d%0ab", "a%250ab"),
    *("%c0%ae%c0%ae/x", "%c0%af", "%ff", "%ed%a0%80", "%e2%80%a8", "x" * 501, "x/" * 500),
]


class TestPathsThatLeadOut:
    @pytest.mark.parametrize("path", DISGUISES)
    def test_in_every_disguise_it_is_refused_and_nothing_is_written(
        self, http: TestClient, run: str, platform: Platform, path: str
    ) -> None:
        before = set(platform.resources.store.digests())
        for method in ("PUT", "GET", "HEAD", "DELETE"):
            answer = sent(http, method, f"{FILES}/{run}/{path}", content=b"evil" if method == "PUT" else b"")
            assert 400 <= answer.status_code < 500, method
        assert listed(http, run) == []
        assert set(platform.resources.store.digests()) == before

    @pytest.mark.parametrize("path", [path for path in DISGUISES if len(path) < 400 and path != "C:x"])
    def test_no_list_and_no_part_takes_it_either(self, http: TestClient, run: str, path: str) -> None:
        id = run.split("/")[1]
        assert error(sent(http, "GET", f"{API}/artifacts/list?run_id={id}&path={path}"))[0] in (400, 404)
        assert error(sent(http, "GET", f"/get-artifact?run_id={id}&path={path}"))[0] in (400, 404)
        assert error(sent(http, "GET", f"{FILES}?path={run}/{path}"))[0] in (400, 404)
        assert error(sent(http, "POST", f"{PARTS}/create/{run}/{path}", json={"path": "a", "num_parts": 1}))[0] < 500

    @pytest.mark.parametrize(
        "name", ["a b", "100%", "%zz", "a?b", "ä/ö/漢", "...", ".hidden", "a..b", "12:30", "~", "a&b=c"]
    )
    def test_an_odd_name_is_a_name_all_the_same(self, http: TestClient, run: str, name: str) -> None:
        assert sent(http, "PUT", f"{FILES}/{run}/d/{quote(name)}", content=b"x").status_code == 200
        assert sent(http, "GET", f"{FILES}/{run}/d/{quote(name)}").content == b"x"
        assert listed(http, run, "d") == [f"d/{name.split('/')[0]}"]


class TestLists:
    def test_a_folder_that_begins_like_another_is_not_in_it(self, http: TestClient, run: str) -> None:
        for path in ("a/x", "a/y/z", "ab/x", "A/x", "a%25/x", "a_/x"):
            http.put(f"{FILES}/{run}/{path}", content=b"x")
        assert listed(http, run, "a") == ["a/x", "a/y"]
        assert listed(http, run) == ["A", "a", "a%", "a_", "ab"]

    def test_a_file_is_deleted_and_a_folder_with_all_in_it(self, http: TestClient, run: str) -> None:
        for path in ("a/x", "a/y/z", "ab", "b"):
            http.put(f"{FILES}/{run}/{path}", content=b"x")
        for path in ("a", "b", "nothing"):
            assert http.delete(f"{FILES}/{run}/{path}").status_code == 200
        assert listed(http, run) == ["ab"]
        http.delete(f"{FILES}/{run}")
        assert listed(http, run) == []

    def test_what_was_deleted_is_told_in_the_ledger(self, http: TestClient, run: str, platform: Platform) -> None:
        http.put(f"{FILES}/{run}/a/x", content=b"x")
        http.delete(f"{FILES}/{run}/a")
        [told] = [it for it in platform.call("audit.entries", {}) if it.kind == "runs.artifacts_removed"]
        assert (told.event["path"], told.event["files"]) == ("a", 1)


class TestParts:
    def begun(self, http: TestClient, run: str, parts: int) -> dict[str, Any]:
        answer = http.post(f"{PARTS}/create/{run}/model", json={"path": "/tmp/w.bin", "num_parts": parts})
        assert answer.status_code == 200
        return dict(answer.json())

    def test_parts_in_any_order_become_one_file(self, http: TestClient, run: str) -> None:
        made, size = self.begun(http, run, 3), 5 << 20
        tags = {}
        for part in reversed(made["credentials"]):
            at = (part["part_number"] - 1) * size
            answer = http.put(part["url"], content=LARGE[at : at + size], headers=part["headers"])
            tags[part["part_number"]] = answer.headers["etag"]
        parts = [{"part_number": number, "etag": tag, "url": "x"} for number, tag in tags.items()]
        body = {"path": "w.bin", "upload_id": made["upload_id"], "parts": parts}
        assert http.post(f"{PARTS}/complete/{run}/model", json=body).json() == {}
        assert http.get(f"{FILES}/{run}/model/w.bin").content == LARGE[: 3 * size]
        assert http.post(f"{PARTS}/complete/{run}/model", json=body).status_code == 200

    def test_a_file_in_parts_is_kept_as_the_whole_would_be(
        self, http: TestClient, run: str, platform: Platform
    ) -> None:
        tags = [
            http.put(part["url"], content=LARGE[at : at + (5 << 20)]).headers["etag"]
            for at, part in zip(range(0, 10 << 20, 5 << 20), self.begun(http, run, 2)["credentials"], strict=True)
        ]
        parts = [{"part_number": at + 1, "etag": tag} for at, tag in enumerate(tags)]
        http.post(f"{PARTS}/complete/{run}", json={"path": "w", "parts": parts})
        assert platform.resources.store.has(digest_of(LARGE[: 10 << 20]))

    @pytest.mark.parametrize(
        "parts", [[], [2], [1, 1], [1, 3], [0, 1]], ids=["none", "no first", "twice", "a gap", "zero"]
    )
    def test_parts_that_do_not_follow_each_other_are_refused(
        self, http: TestClient, run: str, parts: list[int]
    ) -> None:
        [part] = self.begun(http, run, 1)["credentials"]
        tag = http.put(part["url"], content=b"x").headers["etag"]
        body = {"path": "w", "parts": [{"part_number": number, "etag": tag} for number in parts]}
        assert error(http.post(f"{PARTS}/complete/{run}", json=body)) == (400, "INVALID_PARAMETER_VALUE")
        assert listed(http, run) == []

    @pytest.mark.parametrize("tag", ["", "x", "0" * 64, "../../x"])
    def test_a_part_that_never_came_is_told(self, http: TestClient, run: str, tag: str) -> None:
        body = {"path": "w", "parts": [{"part_number": 1, "etag": tag}]}
        assert error(http.post(f"{PARTS}/complete/{run}", json=body)) == (400, "INVALID_PARAMETER_VALUE")

    def test_an_upload_that_is_left_changes_nothing(self, http: TestClient, run: str) -> None:
        made = self.begun(http, run, 2)
        http.put(made["credentials"][0]["url"], content=b"x")
        body = {"path": "w.bin", "upload_id": made["upload_id"]}
        assert http.post(f"{PARTS}/abort/{run}", json=body).status_code == 200
        assert listed(http, run) == []

    @pytest.mark.parametrize(
        "body", [{}, {"path": "w", "num_parts": 0}, {"path": "w", "num_parts": 10**6}, {"path": 3}]
    )
    def test_odd_beginnings_are_refused(self, http: TestClient, run: str, body: dict[str, Any]) -> None:
        assert error(http.post(f"{PARTS}/create/{run}", json=body)) == (400, "INVALID_PARAMETER_VALUE")

    def test_a_part_goes_where_the_client_reaches_us(self, http: TestClient, run: str) -> None:
        headers = {"x-forwarded-proto": "https", "x-everloop-project": "default"}
        answer = http.post(f"{PARTS}/create/{run}", json={"path": "w", "num_parts": 1}, headers=headers)
        [part] = answer.json()["credentials"]
        assert part["url"].startswith("https://127.0.0.1:7410/api/2.0/mlflow-artifacts/mpu/part/")
        assert part["headers"] == {"X-Everloop-Project": "default"}


class TestWhereItIsToldToBe:
    def test_a_presigned_address_is_ours_with_the_size(self, http: TestClient, run: str) -> None:
        http.put(f"{FILES}/{run}/a%20b.bin", content=b"12345")
        told = http.get(f"/api/2.0/mlflow-artifacts/presigned/{run}/a%20b.bin").json()
        assert told["file_size"] == 5
        assert http.get(told["url"], headers=told["headers"] | {"range": "bytes=1-2"}).content == b"23"

    def test_a_ui_gets_files_by_what_they_belong_to(self, http: TestClient, run: str) -> None:
        http.put(f"{FILES}/{run}/m/w.txt", content=b"weights")
        id = run.split("/")[1]
        for name in ("run_id", "run_uuid"):
            assert http.get("/get-artifact", params={name: id, "path": "m/w.txt"}).content == b"weights"
        http.post(f"{API}/registered-models/create", json={"name": "delay"})
        http.post(f"{API}/model-versions/create", json={"name": "delay", "source": f"runs:/{id}/m"})
        asked = {"name": "delay", "version": "1", "path": "w.txt"}
        assert http.get("/model-versions/get-artifact", params=asked).content == b"weights"

    def test_a_ui_uploads_small_files(self, http: TestClient, run: str) -> None:
        where = {"run_uuid": run.split("/")[1], "path": "notes/a.txt"}
        url = "/ajax-api/2.0/mlflow/upload-artifact"
        assert http.post(url, params=where, content=b"hello").status_code == 200
        assert http.get(f"{FILES}/{run}/notes/a.txt").content == b"hello"
        assert error(http.post(url, params=where, content=b""))[0] == 400
        assert error(http.post(url, params=where, content=LARGE[: (10 << 20) + 1]))[0] == 413
        assert error(http.post(url, content=b"x"))[0] == 400

    def test_a_logged_model_has_files_and_folders(self, http: TestClient) -> None:
        info = http.post(f"{API}/logged-models", json={"experiment_id": "0"}).json()["model"]["info"]
        root, id = info["artifact_uri"].removeprefix("mlflow-artifacts:/"), info["model_id"]
        http.put(f"{FILES}/{root}/data/w.txt", content=b"weights")
        listed = http.get(f"{API}/logged-models/{id}/artifacts/directories", params={"artifact_directory_path": "data"})
        assert listed.json()["files"] == [{"path": "data/w.txt", "is_dir": False, "file_size": 7}]
        url = f"/ajax-api/2.0/mlflow/logged-models/{id}/artifacts/files"
        assert http.get(url, params={"artifact_file_path": "data/w.txt"}).content == b"weights"
        http.patch(f"{API}/logged-models/{id}", json={"model_id": id, "status": "LOGGED_MODEL_READY"})
        assert error(http.put(f"{FILES}/{root}/late", content=b"x"))[0] == 400


class TestWhoMay:
    @pytest.fixture
    def eve(self, platform: Platform) -> Iterator[TestClient]:
        """A reader who calls from elsewhere."""
        platform.call("governance.grant", {"principal": "eve", "roles": ["reader"]})
        secret = platform.call("tokens.create", {"principal": "eve"}).secret
        with client_of(platform, host="192.0.2.7") as http:
            http.headers["authorization"] = f"Bearer {secret}"
            yield http

    def test_a_reader_reads_and_writes_nothing(self, http: TestClient, eve: TestClient, run: str) -> None:
        http.put(f"{FILES}/{run}/a", content=b"x")
        assert eve.get(f"{FILES}/{run}/a").content == b"x"
        assert error(eve.put(f"{FILES}/{run}/a", content=b"y")) == (403, "PERMISSION_DENIED")
        assert error(eve.delete(f"{FILES}/{run}/a")) == (403, "PERMISSION_DENIED")
        assert error(eve.post(f"{PARTS}/create/{run}", json={"path": "a"})) == (403, "PERMISSION_DENIED")
        assert http.get(f"{FILES}/{run}/a").content == b"x"

    def test_who_is_told_where_a_file_is_is_told_what_it_showed_itself(
        self, http: TestClient, eve: TestClient, run: str
    ) -> None:
        http.put(f"{FILES}/{run}/a", content=b"x")
        where = f"/api/2.0/mlflow-artifacts/presigned/{run}/a"
        assert http.get(where).json()["headers"] == {}
        assert eve.get(where).json()["headers"] == {"Authorization": eve.headers["authorization"]}

    def test_a_stranger_sees_nothing(self, platform: Platform, run: str) -> None:
        with client_of(platform, host="192.0.2.7") as http:
            for path in (f"{FILES}/{run}/a", "/get-artifact", f"{PARTS}/create/x"):
                assert error(http.get(path)) == (401, "UNAUTHENTICATED")
