"""A call on the page: states, words, marks, buttons."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from call_page import CallPage
from playwright.sync_api import expect
from scripted_server import Line, ScriptedServer, peak, tone

pytestmark = pytest.mark.browser

ANSWERS = ["Сколько водителей?", "Возраст младшего водителя?", "Всё верно?", "Стоимость 13 200 рублей.", "До свидания!"]
SCRIPT_TEXTS = ["сто пятьдесят", "два", "двадцать пять", "да, всё верно", "спасибо, до свидания"]
METRICS = {
    "path": "scenario",
    "intent": "answer",
    "confidence": 0.97,
    "entities": {"number": 150},
    "state_before": "ask_power",
    "state_after": "ask_drivers",
    "outcome": "played",
    "ended_because": "complete",
    "marks": {"t1": 9.0, "t_eos": 10.0, "t2": 10.21, "t3": 10.212, "t5_cache": 10.219, "t6": 10.24},
    "response_ms": 240.4,
}


async def quote(line: Line) -> None:
    await line.start()
    await line.speak("Здравствуйте! Какая мощность двигателя?", 0)
    for index, (said, answer) in enumerate(zip(SCRIPT_TEXTS, ANSWERS, strict=True), start=1):
        await line.wait_for_speech()
        await line.tell("transcript", speaker="user", text=said.split()[0], final=False, turn=index)
        for state in ("ANALYZING_SPEECH", "CHECKING_CACHE", "ROUTING_TO_LLM", "GENERATING_SPEECH"):
            await line.mind(state, f"подробности {state}")
        await line.tell("transcript", speaker="user", text=said, final=True, turn=index)
        await line.speak(answer, index, 0.3)
        await line.tell("turn_metrics", **METRICS, index=index, user_text=said, reply_text=answer, heard_text=answer)
    await line.end()
    await line.close(1000)


def test_a_sample_caller_walks_the_whole_scenario(call_page: CallPage, server: ScriptedServer) -> None:
    server.script = quote
    call_page.open(server.url)
    expect(call_page.page.locator("#assistant")).to_have_text("Страховая компания «Камертон»")
    call_page.record_states()
    call_page.whole_script()
    call_page.expect_call("active")
    call_page.expect_call("idle", 40_000)

    expect(call_page.lines("bot")).to_have_count(6)
    assert [line.strip() for line in call_page.page.locator("#dialogue li.user p").all_inner_texts()] == SCRIPT_TEXTS
    expect(call_page.page.locator("#dialogue .partial")).to_have_count(0)
    seen = call_page.states()
    one_turn = ["ANALYZING_SPEECH", "CHECKING_CACHE", "ROUTING_TO_LLM", "GENERATING_SPEECH", "SPEAKING", "LISTENING"]
    assert seen == ["IDLE", "SPEAKING", "LISTENING", *one_turn * 5, "IDLE"]
    expect(call_page.page.get_by_role("status").first).to_contain_text("Ассистент завершил звонок")
    assert server.calls[0].payloads("start_demo_call") == [{"user_name": ""}]


def test_marks_are_shown_in_milliseconds_from_the_end_of_speech(call_page: CallPage, server: ScriptedServer) -> None:
    async def script(line: Line) -> None:
        await line.start()
        await line.tell("turn_metrics", index=0, path="greeting", reply_text="Здравствуйте", marks={"t6": 8.0})
        await line.tell("turn_metrics", **METRICS, index=1, user_text="сто пятьдесят", reply_text="Сколько водителей?")
        await line.wait_for("hang_up")
        await line.end("caller", "hang_up")

    server.script = script
    call_page.open(server.url)
    call_page.call_without_microphone()
    row = call_page.turn(1)
    expect(row).to_contain_text("«сто пятьдесят»")
    names = ("t1", "t_eos", "t2", "t3", "t4", "t5", "t6")
    marks = {name: row.locator(f"[data-mark={name}]").inner_text() for name in names}
    assert marks == {"t1": "−1000", "t_eos": "0", "t2": "+210", "t3": "+212", "t4": "–", "t5": "+219", "t6": "+240"}
    expect(row.locator("[data-mark=response]")).to_have_text("240 мс")
    expect(row.locator(".path")).to_have_text("сценарий")
    expect(row.locator(".ending")).to_have_text("ответ полный")
    expect(call_page.turn(0).locator("[data-mark=response]")).to_have_text("–")
    expect(call_page.turn(0).locator("[data-mark=t6]")).to_have_text("–")
    expect(call_page.page.locator("#thought")).to_contain_text("answer, 97 %")
    expect(call_page.page.locator("#thought")).to_contain_text("ask_power → ask_drivers")
    call_page.hang_up()
    call_page.expect_call("idle")
    expect(call_page.page.get_by_role("status").first).to_contain_text("Вы завершили звонок")


def test_words_in_progress_are_greyed_and_replaced(call_page: CallPage, server: ScriptedServer) -> None:
    async def script(line: Line) -> None:
        await line.start()
        await line.mind("ANALYZING_SPEECH", "слышу число")
        await line.tell("transcript", speaker="user", text="сто", final=False, turn=1)
        await line.wait_for("user_interrupted")
        await line.tell("transcript", speaker="user", text="сто <b>пятьдесят</b>", final=True, turn=1)
        await line.tell("llm_text_chunk", chunk="Понял, ")
        await line.tell("llm_text_chunk", chunk="сто пятьдесят.")
        await line.wait_for("hang_up")

    server.script = script
    call_page.open(server.url)
    call_page.call_without_microphone()
    line = call_page.lines("user")
    expect(line).to_have_class("user partial")
    expect(line.locator("p")).to_have_text("сто")
    call_page.expect_mind("ANALYZING_SPEECH", "Разбирает речь")
    expect(call_page.page.locator("#mind-details")).to_have_text("слышу число")
    call_page.interrupt()
    expect(line).to_have_class("user")
    expect(line.locator("p")).to_have_text("сто <b>пятьдесят</b>")
    expect(call_page.page.locator("#reply")).to_have_text("Понял, сто пятьдесят.")
    expect(call_page.page.locator("#announcer")).to_have_text("Вы: сто <b>пятьдесят</b>")
    call_page.hang_up()


def test_a_reply_that_was_cut_shows_what_was_heard(call_page: CallPage, server: ScriptedServer) -> None:
    whole, heard = "Стоимость полиса тринадцать тысяч двести рублей.", "Стоимость полиса"

    async def script(line: Line) -> None:
        await line.start()
        await line.mind("SPEAKING")
        await line.tell("transcript", speaker="bot", text=whole, final=False, turn=1)
        line.queue(tone(440, 5))
        await line.wait_for_speech()
        await line.clear_audio()
        await line.tell("transcript", speaker="bot", text=heard, final=True, turn=1)
        await line.tell("barge_in", verdict="yielded", onset_at_s=5.0, ducked_at_s=5.08, silenced_at_s=5.24, text="")
        cut = {**METRICS, "outcome": "cut", "path": "faq"}
        await line.tell("turn_metrics", **cut, index=1, user_text="", reply_text=whole, heard_text=heard)
        await line.wait_for("hang_up")
        await line.end("caller", "hang_up")

    server.script = script
    call_page.open(server.url)
    call_page.call_without_microphone()
    call_page.wait_until(lambda: call_page.figure("playedSamples") > 8000, "the reply is heard")
    call_page.say("угу")
    line = call_page.lines("bot")
    expect(line.locator(".cut-mark")).to_be_visible()
    expect(line.locator("p > span")).to_have_text(heard)
    expect(line.locator("del")).to_have_text(whole.removeprefix(heard))
    expect(call_page.page.locator("#dialogue .note")).to_contain_text("через 240 мс")
    expect(call_page.turn(1)).to_contain_text("перебит")
    call_page.hang_up()
    call_page.expect_call("idle")


def test_a_reply_written_while_it_is_said_is_cut_by_its_record(call_page: CallPage, server: ScriptedServer) -> None:
    first, second = "Нужен паспорт.", "И права."

    async def script(line: Line) -> None:
        await line.start()
        await line.tell("transcript", speaker="bot", text=first, final=False, turn=4)
        await line.tell("transcript", speaker="bot", text=first, final=True, turn=4)
        cut = {**METRICS, "outcome": "cut", "reply_text": f"{first} {second}", "heard_text": first}
        await line.tell("turn_metrics", **cut, index=2)
        await line.wait_for("hang_up")
        await line.end("caller", "hang_up")

    server.script = script
    call_page.open(server.url)
    call_page.call_without_microphone()
    expect(call_page.lines("bot").locator("p > span")).to_have_text(first)
    expect(call_page.lines("bot").locator("del")).to_have_text(second)
    call_page.hang_up()
    call_page.expect_call("idle")


def test_words_of_a_turn_that_went_on_are_shown_once(call_page: CallPage, server: ScriptedServer) -> None:
    async def script(line: Line) -> None:
        await line.start()
        await line.mind("ANALYZING_SPEECH", "open")
        await line.tell("transcript", speaker="user", text="сто", final=False, turn=1)
        await line.tell("transcript", speaker="user", text="сто пятьдесят", final=False, turn=2)
        await line.tell("transcript", speaker="user", text="сто пятьдесят", final=True, turn=2)
        await line.wait_for("hang_up")
        await line.end("caller", "hang_up")

    server.script = script
    call_page.open(server.url)
    call_page.call_without_microphone()
    expect(call_page.lines("user").locator("p")).to_have_text(["сто пятьдесят"])
    expect(call_page.page.locator("#mind-details")).to_have_text("Ход закончен: не договорено")
    call_page.hang_up()
    call_page.expect_call("idle")


def test_a_phrase_can_wait_for_its_turn(call_page: CallPage, server: ScriptedServer) -> None:
    async def script(line: Line) -> None:
        await line.start()
        await line.speak("Здравствуйте!", 0, 1.0)
        await line.wait_for("hang_up")
        await line.end("caller", "hang_up")

    server.script = script
    call_page.open(server.url)
    call_page.page.get_by_label("дождаться, пока ассистент договорит").check()
    call_page.say("повторите, пожалуйста")
    call_page.expect_call("active")
    expect(call_page.page.locator("#queue")).to_have_text("Дальше: «повторите, пожалуйста»")
    call_page.expect_mind("LISTENING", "Слушает")
    frames = server.calls[0].frames
    assert all(peak(frame) < 50 for frame in frames[:45])
    call_page.wait_until(lambda: any(peak(frame) > 5000 for frame in frames), "the phrase is said")
    expect(call_page.page.locator("#queue")).to_be_empty()
    call_page.hang_up()
    call_page.expect_call("idle")


def test_the_page_works_from_the_keyboard_on_a_phone(new_page: Callable[..., CallPage], server: ScriptedServer) -> None:
    call_page = new_page(width=390, height=844)
    call_page.open(server.url)
    call_page.page.get_by_role("button", name="Без микрофона").focus()
    call_page.page.keyboard.press("Enter")
    call_page.expect_call("active")
    assert call_page.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    call_page.page.get_by_role("button", name="Завершить").focus()
    call_page.page.keyboard.press("Space")
    call_page.expect_call("idle")
    assert call_page.console_errors == []
