"""What an entry of the ledger is told as: MLflow's events with MLflow's payloads, and the ledger's own kinds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from blake3 import blake3

from everloop.catalog.entities import LedgerEntry
from everloop.catalog.session import Session
from everloop.kernel.ids import parse_urn
from everloop.kernel.usecase import Json
from everloop.registry import rows, tags
from everloop.registry.search.queries import PROMPT
from everloop.registry.webhooks.entities import MLFLOW_EVENTS, Message

_TEMPLATE = "mlflow.prompt.text"
_INTERNAL = (PROMPT, _TEMPLATE, "_mlflow_prompt_type")
"""Tags by which MLflow keeps a prompt; its payloads tell prompts without them."""


def of_entry(session: Session, entry: LedgerEntry, webhook: str, wanted: tuple[str, ...]) -> list[Message]:
    """What a webhook that wants some events is told of an entry, in order."""
    told = [(entry.kind, {"subject": entry.subject, "principal": entry.principal} | entry.event)]
    told += [] if entry.kind.startswith("webhooks.") else _as_mlflow(session, entry)
    found = []
    for place, (event, data) in enumerate(told):
        if event in wanted:
            identity = blake3(f"{webhook}/{entry.sequence}/{place}".encode()).hexdigest()[:32]
            found.append(Message(identity, event, entry.at, data))
    return found


def example(session: Session, event: str) -> Message:
    """What a test tells: an event of a model that there is not."""
    data: dict[str, Json] = {"name": "example_model", "version": "1", "key": "example_key", "value": "example_value"}
    data |= {"alias": "example_alias", "tags": {"example_key": "example_value"}, "description": "An example"}
    data |= {"source": "models:/123", "run_id": "abcd1234abcd5678"}
    wanted = _FIELDS.get(event.partition(".")[0], tuple(data))
    return Message(session.new_id(), event, session.clock.now(), {key: data[key] for key in wanted})


_FIELDS = {
    "registered_model": ("name", "tags", "description"),
    "model_version": ("name", "version", "source", "run_id", "tags", "description"),
    "model_version_tag": ("name", "version", "key", "value"),
    "model_version_alias": ("name", "alias", "version"),
}


def _as_mlflow(session: Session, entry: LedgerEntry) -> Iterator[tuple[str, dict[str, Json]]]:
    urn = parse_urn(entry.subject)
    model, version = urn.name, int(urn.version) if urn.version.isdecimal() else 0
    known = rows.model(session, model)
    given = entry.event.get("tags")
    noted: Mapping[str, Json] = given if isinstance(given, dict) else {}
    prompt = _is_prompt(session, model, noted)
    name: dict[str, Json] = {"name": known.called if known else model}
    for event, data in _of_kind(session, entry, model, version, noted, prompt):
        if event in MLFLOW_EVENTS:
            yield event, name | data


def _of_kind(
    session: Session, entry: LedgerEntry, model: str, version: int, noted: Mapping[str, Json], prompt: bool
) -> Iterator[tuple[str, dict[str, Json]]]:
    """The events that an entry stands for, and their data without the name."""
    shown: dict[str, Json] = {key: value for key, value in noted.items() if not prompt or key not in _INTERNAL}
    number: dict[str, Json] = {"version": str(version)} if version else {}
    match entry.kind:
        case "models.created":
            told = {"tags": shown, "description": entry.event.get("description", "")}
            yield "prompt.created" if prompt else "registered_model.created", told
        case "models.registered":
            found = rows.version(session, model, version)
            told = number | {"tags": shown, "description": found.note if found else ""}
            if prompt:
                yield "prompt_version.created", told | {"template": noted.get(_TEMPLATE)}
            else:
                origin: dict[str, Json] = {"source": entry.event.get("source"), "run_id": entry.event.get("run")}
                yield "model_version.created", told | origin
        case "models.tagged":
            entity = ("prompt_version_tag" if version else "prompt_tag") if prompt else "model_version_tag"
            for key, value in noted.items() if version or prompt else ():
                gone = value is None
                yield (
                    f"{entity}.{'deleted' if gone else 'set'}",
                    number | {"key": key} | ({} if gone else {"value": value}),
                )
        case "models.alias_moved" | "models.alias_deleted":
            entity = "prompt_alias" if prompt else "model_version_alias"
            alias: dict[str, Json] = {"alias": entry.event["alias"]}
            moved = entry.kind == "models.alias_moved"
            yield f"{entity}.{'created' if moved else 'deleted'}", alias | (number if moved else {})
        case _:
            return


def _is_prompt(session: Session, model: str, noted: Mapping[str, Json]) -> bool:
    return noted.get(PROMPT) == "true" or tags.of(session, [model], [0]).get((model, 0), {}).get(PROMPT) == "true"
