"""Which engines a chain opens, and what is told of those that it cannot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from kamerton.config.engine_settings import RecognizerSettings, VoiceSettings
from kamerton.config.engines import open_chain
from kamerton.config.settings import load_settings
from kamerton.domain.errors import ConfigurationError, ModelError
from kamerton.vendors.engine import EngineContext

pytestmark = pytest.mark.anyio


async def opened(voice: dict[str, Any], language: str, folder: Path) -> tuple[list[str], Sequence[str]]:
    notes: list[str] = []
    section = VoiceSettings.model_validate(voice)
    async with open_chain("voice", section, EngineContext(language, folder, progress=notes.append)) as links:
        return [link.name for link in links], notes


async def test_engines_of_the_machine_that_lack_something_are_passed_over_aloud(tmp_path: Path) -> None:
    names, notes = await opened({}, "uk", tmp_path)
    assert names == ["espeak"]
    assert notes[0] == "voice: espeak"
    assert any("piper passed over" in note and "voice_file" in note for note in notes)
    assert any("festival passed over" in note and "it knows ru" in note for note in notes)


async def test_without_festival_its_installation_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    names, notes = await opened({}, "ru", tmp_path)
    assert names == ["espeak"]
    assert any("apt-get install festival festvox-ru" in note for note in notes)


async def test_an_engine_that_is_asked_for_must_open(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"voice\.engine 'piper': no voice file"):
        await opened({"engine": "piper"}, "ru", tmp_path)


async def test_what_is_asked_for_comes_first_and_the_machine_stands_behind(tmp_path: Path) -> None:
    names, notes = await opened({"engine": "espeak"}, "ru", tmp_path)
    assert names[0] == "espeak"
    assert notes[0].startswith("voice: espeak")
    alone, _ = await opened({"engine": ["espeak"], "local_reserve": False}, "ru", tmp_path)
    assert alone == ["espeak"]


async def test_a_language_nobody_speaks_is_refused_with_every_reason(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"'xx'.*piper.*festival.*espeak"):
        await opened({}, "xx", tmp_path)


def test_a_chain_is_written_as_a_name_a_list_or_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    assert VoiceSettings.model_validate({"engine": "espeak, festival"}).chain == ("espeak", "festival", "piper")
    assert RecognizerSettings().chain == ("whisper",)
    monkeypatch.setenv("KAMERTON_VOICE__ENGINE", "espeak")
    monkeypatch.setenv("KAMERTON_RECOGNIZER__WHISPER__THREADS", "2")
    settings = load_settings()
    assert settings.voice.chain[0] == "espeak"
    assert settings.recognizer.options("whisper").threads == 2


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"accounts": {"elevenlab": {}}}, "accounts.elevenlab"),
        ({"recognizer": {"engine": "cloud"}}, "there is no engine 'cloud'; known are onnx, whisper"),
        ({"recognizer": {"whispr": {}}}, "there is no setting 'whispr'; known are engine,"),
        ({"voice": {"engine": "espeak,espeak"}}, "an engine is named twice"),
        ({"voice": {"festival": {"proceses": 1}}}, "voice.festival.proceses"),
    ],
)
def test_unknown_names_are_refused_with_the_known_ones(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load_settings(**values)
    assert told in str(raised.value)
