"""Blobs in a bucket of S3, or of anything that speaks its protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from obstore.store import S3Store

from everloop.backends.blobs.bucket import BucketBlobs, bucket_of

if TYPE_CHECKING:
    from obstore.store import S3Config


def open_blobs(url: str) -> BucketBlobs:
    """The blobs that `s3://bucket/prefix?endpoint=http://host:port&region=…` names.

    Keys and secrets come from AWS's usual variables (`AWS_ACCESS_KEY_ID`, …), never from the URL; `anonymous=true`
    reads public buckets without any.

    Raises:
        Misconfigured: the URL is not of that form.
    """
    bucket = bucket_of(url, ["region"])
    config = {"virtual_hosted_style_request": "false", "skip_signature": bucket.options.get("anonymous", "false")}
    config |= {name: value for name, value in bucket.options.items() if name in ("endpoint", "region")}
    store = S3Store(
        bucket.name,
        prefix=bucket.prefix or None,
        client_options=bucket.client,
        retry_config=bucket.retry,
        config=cast("S3Config", config),
    )
    return BucketBlobs(store, bucket)
