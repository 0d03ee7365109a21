"""LitServe with one worker of an API."""

from typing import Any

import litserve
from predicting import given, load, matrix

FOLDER, ENGINE, PORT = given()


class Scores(litserve.LitAPI):  # type: ignore[misc]  # Its types are not ours.
    """Rows in, scores out."""

    def setup(self, device: str) -> None:
        """Load the model."""
        self.model = load(FOLDER, ENGINE)

    def decode_request(self, request) -> Any:  # type: ignore[no-untyped-def]
        """The matrix. LitServe takes an annotated request for a parameter of the URL."""
        return matrix(request["rows"])

    def predict(self, rows: Any) -> Any:
        """The scores."""
        return self.model(rows)

    def encode_response(self, scores: Any) -> dict[str, Any]:
        """The scores as JSON."""
        return {"scores": scores.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Scores(), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=PORT, num_api_servers=1, log_level="error", generate_client_file=False)
