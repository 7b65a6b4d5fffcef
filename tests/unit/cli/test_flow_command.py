"""`kamerton flow`: what an author sees of a sound folder and of a broken one."""

from __future__ import annotations

import shutil
from pathlib import Path

from paths import REPO
from typer.testing import CliRunner

from kamerton.cli.flow import app

EXAMPLE = REPO / "tests" / "data" / "assistants" / "kaviarnia"


def test_a_sound_folder_is_summed_up() -> None:
    result = CliRunner().invoke(app, ["check", str(EXAMPLE)])
    assert result.exit_code == 0
    assert "kaviarnia: Кав'ярня «Зерно» (uk)" in result.stdout
    assert "asked cups; computed total" in result.stdout
    assert "ok" in result.stdout


def test_the_configured_folders_are_searched_by_name_and_as_a_whole() -> None:
    assert "states      29" in CliRunner().invoke(app, ["check", "insurance"]).stdout
    assert "insurance: " in CliRunner().invoke(app, ["check"]).stdout


def test_a_broken_folder_fails_with_every_fault(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(EXAMPLE, tmp_path / "kaviarnia"))
    (folder / "data.json").write_text("[", encoding="utf-8")
    (folder / "intents.json").write_text("[", encoding="utf-8")
    result = CliRunner().invoke(app, ["check", str(folder)])
    assert result.exit_code == 1
    assert "2 problems" in result.stdout
    assert "data.json: line 1" in result.stdout
    assert "intents.json: line 1" in result.stdout


def test_one_broken_folder_does_not_hide_the_others(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE, tmp_path / "all" / "kaviarnia")
    (tmp_path / "all" / "broken").mkdir()
    (tmp_path / "all" / "broken" / "assistant.yaml").write_text("name: broken", encoding="utf-8")
    config = tmp_path / "kamerton.yaml"
    config.write_text(f"assistant_folders: ['{tmp_path / 'all'}']", encoding="utf-8")
    result = CliRunner().invoke(app, ["check", "--config", str(config)])
    assert result.exit_code == 1
    assert "assistant 'broken'" in result.stdout
    assert "kaviarnia: Кав'ярня" in result.stdout


def test_an_unknown_name_and_an_empty_place_say_what_to_do(tmp_path: Path) -> None:
    unknown = CliRunner().invoke(app, ["check", "insuranse"])
    assert unknown.exit_code == 1
    assert "did you mean 'insurance'?" in unknown.stderr
    config = tmp_path / "kamerton.yaml"
    config.write_text(f"assistant_folders: ['{tmp_path}']", encoding="utf-8")
    empty = CliRunner().invoke(app, ["check", "--config", str(config)])
    assert empty.exit_code == 1
    assert "give the path of a folder" in empty.stderr


def test_unused_parts_are_noted(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(EXAMPLE, tmp_path / "kaviarnia"))
    phrases = (folder / "phrases.json").read_text(encoding="utf-8")
    (folder / "phrases.json").write_text(phrases.replace('"bye":', '"spare": "Ага.", "bye":'), encoding="utf-8")
    result = CliRunner().invoke(app, ["check", str(folder)])
    assert result.exit_code == 0
    assert "note: phrases.json: nothing says 'spare'" in result.stdout


def test_the_map_is_shown_as_text_and_as_a_diagram() -> None:
    text = CliRunner().invoke(app, ["show", str(EXAMPLE)]).stdout
    assert "order  [start]" in text
    assert "    answer → check" in text
    diagram = CliRunner().invoke(app, ["show", str(EXAMPLE), "--format", "mermaid"]).stdout
    assert diagram.startswith("stateDiagram-v2\n")
    assert "    s0_order --> s2_check: answer" in diagram
    assert "    s3_thanks --> [*]" in diagram
