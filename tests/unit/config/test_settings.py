"""The settings tree: which source wins, and what is said about values that cannot be used."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kamerton.config.settings import Settings, load_settings
from kamerton.domain.errors import ConfigurationError


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working directory and an environment without settings."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.upper().startswith("KAMERTON_")]:
        monkeypatch.delenv(name)


def settings_file(text: str, name: str = "own.yaml") -> Path:
    path = Path(name)
    path.write_text(text, encoding="utf-8")
    return path


def problems_of(text: str = "", **overrides: object) -> str:
    with pytest.raises(ConfigurationError) as raised:
        load_settings(settings_file(text), **overrides)
    return str(raised.value)


def test_defaults_serve_the_shipped_assistant_to_this_machine_only() -> None:
    settings = load_settings()
    assert settings.assistant == "insurance"
    assert (settings.web.host, settings.web.port) == ("127.0.0.1", 8080)
    assert (settings.audiosocket.host, settings.audiosocket.port) == ("127.0.0.1", 9092)
    assert (settings.assistant_folders[0] / "insurance" / "assistant.yaml").is_file()


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    path = settings_file(
        "assistant: from_file\nlog: {level: debug, format: console}\naudiosocket: {port: 1001, dead_peer_s: 7}\n"
    )
    monkeypatch.setenv("KAMERTON_AUDIOSOCKET__PORT", "1002")
    monkeypatch.setenv("KAMERTON_LOG__LEVEL", "warning")
    settings = load_settings(path, audiosocket={"port": 1003})
    assert settings.assistant == "from_file"
    assert (settings.log.level, settings.log.format) == ("warning", "console")
    assert (settings.audiosocket.port, settings.audiosocket.dead_peer_s) == (1003, 7.0)


def test_the_file_of_the_working_directory_is_read_unless_another_is_named() -> None:
    settings_file("assistant: here\n", "kamerton.yaml")
    assert load_settings().assistant == "here"
    assert load_settings(settings_file("assistant: there\n")).assistant == "there"


@pytest.mark.parametrize("text", ["", "\n", "# nothing set\n"])
def test_an_empty_file_sets_nothing(text: str) -> None:
    assert load_settings(settings_file(text)).model_dump() == load_settings().model_dump()


def test_nested_sections_are_reached_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAMERTON_CALL__PATIENCE__SILENCE_PROMPT_S", "4.5")
    settings = load_settings(settings_file("call: {patience: {silence_goodbye_s: 3}}"))
    assert (settings.call.patience.silence_prompt_s, settings.call.patience.silence_goodbye_s) == (4.5, 3.0)


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings().assistant = "other"


def test_a_named_file_that_is_missing_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.yaml does not exist.*--config"):
        load_settings(Path("nowhere.yaml"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("limits: [1", "cannot be read as YAML"),
        ("assistant: 'open\n", "cannot be read as YAML"),
        ("- assistant\n", "must hold settings by name"),
        ("insurance\n", "must hold settings by name"),
        ("1: 2\n", "must hold settings by name"),
    ],
)
def test_a_file_that_is_no_settings_is_named(text: str, told: str) -> None:
    message = problems_of(text)
    assert "own.yaml" in message
    assert told in message


def test_a_file_in_another_encoding_is_named() -> None:
    path = Path("latin.yaml")
    path.write_bytes("assistant: caf\xe9\n".encode("latin-1"))
    with pytest.raises(ConfigurationError, match=r"latin\.yaml cannot be read as YAML"):
        load_settings(path)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("asistant: insurance", "asistant:"),
        ("audiosocket: {prot: 1}", "audiosocket.prot:"),
        ("audiosocket: {port: abc}", "audiosocket.port:"),
        ("audiosocket: 9092", "audiosocket:"),
        ("audiosocket: {port: 70000}", "audiosocket: Value error, AudioSocket: port is 70000; set 0 to 65535"),
        ("limits: {max_calls: 0}", "set max_calls to 1 or more"),
        ("web: {allowed_hosts: []}", "allowed_hosts is empty"),
        ("log: {level: loud}", "log.level:"),
        ("recognizer: {engine: cloud}", "recognizer.engine:"),
        ("recognizer: {whisper: {threads: 0}}", "recognizer.whisper.threads:"),
        ("recognizer: {whisper: {engines: 0}}", "recognizer.whisper.engines:"),
        ("recognizer: {whisper: {max_calls: 0}}", "recognizer.whisper.max_calls:"),
        ("voice: {festival: {processes: 17}}", "voice.festival.processes:"),
        ("model: {window_tokens: 1200, limits: {max_tokens: 400}}", "800 remain for the conversation, at least 1000"),
        ("call: {patience: {silence_prompt_s: soon}}", "call.patience.silence_prompt_s:"),
    ],
)
def test_a_wrong_value_is_told_with_its_place(text: str, place: str) -> None:
    message = problems_of(text)
    assert place in message
    assert "own.yaml" in message


@pytest.mark.parametrize(
    ("variable", "value", "place"),
    [
        ("KAMERTON_AUDIOSOCKET__PORT", "abc", "audiosocket.port:"),
        ("KAMERTON_AUDIOSOCKET__PRT", "1", "audiosocket.prt:"),
        ("KAMERTON_LOG", "loud", '"log"'),
        ("KAMERTON_AUDIOSOKET__PORT", "1", "KAMERTON_AUDIOSOKET__PORT: there is no setting 'audiosoket'"),
        ("KAMERTON_ASISTANT", "insurance", "KAMERTON_ASISTANT: there is no setting 'asistant'; known are assistant,"),
    ],
)
def test_a_wrong_variable_is_told_with_its_place(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, place: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError) as raised:
        load_settings()
    assert place in str(raised.value)
    assert "KAMERTON_… variables are wrong" in str(raised.value)


def test_every_problem_is_listed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAMERTON_WEB__PORT", "65536")
    monkeypatch.setenv("KAMERTON_WEBB__PORT", "1")
    message = problems_of(
        "nonsense: 1\nlog: {level: loud}\naudiosocket: {port: abc, prt: 1}\nlimits: {max_calls: 0}\n",
        assistant=5,
    )
    places = ("KAMERTON_WEBB__PORT", "nonsense", "log.level", "audiosocket.port", "audiosocket.prt", "limits")
    for place in (*places, "web", "assistant"):
        assert f"\n  - {place}:" in message
    assert message.count("\n  - ") == 8


def test_every_section_refuses_unknown_names() -> None:
    sections = [name for name, value in load_settings() if hasattr(value, "__dataclass_fields__")]
    sections += [name for name, value in load_settings() if hasattr(value, "model_fields_set")]
    assert {"log", "web", "call", "listening", "limits"} <= set(sections) < set(Settings.model_fields)
    for section in sections:
        told = problems_of(f"{section}: {{no_such_thing: 1}}")
        assert f"{section}.no_such_thing:" in told or f"{section}: Value error, there is no setting 'no_such_" in told


def test_a_list_comes_from_the_environment_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAMERTON_WEB__ALLOWED_HOSTS", '["stand.example.org"]')
    assert load_settings().web.allowed_hosts == ("stand.example.org",)
    monkeypatch.setenv("KAMERTON_WEB__ALLOWED_HOSTS", '["stand.example.org"')
    with pytest.raises(ConfigurationError, match="no list in JSON"):
        load_settings()
