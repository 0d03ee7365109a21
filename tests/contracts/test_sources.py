"""What every place that data is imported from promises."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import pytest

from everloop.app import backends
from everloop.datasets.remotes.reach import Reach
from everloop.datasets.remotes.sources import Reference, Source, encoded, same
from everloop.kernel.errors import Conflict, InvalidInput, NotFound, PermissionDenied, Unavailable

ANYWHERE = Reach(private=True)


class Place:
    """Somewhere that tests can write to, and its URL."""

    def __init__(self, url: str) -> None:
        self.url = url

    def source(self, reach: Reach = ANYWHERE) -> Source:
        found: Source = backends.load("sources", urlsplit(self.url).scheme)(self.url, reach)
        return found

    def write(self, path: str, data: bytes) -> None:
        raise NotImplementedError  # Each kind of place says how: below.

    def remove(self, path: str) -> None:
        raise NotImplementedError  # Each kind of place says how: below.


class Folder(Place):
    """A folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder.as_uri())
        self._folder = folder
        folder.mkdir()

    def write(self, path: str, data: bytes) -> None:
        file = self._folder / path
        before = file.stat().st_mtime_ns if file.exists() else 0
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        os.utime(file, ns=(before + 10**9, before + 10**9))

    def remove(self, path: str) -> None:
        (self._folder / path).unlink()


class Bucket(Place):
    """A bucket of S3."""

    def __init__(self, url: str, endpoint: str) -> None:
        super().__init__(url)
        parts = urlsplit(url)
        self._bucket, self._prefix = parts.netloc, parts.path.strip("/")
        self._client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")

    def write(self, path: str, data: bytes) -> None:
        self._client.put_object(Bucket=self._bucket, Key=f"{self._prefix}/{path}", Body=data)

    def remove(self, path: str) -> None:
        self._client.delete_object(Bucket=self._bucket, Key=f"{self._prefix}/{path}")


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "folder":
        return Folder(tmp_path / "data")
    return Bucket(request.getfixturevalue("s3_url"), request.getfixturevalue("s3_endpoint"))


def read(source: Source, path: str) -> bytes:
    reference = next(each for each in source.listed() if each.path == path)
    return b"".join(source.read(reference))


class TestSources:
    def test_every_file_is_listed_once_with_its_size(self, place: Place) -> None:
        for path, data in {"a/one.csv": b"1", "a/b/two.csv": b"22", "with space.txt": b""}.items():
            place.write(path, data)
        listed = sorted((each.path, each.size) for each in place.source().listed())
        assert listed == [("a/b/two.csv", 2), ("a/one.csv", 1), ("with space.txt", 0)]
        assert all(each.tag for each in place.source().listed())

    def test_bytes_can_be_read(self, place: Place) -> None:
        large = os.urandom(3 << 20)
        place.write("large", large)
        assert read(place.source(), "large") == large

    def test_what_did_not_change_is_the_same_and_what_did_is_not(self, place: Place) -> None:
        place.write("one", b"before")
        (before,) = place.source().listed()
        (again,) = place.source().listed()
        place.write("one", b"after!")
        (after,) = place.source().listed()
        assert same(before, again)
        assert not same(before, after)

    def test_what_changed_is_not_read(self, place: Place) -> None:
        place.write("one", b"before")
        (reference,) = place.source().listed()
        place.write("one", b"after!")
        with pytest.raises(Conflict, match="changed since"):
            list(place.source().read(reference))

    def test_what_is_gone_is_not_found(self, place: Place) -> None:
        place.write("one", b"1")
        place.write("two", b"2")
        reference = next(each for each in place.source().listed() if each.path == "one")
        place.remove("one")
        with pytest.raises(NotFound):
            list(place.source().read(reference))


def test_a_folder_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        list(Place((tmp_path / "nowhere").as_uri()).source().listed())


def test_links_out_of_a_folder_are_not_followed(tmp_path: Path) -> None:
    place = Folder(tmp_path / "data")
    (tmp_path / "secret").write_bytes(b"hush")
    (tmp_path / "data/link").symlink_to(tmp_path / "secret")
    assert list(place.source().listed()) == []


def test_a_reference_does_not_lead_out_of_its_folder(tmp_path: Path) -> None:
    place = Folder(tmp_path / "data")
    (tmp_path / "secret").write_bytes(b"hush")
    with pytest.raises(InvalidInput):
        list(place.source().read(Reference(place.url, "../secret", 4, "")))


@pytest.mark.slow
def test_a_bucket_with_nothing_below_the_prefix_is_not_found(s3_url: str) -> None:
    with pytest.raises(NotFound, match="nothing below"):
        list(Place(s3_url).source().listed())


class Site:
    """What a web server answers: a body with its headers, or where to go."""

    def __init__(self) -> None:
        self.body = b"a,b\n1,2\n"
        self.headers = {"ETag": '"one"'}
        self.status = 200
        self.heads = True
        self.length = True
        self.url = ""


@contextmanager
def serving(site: Site) -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(b"") if site.heads else self.send_error(405)

        def do_GET(self) -> None:
            self.answer(site.body)

        def answer(self, body: bytes) -> None:
            self.send_response_only(site.status)
            for name, value in site.headers.items():
                self.send_header(name, value)
            if site.length:
                self.send_header("Content-Length", str(len(site.body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        site.url = f"http://127.0.0.1:{server.server_address[1]}/data/table.csv?version=1"
        yield site
        server.shutdown()


@pytest.fixture
def site() -> Iterator[Site]:
    with serving(Site()) as fresh:
        yield fresh


class TestWeb:
    @pytest.mark.parametrize("heads", [True, False])
    def test_a_file_is_known_by_its_headers(self, site: Site, heads: bool) -> None:
        site.heads = heads
        assert list(Place(site.url).source().listed()) == [Reference(site.url, "table.csv", 8, '"one"')]

    def test_a_file_without_an_etag_is_known_by_when_it_was_modified(self, site: Site) -> None:
        site.headers = {"Last-Modified": "Sat, 21 Nov 2026 10:00:00 GMT"}
        (found,) = Place(site.url).source().listed()
        assert found.tag == "modified Sat, 21 Nov 2026 10:00:00 GMT"

    def test_its_bytes_are_read_unless_it_changed(self, site: Site) -> None:
        source = Place(site.url).source()
        (reference,) = source.listed()
        assert b"".join(source.read(reference)) == site.body
        site.headers = {"ETag": '"two"'}
        with pytest.raises(Conflict):
            list(source.read(reference))

    def test_redirects_are_followed(self, site: Site) -> None:
        with serving(Site()) as other:
            other.body = b"there"
            site.status, site.headers = 302, {"Location": other.url}
            assert read(Place(site.url).source(), "table.csv") == b"there"

    def test_a_redirect_into_a_private_network_is_refused(self, site: Site) -> None:
        class FirstOnly(Reach):
            """Lets this machine through as if it were public, once."""

            asked = 0

            def address(self, host: str, port: int) -> str:
                self.asked += 1
                return "127.0.0.1" if self.asked <= 2 else super().address(host, port)

        site.status, site.headers = 302, {"Location": "http://169.254.169.254/latest/meta-data"}
        with pytest.raises(PermissionDenied, match=r"169\.254\.169\.254"):
            list(Place(site.url).source(FirstOnly(private=False)).listed())

    def test_redirects_in_a_circle_end(self, site: Site) -> None:
        site.status, site.headers = 302, {"Location": site.url}
        with pytest.raises(Unavailable, match="from one place to another"):
            list(Place(site.url).source().listed())

    @pytest.mark.parametrize(("status", "error"), [(404, NotFound), (403, PermissionDenied), (500, Unavailable)])
    def test_what_a_server_refuses_is_said(self, site: Site, status: int, error: type[Exception]) -> None:
        site.status = status
        with pytest.raises(error):
            list(Place(site.url).source().listed())

    def test_the_options_of_a_url_are_in_no_message(self, site: Site) -> None:
        site.status = 403
        with pytest.raises(PermissionDenied) as caught:
            list(Place(f"{site.url}?key=hush").source().listed())
        assert "hush" not in caught.value.message

    def test_a_file_of_unknown_size_is_refused(self, site: Site) -> None:
        site.length = False
        with pytest.raises(InvalidInput, match="how large"):
            list(Place(site.url).source().listed())

    def test_a_private_address_is_not_even_asked(self, site: Site) -> None:
        with pytest.raises(PermissionDenied, match=r"127\.0\.0\.1"):
            Place(site.url).source(Reach(private=False))

    def test_a_host_that_answers_to_nobody_is_unavailable(self) -> None:
        with pytest.raises(Unavailable):
            list(Place("http://127.0.0.1:9/file").source().listed())


def test_a_reference_is_written_the_same_each_time() -> None:
    reference = Reference("s3://bucket/p", "a", 1, '"tag"')
    assert encoded(reference) == encoded(Reference("s3://bucket/p", "a", 1, '"tag"'))
    assert b"reference/1" in encoded(reference)
