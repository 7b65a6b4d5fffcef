"""The scripted brain: a dialogue map is read, judged, and walked turn by turn. Pure; knows no event loop."""

from kamerton.flow_engine.dialogue_map import DialogueMap
from kamerton.flow_engine.engine import FlowEngine
from kamerton.flow_engine.validation import Surroundings, load_dialogue_map

__all__ = ["DialogueMap", "FlowEngine", "Surroundings", "load_dialogue_map"]
