"""The sample scenario: a car-insurance quote, with the phrases, fillers and intents around it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kamerton.flow_engine import DialogueMap, FlowEngine, Surroundings, load_dialogue_map

FLOWS = Path(__file__).resolve().parents[2] / "data" / "flows"


@pytest.fixture(scope="session")
def flows_folder() -> Path:
    return FLOWS


@pytest.fixture(scope="session")
def folder_contents() -> dict[str, Any]:
    contents: dict[str, Any] = json.loads((FLOWS / "surroundings.json").read_text(encoding="utf-8"))
    return contents


@pytest.fixture(scope="session")
def surroundings(folder_contents: dict[str, Any]) -> Surroundings:
    return Surroundings(folder_contents["phrases"], folder_contents["fillers"], folder_contents["intents"])


@pytest.fixture
def sample() -> dict[str, Any]:
    """The sample map as JSON data, to be broken by tests."""
    data: dict[str, Any] = json.loads((FLOWS / "insurance.json").read_text(encoding="utf-8"))
    return data


@pytest.fixture(scope="session")
def sample_map(surroundings: Surroundings) -> DialogueMap:
    return load_dialogue_map((FLOWS / "insurance.json").read_text(encoding="utf-8"), "insurance", surroundings)


@pytest.fixture(scope="session")
def engine(sample_map: DialogueMap, folder_contents: dict[str, Any]) -> FlowEngine:
    return FlowEngine(sample_map, folder_contents["phrases"], folder_contents["fillers"], "insurance")
