"""The page against the real server: the wire between them, and one whole conversation with the real engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from call_page import CallPage
from chromium_flags import ALLOWED, FAKE_MICROPHONE
from paths import REPO
from playwright.sync_api import expect
from scripted_server import wav
from served import ServedKamerton, served

from kamerton.audio.resampling import resample
from kamerton.audio.wav import read_wav_file
from kamerton.domain.audio import AudioFormat

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

STUDIO = AudioFormat(48000)
PRICE = "13 200 ₽"
CONVERSATION_MS = 120_000


@pytest.fixture(scope="module")
def stand_in_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedKamerton]:
    with served(tmp_path_factory.mktemp("stand-ins"), "--stand-ins") as running:
        yield running


@pytest.fixture(scope="module")
def speaking_microphone(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The flag of a microphone into which somebody says a number every seven seconds."""
    spoken = read_wav_file(REPO / "bench" / "callers" / "number-125.wav")
    pcm = resample(spoken.pcm, spoken.format, STUDIO)
    quiet = np.random.default_rng(1).normal(0.0, 4.0, STUDIO.samples(5000)).astype("<i2").tobytes()
    path = tmp_path_factory.mktemp("microphone") / "number.wav"
    path.write_bytes(wav(quiet + pcm, STUDIO.rate_hz))
    return f"--use-file-for-fake-audio-capture={path}"


def test_a_call_with_the_microphone_is_heard_and_answered(
    new_page: Callable[..., CallPage], stand_in_server: ServedKamerton, speaking_microphone: str
) -> None:
    call_page = new_page(*FAKE_MICROPHONE, *ALLOWED, speaking_microphone)
    call_page.page.goto(stand_in_server.url)
    call_page.call_with_microphone()
    call_page.expect_call("active")
    expect(call_page.lines("user").first).to_contain_text("сто двадцать пять", timeout=20_000)
    expect(call_page.turn(1)).to_be_visible(timeout=20_000)
    expect(call_page.turn(1).locator("[data-mark=t6]")).not_to_have_text("–")
    assert call_page.figure("playedSamples") > 16_000
    assert stand_in_server.figures()["calls"] == 1
    call_page.hang_up()
    call_page.expect_call("idle")
    call_page.wait_until(lambda: stand_in_server.figures()["calls"] == 0, "the call is over on the server")
    assert call_page.console_errors == []


def test_a_page_that_is_closed_ends_its_call(
    new_page: Callable[..., CallPage], stand_in_server: ServedKamerton, speaking_microphone: str
) -> None:
    call_page = new_page(*FAKE_MICROPHONE, *ALLOWED, speaking_microphone)
    call_page.page.goto(stand_in_server.url)
    call_page.call_with_microphone()
    call_page.expect_call("active")
    watching = new_page()
    watching.page.goto(stand_in_server.url)
    watching.wait_until(lambda: stand_in_server.figures()["calls"] == 1, "the call is up")
    call_page.page.close()
    watching.wait_until(lambda: stand_in_server.figures()["calls"] == 0, "the call is over on the server")
    assert "Traceback" not in stand_in_server.log


def test_without_sample_callers_the_page_still_takes_calls(
    new_page: Callable[..., CallPage], stand_in_server: ServedKamerton
) -> None:
    call_page = new_page()
    call_page.page.goto(stand_in_server.url)
    expect(call_page.page.get_by_role("button", name="Весь сценарий")).to_be_disabled()
    call_page.call_without_microphone()
    expect(call_page.lines("bot").first).to_be_visible()
    call_page.hang_up()
    call_page.expect_call("idle")
    assert call_page.console_errors == []


def test_a_stopped_server_ends_the_call_on_the_page(new_page: Callable[..., CallPage], tmp_path: Path) -> None:
    call_page = new_page()
    with served(tmp_path, "--stand-ins") as server:
        call_page.page.goto(server.url)
        call_page.call_without_microphone()
        expect(call_page.lines("bot").first).to_be_visible()
        server.ask_to_stop()
        call_page.expect_call("idle")
        assert server.stop() == 0


def test_the_whole_scenario_with_the_real_engines_ends_with_the_price(
    new_page: Callable[..., CallPage], tmp_path: Path
) -> None:
    call_page = new_page()
    with served(tmp_path) as server:
        call_page.open(server.url)
        call_page.whole_script()
        call_page.expect_call("active")
        expect(call_page.lines("bot").filter(has_text=PRICE).first).to_be_visible(timeout=CONVERSATION_MS)
        call_page.page.screenshot(path=tmp_path / "price.png", full_page=True)
        call_page.expect_call("idle", CONVERSATION_MS)
        call_page.page.screenshot(path=tmp_path / "end.png", full_page=True)
        expect(call_page.page.get_by_role("status").first).to_contain_text("Ассистент завершил звонок")
        (finished,) = server.log_records("call finished")
        assert finished["variables"]["final_price"] == 13200
        family = server.family()
        assert len(family) > 1, "the voice runs in processes of its own"
    assert [process for process in family if psutil.pid_exists(process.pid)] == []
    assert "Traceback" not in server.log
    assert call_page.console_errors == []
