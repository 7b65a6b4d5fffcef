"""The JSON schema for editors says the same as the model and the parser."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest

from kamerton.domain.dialogue import EntityKind
from kamerton.flow_engine import dialogue_map as model

REPO = Path(__file__).resolve().parents[3]
SCHEMA: dict[str, Any] = json.loads((REPO / "docs/schemas/dialogue_map.schema.json").read_text(encoding="utf-8"))
RECORDS = (
    model.PlaylistEntry,
    model.SystemResponse,
    model.Expects,
    model.Transition,
    model.NoMatch,
    model.State,
    model.Variable,
)


def test_the_schema_is_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_every_field_of_the_model_is_in_the_schema(record: type) -> None:
    fields = {field.name for field in dataclasses.fields(record)}
    assert set(SCHEMA["$defs"][record.__name__]["properties"]) == fields


def test_the_map_itself_and_its_choices() -> None:
    fields = {field.name for field in dataclasses.fields(model.DialogueMap)}
    assert set(SCHEMA["properties"]) == fields | {"$schema"}
    definitions = SCHEMA["$defs"]
    assert definitions["Expects"]["properties"]["entity"]["enum"] == list(EntityKind)
    assert definitions["State"]["properties"]["action"]["enum"] == list(model.ACTIONS)
    assert definitions["Variable"]["properties"]["type"]["enum"] == list(get_args(model.VariableType))
    assert definitions["NoMatch"]["properties"]["limit"]["default"] == model.NoMatch().limit


@pytest.mark.parametrize("name", ["insurance.json", "minimal.json"])
def test_sample_maps_fit(name: str, flows_folder: Path) -> None:
    jsonschema.validate(json.loads((flows_folder / name).read_text(encoding="utf-8")), SCHEMA)


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"version": 1, "start_state": "a", "states": {}},
        {"version": 2, "start_state": "a", "states": {"a": {"system_response": {"playlist": [{"type": "cache"}]}}}},
        {"version": 2, "start_state": "a", "states": {"a": {"colour": 1, "system_response": {"playlist": []}}}},
    ],
)
def test_broken_maps_do_not(broken: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, SCHEMA)
