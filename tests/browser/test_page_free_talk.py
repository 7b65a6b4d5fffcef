"""Free talk on the page: a mixed conversation with the real server and a stand-in model, and how it is shown."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from call_page import CallPage
from playwright.sync_api import expect
from scripted_server import Line, ScriptedServer, tone
from served import environment, served

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

ANSWER_MS = 45_000
WEATHER = "какая сегодня погода в москве"
CARD = "можно ли оплатить картой"
LONG = (
    "Погоду я не знаю, зато знаю дорогу. Держите дистанцию и не торопитесь. В дождь тормозной путь растёт вдвое. "
    "В снег он растёт ещё больше. Проверьте давление в шинах и свет фар."
)
SCRIPT = {
    "rules": [
        {"match": "погод", "times": 1, "answer": LONG},
        {"match": "погод", "times": 1, "is_safe": False},
        {"match": "погод", "down": True},
    ]
}
REFUSAL = "На такое я не отвечаю."


@contextmanager
def model_server(folder: Path) -> Iterator[dict[str, str]]:
    """`kamerton model-server` as a process of its own; yields the settings that name it."""
    script = folder / "model.json"
    script.write_text(json.dumps(SCRIPT), encoding="utf-8")
    command = [sys.executable, "-m", "kamerton.cli.main", "model-server", "--port", "0", "--script", str(script)]
    with (folder / "model.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=folder, env=environment(None)
        )
    with process:
        try:
            assert process.stdout is not None
            printed = (re.findall(r"(KAMERTON_MODEL__\w+)=(\S+)", line) for line in process.stdout)
            yield dict(next(found for found in printed if found))
        finally:
            process.terminate()


def test_a_conversation_mixes_model_prepared_answers_and_scenario(
    new_page: Callable[..., CallPage], tmp_path: Path
) -> None:
    call_page = new_page()
    with model_server(tmp_path) as model, served(tmp_path, env=model) as server:
        call_page.open(server.url)
        call_page.call_without_microphone()
        call_page.record_states()
        reply = call_page.page.locator("#reply")
        bot = call_page.lines("bot")
        expect(bot).to_have_count(1)

        call_page.say(WEATHER)
        # The state's question may follow already: the model writes faster than the voice speaks.
        whole = re.compile(f"^{re.escape(LONG)}")
        expect(reply).to_have_text(whole, timeout=ANSWER_MS)
        expect(bot.last.locator("p")).to_have_text(whole, timeout=ANSWER_MS)
        expect(bot.last).to_have_class("bot partial")
        call_page.interrupt()
        expect(bot.last.locator(".cut-mark")).to_be_visible()
        heard = bot.last.locator("p > span").inner_text()
        assert LONG.startswith(heard.strip())
        assert len(heard) < len(LONG)
        assert (heard + bot.last.locator("del").inner_text()).startswith(LONG)
        asked = call_page.turn(1)
        expect(asked.locator(".path")).to_contain_text("языковая модель")
        expect(asked.locator("[data-mark=t4]")).to_contain_text("+")
        assert "ROUTING_TO_LLM" in call_page.states()

        call_page.say(CARD)
        expect(bot.last).to_contain_text("Да, полис можно оплатить", timeout=ANSWER_MS)
        call_page.say(WEATHER)
        expect(bot.last).to_contain_text(REFUSAL, timeout=ANSWER_MS)
        call_page.say(WEATHER)
        call_page.expect_trouble("call-error", "Языковая модель не ответила", "разговор продолжается")
        expect(bot.last).to_contain_text("сейчас ответить не получается")
        call_page.say("сто пятьдесят")
        expect(bot.last).to_have_text(re.compile("Сколько водителей"), timeout=ANSWER_MS)
        call_page.page.screenshot(path=tmp_path / "end.png", full_page=True)
        call_page.hang_up()
        call_page.expect_call("idle")
        assert "Traceback" not in server.log
    assert call_page.console_errors == []


def test_a_line_grows_while_the_model_writes_and_nothing_is_doubled(
    call_page: CallPage, server: ScriptedServer
) -> None:
    question = "Сколько водителей?"

    async def script(line: Line) -> None:
        await line.start()
        await line.tell("bot_mind_state_update", state="ROUTING_TO_LLM", details="какая погода")
        await line.tell("llm_text_chunk", chunk="За окно не смотрю,")
        await line.tell("transcript", speaker="bot", text="За окно не смотрю,", final=False, turn=1)
        await line.tell("transcript", speaker="user", text="угу", final=True, turn=2)
        await line.tell("llm_text_chunk", chunk=" езжайте")
        await line.tell("llm_text_chunk", chunk=" спокойно.")
        await line.wait_for("user_interrupted")
        whole = f"За окно не смотрю, езжайте спокойно. {question}"
        await line.tell("transcript", speaker="bot", text=whole, final=True, turn=1)
        await line.tell("turn_metrics", index=1, path="llm", reply_text=whole, heard_text=whole, outcome="played")
        await line.wait_for("hang_up")
        await line.end("caller", "hang_up")

    server.script = script
    call_page.open(server.url)
    call_page.call_without_microphone()
    written = "За окно не смотрю, езжайте спокойно."
    expect(call_page.lines("bot").locator("p")).to_have_text([written])
    expect(call_page.page.locator("#reply")).to_have_text(written)
    expect(call_page.page.locator("#mind-details")).to_contain_text("модель отвечает на вопрос: «какая погода»")
    call_page.interrupt()
    expect(call_page.lines("bot").locator("p")).to_have_text([f"{written} {question}"])
    expect(call_page.lines("bot")).to_have_class(["bot"])
    expect(call_page.page.locator("#reply")).to_have_text(f"{written} {question}")
    call_page.hang_up()
    call_page.expect_call("idle")


def test_words_of_a_model_that_were_never_said_do_not_stay_for_the_next_reply(
    call_page: CallPage, server: ScriptedServer
) -> None:
    async def script(line: Line) -> None:
        await line.start()
        await line.tell("bot_mind_state_update", state="ROUTING_TO_LLM", details="")
        await line.tell("llm_text_chunk", chunk="Это никто не услышит")
        await line.tell("bot_mind_state_update", state="ROUTING_TO_LLM", details="")
        await line.tell("llm_text_chunk", chunk="А это")
        await line.tell("llm_text_chunk", chunk=" услышат.")
        line.queue(tone(440, 0.2))
        await line.wait_for("hang_up")
        await line.end("caller", "hang_up")

    server.script = script
    call_page.open(server.url)
    call_page.call_without_microphone()
    expect(call_page.page.locator("#reply")).to_have_text("А это услышат.")
    expect(call_page.lines("bot")).to_have_count(0)
    call_page.hang_up()
    call_page.expect_call("idle")


def test_work_ahead_of_a_turns_end_is_told_in_its_row(call_page: CallPage, server: ScriptedServer) -> None:
    hit = {"started": 1, "hit": True, "model_started": 1, "model_hit": True, "saved_ms": 420.4}
    missed = {"started": 2, "hit": False, "model_started": 0, "model_hit": False, "saved_ms": 0.0}
    none = {**missed, "started": 0}

    async def script(line: Line) -> None:
        await line.start()
        for index, record in enumerate((hit, missed, none)):
            await line.tell("turn_metrics", index=index, path="llm", reply_text="Да.", outcome="played", marks={},
                            speculation=record)  # fmt: skip
        await line.wait_for("hang_up")
        await line.end("caller", "hang_up")

    server.script = script
    call_page.open(server.url)
    call_page.call_without_microphone()
    expect(call_page.turn(0).locator(".ahead")).to_have_text("заранее, −420 мс")
    expect(call_page.turn(1).locator(".ahead")).to_have_text("заготовка не подошла")
    expect(call_page.turn(2).locator(".path")).to_have_text("языковая модель")
    call_page.hang_up()
    call_page.expect_call("idle")
