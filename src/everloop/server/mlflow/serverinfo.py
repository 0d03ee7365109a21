"""What the server tells of itself to MLflow's clients, and the addresses that it does not sign."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from everloop.kernel.errors import InvalidInput
from everloop.server.mlflow import limits, loggedmodels, runs
from everloop.server.mlflow.endpoint import Answer, Caller, endpoint


class Nothing(msgspec.Struct, frozen=True):
    """A request that says nothing."""


class Presign(msgspec.Struct, frozen=True):
    """A file of a run or of a logged model."""

    run_id: str = ""
    model_id: str = ""
    path: str = ""
    expiration: int = 900


@endpoint("GET 3.0/server-info")
def server_info(caller: Caller, request: Nothing) -> Answer:
    """What the server can. Parts and presigned downloads it takes from who wants them; a stream is cheaper."""
    return {
        "store_type": "SqlStore",
        "workspaces_enabled": False,
        "trace_archival_enabled": False,
        "multipart_uploads_enabled": False,
        "multipart_downloads_enabled": False,
        "presigned_upload_run_id_supported": False,
        "presigned_upload_model_id_supported": False,
        "features_enabled": {"gateway": False},
    }


@endpoint("POST artifacts/presigned-upload-url", "POST artifacts/presigned-download-url")
def presign(caller: Caller, request: Presign) -> Answer:
    """Refuse to sign an address in a bucket: the server has no keys to give away, and its own store needs none.

    Raises:
        InvalidInput: always, in the words on which clients send the file through the server.
        NotFound: there is no such run or logged model.
    """
    if bool(request.run_id) == bool(request.model_id):
        raise InvalidInput("Exactly one of run_id and model_id must be provided.")
    limits.required("path", request.path)
    if request.run_id:
        shown = runs.get(caller, runs.ById(request.run_id))["run"]
    else:
        shown = loggedmodels.get(caller, loggedmodels.ById(request.model_id))["model"]
    info = shown["info"] if isinstance(shown, dict) else {}
    scheme = urlsplit(str(info["artifact_uri"])).scheme
    raise InvalidInput(
        f"Presigned URLs are not supported for this artifact storage (artifact URI scheme: {scheme}).",
        hint="Send and get artifacts below /api/2.0/mlflow-artifacts.",
    )
