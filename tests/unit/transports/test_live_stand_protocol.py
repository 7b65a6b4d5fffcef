"""The live-stand messages: what the code can say is what docs/ says, and nothing a client sends can break it."""

import json
from contextlib import suppress
from types import MappingProxyType
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paths import REPO

from kamerton.domain.errors import ProtocolError
from kamerton.domain.notices import (
    AudioCleared,
    BargeInDecided,
    CallFinished,
    CallStarted,
    ErrorOccurred,
    LLMTextReceived,
    MindStateChanged,
    Notice,
    TranscriptUpdated,
    TurnFinished,
)
from kamerton.transports.browser.protocol import (
    MAX_TEXT_CHARACTERS,
    ClientMessage,
    HangUp,
    Playback,
    StartDemoCall,
    UserInterrupted,
    encode_clear_audio,
    encode_client_message,
    encode_error,
    encode_notice,
    encode_started,
    parse_client_message,
)

SCHEMA = json.loads((REPO / "docs" / "schemas" / "live_stand.schema.json").read_text(encoding="utf-8"))
SAID_BY_THE_TRANSPORT = (CallStarted, AudioCleared)


def side(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": SCHEMA["$defs"]})


SERVER = side("server_message")
CLIENT = side("client_message")

WILD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
VARIABLES = st.dictionaries(st.text(max_size=5), WILD, max_size=4)
NOTICES: st.SearchStrategy[Notice] = st.one_of(
    st.builds(MindStateChanged),
    st.builds(TranscriptUpdated),
    st.builds(LLMTextReceived),
    st.builds(TurnFinished, entities=VARIABLES, intent=st.none() | st.text(), response_ms=st.none() | st.floats()),
    st.builds(BargeInDecided, onset_at_s=st.floats(), text=st.text()),
    st.builds(CallStarted),
    st.builds(CallFinished, variables=VARIABLES),
    st.builds(ErrorOccurred),
    st.builds(AudioCleared),
)


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@given(NOTICES)
def test_every_notice_is_said_as_the_schema_says(notice: Notice) -> None:
    text = encode_notice(notice)
    if isinstance(notice, SAID_BY_THE_TRANSPORT):
        assert text is None
    else:
        assert text is not None
        SERVER.validate(json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON")))


def test_what_the_transport_says_itself_is_in_the_schema() -> None:
    for text in (encode_started("id"), encode_clear_audio(32000), encode_error("broken", "stt")):
        SERVER.validate(json.loads(text))


def test_the_page_sees_the_words_as_they_are() -> None:
    text = encode_notice(TranscriptUpdated("user", "сто пятьдесят", final=True, turn=2))
    assert text is not None
    assert "сто пятьдесят" in text
    assert json.loads(text) == {
        "type": "transcript",
        "payload": {"speaker": "user", "text": "сто пятьдесят", "final": True, "turn": 2},
    }


def test_values_that_json_cannot_carry_become_text_or_null() -> None:
    loop: dict[str, Any] = {}
    loop["self"] = loop
    variables = {"nan": float("nan"), "set": {1}, "object": complex(1, 2), "loop": loop, "half": "\ud800"}
    text = encode_notice(CallFinished("id", "bot", "done", 1.0, MappingProxyType(variables)))
    assert text is not None
    seen = json.loads(text)["payload"]["variables"]
    assert (seen["nan"], seen["set"], seen["object"], seen["half"]) == (None, [1], "(1+2j)", "?")


@pytest.mark.parametrize(
    "message", [StartDemoCall("Анна"), StartDemoCall(), UserInterrupted(), HangUp(), Playback(12800)]
)
def test_client_messages_round_trip_and_are_in_the_schema(message: ClientMessage) -> None:
    text = encode_client_message(message)
    CLIENT.validate(json.loads(text))
    assert parse_client_message(text) == message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[" * 4000, "JSON"),
        ("null", 'no "type"'),
        ("[]", 'no "type"'),
        ('{"payload": {}}', 'no "type"'),
        ('{"type": 5}', 'no "type"'),
        ('{"type": "start_demo_call", "payload": []}', '"payload" must be an object'),
        ('{"type": "start_demo_call", "payload": {"user_name": 5}}', '"user_name" must be text'),
        ('{"type": "playback"}', "whole number"),
        ('{"type": "playback", "payload": {"played_samples": -1}}', "whole number"),
        ('{"type": "playback", "payload": {"played_samples": 1.5}}', "whole number"),
        ('{"type": "playback", "payload": {"played_samples": true}}', "whole number"),
        ('{"type": "clear_audio", "payload": {}}', "unknown message type 'clear_audio'"),
        ('{"type": "hang_up", "padding": "' + "x" * MAX_TEXT_CHARACTERS + '"}', "at most"),
    ],
)
def test_what_is_no_message_is_explained(text: str, words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        parse_client_message(text)


@given(st.text(max_size=300))
def test_any_text_is_a_message_or_an_explained_error(text: str) -> None:
    with suppress(ProtocolError):
        parse_client_message(text)


def test_names_are_trimmed_and_unknown_fields_ignored() -> None:
    text = json.dumps(
        {"type": "start_demo_call", "payload": {"user_name": "  А\n\x1b[31mнна " + "я" * 500, "later": 1}}
    )
    first = parse_client_message(text)
    assert isinstance(first, StartDemoCall)
    assert first.user_name.startswith("А [31mнна яя")
    assert len(first.user_name) == 100
    assert first.user_name.isprintable()
