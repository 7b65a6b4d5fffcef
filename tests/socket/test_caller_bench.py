"""`kamerton bench` from end to end, against a scripted server process whose delays are known."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from kamerton.audio.tone import tone
from kamerton.audio.wav import write_wav_file
from kamerton.cli.bench import bench
from kamerton.cli.bench_run import run_step
from kamerton.cli.bench_server import server_under_test
from kamerton.domain.audio import PHONE
from kamerton.domain.errors import EngineError
from kamerton.testing.caller.load import LoadPlan

pytestmark = pytest.mark.socket

SCRIPTED_SERVER = """
import json, sys, threading
from http.server import BaseHTTPRequestHandler, HTTPServer
import anyio
from kamerton.testing.caller.scripted_bot import BotPlan, served

PAGES = {
    "/metrics": b'kamerton_turns_total{path="scenario"} 3.0\\nkamerton_frames_late_total 2.0\\n# HELP x\\n',
    "/api/v1/debug/runtime": json.dumps(
        {"tasks": 4, "rss_bytes": 1, "calls": 0, "gc_pauses_ms": [1.5], "loop_lag_p99_ms": 0.5}
    ).encode(),
}

class Pages(BaseHTTPRequestHandler):
    def do_GET(self):
        body = PAGES[self.path]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass

async def main():
    http = HTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    plan = BotPlan(greeting_s=0.3, reply_s=1.5, reply_after_s=0.4)
    async with served(plan) as (port, bots):
        print("loading models", flush=True)
        print(json.dumps({"ready": True, "audiosocket_port": port, "http_port": http.server_port}), flush=True)
        await anyio.sleep_forever()

anyio.run(main)
"""


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    folder = tmp_path / "callers"
    folder.mkdir()
    noise = np.random.default_rng(1).normal(0, 8, 2400).astype("<i2").tobytes()
    write_wav_file(folder / "word.wav", noise + tone(300.0, 700.0, PHONE, level_dbfs=-15.0) + noise, PHONE)
    return folder


def test_a_run_measures_server_and_callers(tmp_path: Path, recordings: Path) -> None:
    script = tmp_path / "scripted_server.py"
    script.write_text(SCRIPTED_SERVER, encoding="utf-8")
    warm_up = LoadPlan(calls=1, seconds=1.0, ramp_s=0.0)
    plan = LoadPlan(calls=4, seconds=5.0, ramp_s=0.5)
    run = run_step(plan, recordings, serve=(sys.executable, str(script)), warm_up=warm_up, idle_s=0.5)
    figures = run["figures"]
    assert run["calls"] == figures["calls_made"] == 4
    assert figures["turns"] >= 4
    assert figures["missed_turns"] == 0
    assert figures["calls_failed"] == 0
    assert (run["line"]["line"], figures["withheld_frames"], figures["lost_frames"]) == ("clean", 0, 0)
    assert figures["tasks_left"] == 0
    assert figures["cpu_s_per_call_minute"] > 0
    assert figures["memory_mb_before"] > 0
    assert figures["response_ms"]["count"] >= 4
    assert figures["server_counters"] == {"kamerton_turns_total.scenario": 0.0, "kamerton_frames_late_total": 0.0}
    assert figures["server_gc_pause_max_ms"] == 1.5
    assert figures["load"]["core_share"] > 0
    json.dumps(run)


def test_a_bad_line_is_felt_by_a_real_server(recordings: Path) -> None:
    """Stand-in engines, real listening: the callers' phones send only while there is something to hear."""
    warm_up = LoadPlan(calls=1, seconds=1.0, ramp_s=0.0)
    plan = LoadPlan(calls=2, seconds=5.0, ramp_s=0.0, line="mobile")
    run = run_step(plan, recordings, warm_up=warm_up, reply_s=3.0, idle_s=0.5)
    figures = run["figures"]
    assert (run["line"]["line"], run["line"]["echo_db"], run["line"]["dtx"]) == ("mobile", -25.0, True)
    assert (figures["calls_made"], figures["calls_failed"]) == (2, 0)
    assert figures["withheld_frames"] > 50
    assert figures["server_turns"] >= 2
    assert figures["bot_speech_minutes"] > 0.05
    assert figures["cpu_s_per_call_minute"] >= figures["cpu_s_per_call_minute_above_idle"]


def test_a_server_that_fails_to_start_is_told_with_its_last_words() -> None:
    failing = (sys.executable, "-c", "import sys; print('port 9092 is taken', file=sys.stderr); sys.exit(3)")
    with pytest.raises(EngineError, match="port 9092 is taken"), server_under_test(failing):
        pytest.fail("it is not ready")


def test_recordings_that_are_no_use_are_told(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(bench)
    for arguments, message in (
        (["--audio", str(tmp_path)], "holds no WAV file"),
        (["--ladder", "10,x"], "such as 10,50,100,200"),
    ):
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 1
        assert message in done.output
