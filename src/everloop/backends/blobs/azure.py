"""Blobs in a container of Azure Blob Storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from obstore.store import AzureStore

from everloop.backends.blobs.bucket import BucketBlobs, bucket_of

if TYPE_CHECKING:
    from obstore.store import AzureConfig


def open_blobs(url: str) -> BucketBlobs:
    """The blobs that `az://container/prefix?account=name` names.

    Keys come from Azure's usual variables (`AZURE_STORAGE_ACCOUNT_KEY`, …), never from the URL.

    Raises:
        Misconfigured: the URL is not of that form.
    """
    bucket = bucket_of(url, ["account"])
    config = {"skip_signature": bucket.options.get("anonymous", "false")}
    names = {"endpoint": "endpoint", "account": "account_name"}
    config |= {names[name]: value for name, value in bucket.options.items() if name in names}
    store = AzureStore(
        bucket.name,
        prefix=bucket.prefix or None,
        client_options=bucket.client,
        retry_config=bucket.retry,
        config=cast("AzureConfig", config),
    )
    return BucketBlobs(store, bucket)
