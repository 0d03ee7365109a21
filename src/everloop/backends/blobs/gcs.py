"""Blobs in a bucket of Google Cloud Storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from obstore.store import GCSStore

from everloop.backends.blobs.bucket import BucketBlobs, bucket_of

if TYPE_CHECKING:
    from obstore.store import GCSConfig


def open_blobs(url: str) -> BucketBlobs:
    """The blobs that `gs://bucket/prefix` names.

    Credentials come from Google's usual places (`GOOGLE_APPLICATION_CREDENTIALS`, the machine's account), never from
    the URL. References move by generation: Google's ETags cannot be written against.

    Raises:
        Misconfigured: the URL is not of that form.
    """
    bucket = bucket_of(url)
    config = {"skip_signature": bucket.options.get("anonymous", "false")}
    if "endpoint" in bucket.options:
        config["base_url"] = bucket.options["endpoint"]
    store = GCSStore(
        bucket.name,
        prefix=bucket.prefix or None,
        client_options=bucket.client,
        retry_config=bucket.retry,
        config=cast("GCSConfig", config),
    )
    return BucketBlobs(store, bucket, "version")
