"""What a start finds out about its services, against a stand-in for one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from kamerton.config.engines import engine_context
from kamerton.config.service_watch import ServiceWatch
from kamerton.config.settings import load_settings
from kamerton.tts.voices.elevenlabs.wire_double import VendorScript, serve_elevenlabs

pytestmark = [pytest.mark.anyio, pytest.mark.socket]

KEY = "sk-of-this-account"


def watch(url: str, told: list[str], folder: Path, **settings: Any) -> ServiceWatch:
    voice = {"engine": "elevenlabs", "elevenlabs": {"url": url}, **settings.pop("voice", {})}
    accounts = {"elevenlabs": {"api_key": KEY}}
    tree = load_settings(voice=voice, accounts=accounts, data_dir=folder, **settings)
    return ServiceWatch(tree, engine_context(tree, "ru", told.append), again_s=0.05)


async def test_services_that_serve_are_told_and_no_longer_looked_at(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    told: list[str] = []
    async with serve_elevenlabs(VendorScript(key=KEY)) as vendor:
        watched = watch(vendor.url, told, tmp_path)
        await watched.run()
    assert watched.troubles == {}
    assert told == ["services: 1 of 1 serve"]
    assert [record.getMessage() for record in caplog.records if record.name.endswith("service_watch")] == [
        "a service serves"
    ]


async def test_a_service_with_this_machine_in_reserve_keeps_no_call_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []
    async with serve_elevenlabs(VendorScript(key="another")) as vendor:
        watched = watch(vendor.url, told, tmp_path)
        await watched.run()
    assert watched.troubles == {}
    assert told == ["services: 0 of 1 serve; not elevenlabs (voice): see the log, or `kamerton ping`"]
    (warning,) = [record for record in caplog.records if record.getMessage() == "a service does not serve"]
    assert warning.__dict__["fix"]
    assert KEY not in caplog.text + str(warning.__dict__)


async def test_without_a_reserve_calls_are_kept_away_until_it_serves(tmp_path: Path) -> None:
    told: list[str] = []
    async with serve_elevenlabs(VendorScript(key="another")) as vendor, anyio.create_task_group() as tasks:
        watched = watch(vendor.url, told, tmp_path, voice={"local_reserve": False})
        tasks.start_soon(watched.run)
        with anyio.fail_after(20):
            while not watched.troubles:
                await anyio.lowlevel.checkpoint()
            assert "elevenlabs" in watched.troubles["voice"]
            vendor.script = replace(vendor.script, key=KEY)
            while watched.troubles:
                await anyio.lowlevel.checkpoint()
    assert told[-1] == "services: 1 of 1 serve"


async def test_nothing_is_sent_when_that_is_not_wanted(tmp_path: Path) -> None:
    told: list[str] = []
    async with serve_elevenlabs(VendorScript(key=KEY)) as vendor:
        await watch(vendor.url, told, tmp_path, warm_up=False).run()
    assert told == []
