"""A stand-in for an OpenAI-compatible model server: real HTTP on loopback, scripted answers, delays and faults."""

from kamerton.testing.model_server.default_script import DEFAULT_SCRIPT
from kamerton.testing.model_server.records import ServedRequest, ServerEvent
from kamerton.testing.model_server.script import ModelScript, Reply, Rule, load_script
from kamerton.testing.model_server.server import ModelServer, serve_model

__all__ = [
    "DEFAULT_SCRIPT",
    "ModelScript",
    "ModelServer",
    "Reply",
    "Rule",
    "ServedRequest",
    "ServerEvent",
    "load_script",
    "serve_model",
]
