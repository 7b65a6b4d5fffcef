"""What the page says when something is wrong, and that it goes on working."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from call_page import CallPage
from chromium_flags import ALLOWED, FAKE_MICROPHONE, PLAIN_HOST_IS_LOCAL
from playwright.sync_api import expect
from scripted_server import PLAIN_HOST, Line, ScriptedServer

pytestmark = pytest.mark.browser


def test_a_denied_microphone_is_explained_and_samples_still_work(
    new_page: Callable[..., CallPage], server: ScriptedServer
) -> None:
    call_page = new_page(*FAKE_MICROPHONE, "--deny-permission-prompts")
    call_page.open(server.url)
    call_page.call_with_microphone()
    call_page.expect_trouble("microphone-denied", "Нет доступа к микрофону", "разрешите микрофон", "готовую фразу")
    call_page.expect_call("idle")
    call_page.call_without_microphone()
    expect(call_page.page.locator("[role=alert]")).to_be_empty()
    call_page.hang_up()
    call_page.expect_call("idle")
    assert call_page.console_errors == []


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        ("NotFoundError", "microphone-missing", "Подключите микрофон"),
        ("NotReadableError", "microphone-busy", "другая программа"),
        ("TypeError", "unexpected", "Обновите страницу"),
    ],
)
def test_other_microphone_failures_are_told_apart(
    call_page: CallPage, server: ScriptedServer, error: str, code: str, words: str
) -> None:
    call_page.page.add_init_script(
        f"navigator.mediaDevices.getUserMedia = async () => {{ throw new DOMException('no', '{error}'); }};"
    )
    call_page.open(server.url)
    call_page.call_with_microphone()
    call_page.expect_trouble(code, words)
    call_page.expect_call("idle")


def test_an_unprotected_page_says_so_and_samples_work_without_a_worklet(
    new_page: Callable[..., CallPage], server: ScriptedServer
) -> None:
    call_page = new_page(PLAIN_HOST_IS_LOCAL)
    call_page.open(server.url.replace("127.0.0.1", PLAIN_HOST))
    assert call_page.page.evaluate("[isSecureContext, 'audioWorklet' in AudioContext.prototype]") == [False, False]
    call_page.call_with_microphone()
    call_page.expect_trouble("insecure", "https", "localhost")
    call_page.call_without_microphone()
    frames = server.calls[0].frames
    call_page.say("угу")
    call_page.wait_until(lambda: any(max(frame) > 0 for frame in frames), "the phrase arrives")
    call_page.wait_until(lambda: call_page.figure("playedSamples") > 3200, "audio is played")
    call_page.hang_up()
    call_page.expect_call("idle")
    # Chromium says that it leaves out a header here, and that the stand-in for the worklet is old.
    expected = ("Cross-Origin-Opener-Policy", "ScriptProcessorNode")
    assert [text for text in call_page.console_errors if not any(word in text for word in expected)] == []


def test_a_browser_without_web_audio_is_told(call_page: CallPage, server: ScriptedServer) -> None:
    call_page.page.add_init_script("delete window.AudioContext; delete window.webkitAudioContext;")
    call_page.open(server.url)
    call_page.page.get_by_role("button", name="Без микрофона").click()
    call_page.expect_trouble("audio-unsupported", "Обновите браузер")
    call_page.expect_call("idle")


def test_a_server_that_is_down_is_told(new_page: Callable[..., CallPage], server: ScriptedServer) -> None:
    call_page = new_page()
    call_page.open(server.url)
    server.stop()
    call_page.page.get_by_role("button", name="Без микрофона").click()
    call_page.expect_trouble("server-unreachable", "Сервер не отвечает", "./run")
    call_page.expect_call("idle")


def test_a_connection_lost_in_mid_call_is_told(call_page: CallPage, server: ScriptedServer) -> None:
    async def script(line: Line) -> None:
        await line.start()
        await line.tell("transcript", speaker="user", text="сто пять", final=False, turn=1)
        await line.wait_for("user_interrupted")
        await line.close(1011)

    server.script = script
    call_page.open(server.url)
    call_page.call_without_microphone()
    call_page.interrupt()
    call_page.expect_trouble("connection-lost", "оборвалось посреди разговора")
    call_page.expect_call("idle")
    expect(call_page.lines("user").locator("p")).to_have_text("сто пять")
    expect(call_page.page.get_by_role("button", name="Позвонить")).to_be_visible()


def test_a_server_that_falls_silent_is_noticed(call_page: CallPage, server: ScriptedServer) -> None:
    async def script(line: Line) -> None:
        await line.start()
        line.stop_sending()
        await line.wait_for("hang_up")

    server.script = script
    call_page.open(server.url)
    call_page.call_without_microphone()
    call_page.expect_trouble("line-silent", "Сервер замолчал")
    call_page.expect_call("idle")


async def busy_after_start(line: Line) -> None:
    await line.start()
    await line.tell("error_occurred", message="Все линии заняты.", where="admission")
    await line.end("error", "busy")
    await line.close(1013)


async def busy_at_once(line: Line) -> None:
    await line.wait_for("start_demo_call")
    await line.close(1013)


@pytest.mark.parametrize("script", [busy_after_start, busy_at_once])
def test_too_many_calls_are_told(call_page: CallPage, server: ScriptedServer, script: Callable[[Line], object]) -> None:
    server.script = script  # type: ignore[assignment]
    call_page.open(server.url)
    call_page.page.get_by_role("button", name="Без микрофона").click()
    call_page.expect_trouble("lines-busy", "Все линии заняты", "Подождите минуту")
    call_page.expect_call("idle")
    expect(call_page.page.locator("[role=alert] .trouble")).to_have_count(1)


def test_an_error_in_the_call_is_shown_and_the_call_goes_on(call_page: CallPage, server: ScriptedServer) -> None:
    async def script(line: Line) -> None:
        await line.start()
        await line.tell("error_occurred", message="Распознавание не ответило вовремя.", where="stt")
        await line.mind("LISTENING")
        await line.wait_for("hang_up")
        await line.end("caller", "hang_up")

    server.script = script
    call_page.open(server.url)
    call_page.call_without_microphone()
    call_page.expect_trouble("call-error", "Распознавание не ответило вовремя.")
    call_page.expect_mind("LISTENING", "Слушает")
    call_page.hang_up()
    call_page.expect_call("idle")


def test_a_refusal_with_words_is_repeated_to_the_caller(call_page: CallPage, server: ScriptedServer) -> None:
    async def script(line: Line) -> None:
        await line.wait_for("start_demo_call")
        await line.tell("error_occurred", message="Ассистент не настроен", where="start")
        await line.close(1011)

    server.script = script
    call_page.open(server.url)
    call_page.page.get_by_role("button", name="Без микрофона").click()
    call_page.expect_trouble("call-refused", "Ассистент не настроен")
    call_page.expect_call("idle")


def test_a_script_without_answers_stops_with_words(call_page: CallPage, server: ScriptedServer) -> None:
    call_page.page.clock.install()
    call_page.open(server.url)
    call_page.whole_script()
    call_page.expect_call("active")
    for _ in range(7):
        call_page.page.clock.fast_forward(4000)
        call_page.page.wait_for_timeout(150)
    call_page.expect_trouble("no-answer", "слишком долго не отвечает")
    call_page.expect_call("active")
    call_page.hang_up()
    call_page.expect_call("idle")


def test_missing_samples_do_not_stop_a_call(new_page: Callable[..., CallPage], server: ScriptedServer) -> None:
    call_page = new_page(*FAKE_MICROPHONE, *ALLOWED)
    call_page.page.route("**/api/v1/samples", lambda route: route.fulfill(status=404))
    call_page.page.goto(server.url)
    call_page.expect_trouble("samples-missing", "Готовые фразы не загрузились")
    call_page.call_with_microphone()
    call_page.expect_call("active")
    call_page.hang_up()
    call_page.expect_call("idle")


def test_a_sample_that_is_not_audio_is_told(call_page: CallPage, server: ScriptedServer) -> None:
    call_page.page.route("**/uhu.wav", lambda route: route.fulfill(body="not a WAV", content_type="audio/wav"))
    call_page.open(server.url)
    call_page.call_without_microphone()
    call_page.say("угу")
    call_page.expect_trouble("phrase-broken", "выберите другую фразу")
    call_page.say("здравствуйте")
    frames = server.calls[0].frames
    call_page.wait_until(lambda: any(max(frame) > 0 for frame in frames), "another phrase is said")
    call_page.hang_up()
    call_page.expect_call("idle")


def test_the_page_asks_nothing_of_other_hosts(call_page: CallPage, server: ScriptedServer) -> None:
    asked: list[str] = []
    call_page.page.on("request", lambda request: asked.append(request.url))
    call_page.open(server.url)
    assert len(asked) > 5
    assert [url for url in asked if not url.startswith(server.url)] == []
    files = {Path(url).suffix for url in asked}
    assert {".js", ".css", ".svg"} <= files
