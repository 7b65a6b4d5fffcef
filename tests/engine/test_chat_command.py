"""`kamerton chat`: the brain in text, driven as an author or a script drives it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from paths import REPO, with_prepared_vectors
from typer.testing import CliRunner, Result

from kamerton.cli.chat import app, open_call
from kamerton.config.assistant_folder import load_assistant
from kamerton.config.settings import load_settings
from kamerton.testing.model_server import ModelScript, Rule, serve_model
from kamerton.testing.model_server.server import MODEL_NAME

pytestmark = pytest.mark.engine

UKRAINIAN = str(REPO / "tests" / "data" / "assistants" / "kaviarnia")


@pytest.fixture(scope="module")
def settings_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = with_prepared_vectors(tmp_path_factory.mktemp("chat"))
    path = folder / "kamerton.yaml"
    path.write_text(f"data_dir: '{folder}'", encoding="utf-8")
    return path


def chat(settings_file: Path, said: str | bytes, *options: str) -> Result:
    return CliRunner().invoke(app, ["--config", str(settings_file), *options], input=said)


def test_a_piped_dialogue_reads_like_one_and_ends_with_the_call(settings_file: Path) -> None:
    result = chat(settings_file, "Дві чашки\nтак\nцього вже не чують\n", "--assistant", UKRAINIAN)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "Вітаю! Це кав'ярня «Зерно». Скільки чашок кави вам приготувати?",
        "> Дві чашки",
        "2 чашки, разом 120 ₴. Правильно?",
        "> так",
        "Дякую за замовлення. До побачення!",
    ]


def test_json_gives_one_object_per_exchange(settings_file: Path) -> None:
    result = chat(settings_file, "сто пятьдесят\nоператор\n", "--json")
    greeting, answer, operator = (json.loads(line) for line in result.stdout.splitlines())
    assert greeting["path"] == "greeting"
    assert (answer["intent"], answer["state_before"], answer["state_after"]) == ("answer", "greeting", "ask_drivers")
    assert answer["variables"] == {"engine_power": 150}
    assert operator["action"] == "TRANSFER"
    assert "Сейчас свободных операторов нет" in operator["reply_text"]


def test_explain_shows_how_a_reply_came_about(settings_file: Path) -> None:
    result = chat(settings_file, "Можно ли оплатить с карты?\n", "--explain")
    assert "faq: greeting → greeting" in result.stdout
    assert "prepared answer card_payment" in result.stdout


def test_input_that_is_no_text_is_not_understood_and_nothing_worse(settings_file: Path) -> None:
    result = chat(settings_file, b"\xff\xfe\x00\n\n" + b"a" * 5000 + b"\n")
    assert result.exit_code == 0
    assert result.stdout.count("\n> ") == 3


def test_an_unknown_assistant_is_refused_with_those_that_there_are(settings_file: Path) -> None:
    result = chat(settings_file, "", "--assistant", "nobody")
    assert result.exit_code == 1
    assert "available: insurance" in result.stderr


@pytest.mark.anyio
async def test_what_replaces_a_broken_answer_follows_it_with_a_space(tmp_path: Path) -> None:
    whole = "Погоду я не знаю. Зато знаю дорогу."
    script = ModelScript(rules=(Rule(match=("погод",), answer=whole, cut_after=60),))
    assistant = load_assistant(REPO / "assistants" / "insurance")
    async with serve_model(script) as server:
        settings = load_settings(
            data_dir=with_prepared_vectors(tmp_path),
            model={"engine": "local", "local": {"url": server.base_url, "model": MODEL_NAME}},
        )
        async with open_call(assistant, settings) as call:
            exchange = await call.say("какая сегодня погода в москве")
    written, _, instead = exchange.reply.partition(assistant.phrases["model_failed"])
    assert instead
    assert whole.startswith(written.strip())
    assert written.strip()
    assert written.endswith(" ")
