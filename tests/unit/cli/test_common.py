"""What every command does with an error: a message that says what to do, and an exit code; never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from paths import REPO
from typer.testing import CliRunner

from kamerton.cli.common import explained
from kamerton.cli.main import app
from kamerton.domain.errors import AssistantError, ConfigurationError, ModelError

SAMPLE = str(REPO / "assistants" / "insurance" / "samples" / "yes.wav")


def code_of(error: BaseException) -> int:
    with pytest.raises(typer.Exit) as ended, explained():
        raise error
    return ended.value.exit_code


def test_an_error_of_ours_is_shown_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of(ConfigurationError("port 1 is taken; set another")) == 1
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "kamerton: port 1 is taken; set another\n")


def test_every_error_that_task_groups_wrapped_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    inner = BaseExceptionGroup("inner", [ModelError("no voice"), AssistantError("broken", ("no phrases", "no map"))])
    assert code_of(BaseExceptionGroup("outer", [ConfigurationError("no port"), inner])) == 1
    shown = capsys.readouterr().err
    for told in ("kamerton: no port\n", "kamerton: no voice\n", "'broken': 2 problems", "- no phrases", "- no map"):
        assert shown.count(told) == 1


def test_a_group_with_a_foreign_error_is_not_hidden() -> None:
    with pytest.raises(ExceptionGroup) as raised, explained():
        raise ExceptionGroup("both", [ConfigurationError("ours"), ZeroDivisionError("theirs")])
    assert raised.value.subgroup(ZeroDivisionError) is not None


def test_a_foreign_error_passes() -> None:
    with pytest.raises(ZeroDivisionError), explained():
        raise ZeroDivisionError


def test_ctrl_c_ends_with_the_code_that_shells_expect() -> None:
    assert code_of(KeyboardInterrupt()) == 130


def test_success_passes() -> None:
    with explained():
        pass


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["call", "nowhere.wav"], "nowhere.wav"),
        (["call", f"{SAMPLE}@soon"], "soon"),
        (["call", str(Path(__file__))], "test_common.py"),
        (["call", "--report", "no/such/folder/report.json", SAMPLE], "a folder that exists"),
        (["call", "--out", ".", SAMPLE], "cannot be written"),
        (["call", "--assistant", "insurence", SAMPLE], "available: insurance"),
        (["call", "--config", "nowhere.yaml", SAMPLE], "nowhere.yaml does not exist"),
        (["serve", "--config", "nowhere.yaml"], "nowhere.yaml does not exist"),
        (["serve", "--max-calls", "0"], "set max_calls to 1 or more"),
        (["serve", "--log-level", "loud"], "log.level"),
        (["serve", "--port", "70000"], "set 0 to 65535"),
        (["serve", "--assistant", "insurence"], "available: insurance"),
        (["prepare", "--config", "nowhere.yaml"], "nowhere.yaml does not exist"),
    ],
)
def test_what_a_command_cannot_use_is_named(arguments: list[str], told: str) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert told in result.stderr.replace("\n", " ")
    assert isinstance(result.exception, SystemExit)


def test_help_lists_every_command() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    for command in ("serve", "prepare", "call", "bench", "flow", "chat"):
        assert command in result.stdout
