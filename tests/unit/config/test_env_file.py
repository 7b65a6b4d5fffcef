"""`.env` is read, and `.env.example` names what there is to be set."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from paths import REPO
from pydantic import BaseModel, SecretStr

from kamerton.config.settings import Settings, load_settings
from kamerton.domain.errors import ConfigurationError

EXAMPLE = REPO / ".env.example"


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(text: str) -> None:
    Path(".env").write_text(text, encoding="utf-8")


def test_variables_are_read_from_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    write("KAMERTON_LOG__LEVEL=debug\nKAMERTON_VOICE__ENGINE=piper,espeak\nOTHER_TOOL=1\n")
    settings = load_settings()
    assert (settings.log.level, settings.voice.engine) == ("debug", ("piper", "espeak"))
    monkeypatch.setenv("KAMERTON_LOG__LEVEL", "error")
    assert load_settings().log.level == "error"


def test_it_wins_over_the_settings_file() -> None:
    Path("kamerton.yaml").write_text("log: {level: warning, format: console}", encoding="utf-8")
    write("KAMERTON_LOG__LEVEL=debug\n")
    settings = load_settings()
    assert (settings.log.level, settings.log.format) == ("debug", "console")


def test_a_slip_of_the_pen_in_it_is_told() -> None:
    write("KAMERTON_VOICES__ENGINE=piper\n")
    with pytest.raises(ConfigurationError, match="KAMERTON_VOICES__ENGINE: there is no setting 'voices'"):
        load_settings()


def test_one_that_is_no_text_is_told() -> None:
    Path(".env").write_bytes(b"KAMERTON_ASSISTANT=\xff\xfe\n")
    with pytest.raises(ConfigurationError, match=r"\.env cannot be read"):
        load_settings()


def test_a_secret_in_it_is_shown_nowhere() -> None:
    write("KAMERTON_ACCOUNTS__OPENAI__API_KEY=sk-secret\n")
    settings = load_settings()
    assert settings.accounts.model_dump()["openai"]["api_key"].get_secret_value() == "sk-secret"
    assert "sk-secret" not in repr(settings)


def test_the_example_sets_nothing_and_all_of_it_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    write(text)
    assert load_settings().model_dump() == Settings().model_dump()
    values = dict(re.findall(r"^#(KAMERTON_\w+)=(.*)$", text, re.MULTILINE))
    for name, value in values.items():
        monkeypatch.setenv(name, value or "1")
    load_settings()


def test_each_variable_of_the_example_has_its_line_of_help() -> None:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    for before, line in itertools.pairwise(lines):
        if line.startswith("#KAMERTON_"):
            assert before.startswith("# "), line
            assert before.endswith("."), line


def test_the_example_names_every_account_and_every_secret() -> None:
    named = set(re.findall(r"^#(KAMERTON_\w+)=", EXAMPLE.read_text(encoding="utf-8"), re.MULTILINE))
    secrets = {name for name, kind in leaves(Settings()) if "SecretStr" in kind or name.startswith("KAMERTON_ACCOUNTS")}
    assert len(secrets) > 15
    assert secrets - named == set()


def leaves(section: Any, prefix: str = "KAMERTON_") -> Iterator[tuple[str, str]]:
    """Variables of a part of the tree, with their types as they are written."""
    if isinstance(section, BaseModel):
        kinds = {name: str(field.annotation) for name, field in type(section).model_fields.items()}
    else:
        kinds = {field.name: str(field.type) for field in fields(section)}
    for name, kind in kinds.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel) or (is_dataclass(value) and not isinstance(value, SecretStr)):
            yield from leaves(value, f"{prefix}{name.upper()}__")
        else:
            yield f"{prefix}{name.upper()}", kind
