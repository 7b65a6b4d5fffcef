"""`kamerton models` as a person uses it, against a small hub."""

import hashlib
import signal
import subprocess
import sys
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import cast

import pytest
from anyio.from_thread import start_blocking_portal
from typer.testing import CliRunner

from kamerton.cli.main import app
from kamerton.cli.models import mentions, progress_text
from kamerton.models.catalogue import CATALOGUE, CatalogueModel, ModelFile
from kamerton.models.fetching import Step
from kamerton.models.storage import hold, installed, models_folder, staging_folder
from kamerton.testing.file_hub import FileHub, HubFault, HubFile, serve_files

pytestmark = pytest.mark.socket

WEIGHTS = bytes(range(256)) * 12_000
TINY = CatalogueModel(
    name="tiny",
    kind="onnx",
    repository="owner/tiny",
    revision="v1",
    files=(ModelFile("model.onnx", len(WEIGHTS), "sha256:" + hashlib.sha256(WEIGHTS).hexdigest()),),
    languages=("ru",),
    licence="MIT",
    good_for="tests",
    setting="recognizer: {engine: onnx, onnx: {model: tiny}}",
)


@pytest.fixture
def hub() -> Iterator[FileHub]:
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(serve_files()) as hub:
        hub.files = {"owner/tiny/model.onnx": HubFile(WEIGHTS)}
        yield hub


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KAMERTON_DATA_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(cast(MutableMapping[str, CatalogueModel], CATALOGUE), "tiny", TINY)
    return tmp_path


def _run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["models", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_a_model_is_listed_fetched_and_removed(hub: FileHub, data_dir: Path) -> None:
    assert "tiny                           3.1 MB  ru      can be fetched" in _run("list")[1]
    code, told, progress = _run("get", "tiny", "--base-url", hub.url)
    assert code == 0, progress
    assert "tiny is ready. To use it:\n\n    recognizer: {engine: onnx, onnx: {model: tiny}}" in told
    assert "kamerton: tiny: 3.1 MB of 3.1 MB (100 %)" in progress
    assert (installed(data_dir, "tiny") / "model.onnx").read_bytes() == WEIGHTS
    assert "tiny                           3.1 MB  ru      here" in _run("list")[1]
    assert "tiny was there already" in _run("get", "tiny", "--base-url", hub.url)[1]
    code, told, _ = _run("remove", "tiny")
    assert (code, told) == (0, "tiny is removed, 3.1 MB are free again.\n")
    assert _run("remove", "tiny")[1] == "tiny was not here.\n"


def test_a_part_is_listed_and_a_failure_says_what_to_do(hub: FileHub, data_dir: Path) -> None:
    hub.faults = [HubFault("cut", after=1_000_000), HubFault("status", status=404)]
    code, told, problem = _run("get", "tiny", "--base-url", hub.url)
    assert (code, told) == (1, "")
    assert "trying again in 1 s" in problem
    assert "the catalogue of this version may be out of date" in problem
    assert "1.0 MB of it are here; `get` goes on" in _run("list")[1]


def test_a_name_that_is_none_is_told(data_dir: Path) -> None:
    code, _, problem = _run("get", "gigaam")
    assert code == 1
    assert "there is no model 'gigaam'; `kamerton models list` shows them" in problem


def test_a_model_that_a_process_has_open_is_not_removed(hub: FileHub, data_dir: Path) -> None:
    _run("get", "tiny", "--base-url", hub.url)
    held = hold(data_dir, installed(data_dir, "tiny"))
    code, _, problem = _run("remove", "tiny")
    assert code == 1
    assert "the model tiny is open in a running process: stop that one first" in problem
    held.release()
    assert _run("remove", "tiny")[0] == 0


def test_ctrl_c_keeps_what_came(hub: FileHub, data_dir: Path) -> None:
    hub.faults = [HubFault("stall", after=2_000_000)]
    program = (
        # What is started in the background of a script, as these tests may be, ignores Ctrl-C; a command at a terminal
        # does not.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from kamerton.models.catalogue import *; import sys\n"
        f"CATALOGUE['tiny'] = CatalogueModel('tiny', 'onnx', 'owner/tiny', 'v1', "
        f"(ModelFile('model.onnx', {len(WEIGHTS)}, {TINY.files[0].digest!r}),), ('ru',), 'MIT', 'tests', '')\n"
        "from kamerton.cli.main import main\n"
        f"sys.argv = ['kamerton', 'models', 'get', 'tiny', '--base-url', {hub.url!r}]; main()"
    )
    with subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True) as command:
        assert command.stderr is not None
        assert " of 3.1 MB (" in command.stderr.readline()
        command.send_signal(signal.SIGINT)
        rest = command.communicate(timeout=20)[1]
    assert command.returncode == 130
    assert rest == "kamerton: stopped; what came of tiny is kept, the same command goes on from there\n"
    kept = (staging_folder(data_dir, "tiny") / "model.onnx.partial").stat().st_size
    assert kept >= 1 << 20
    assert _run("get", "tiny", "--base-url", hub.url)[0] == 0
    assert hub.reads()[-1].headers["range"] == f"bytes={kept}-"


def test_the_settings_that_name_a_model_are_found(tmp_path: Path) -> None:
    models = models_folder(tmp_path)
    settings = {
        "recognizer": {"whisper": {"model": "tiny"}, "onnx": {"folder": models / "tiny"}},
        "voice": {"piper_voice": models / "tiny" / "voice.onnx", "other": "tiny-er", "none": None},
    }
    found = ["recognizer.whisper.model", "recognizer.onnx.folder", "voice.piper_voice"]
    assert list(mentions(settings, "tiny", models)) == found


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (0.0, "tiny: 12.0 MB of 1.50 GB (1 %)"),
        (2e6, "tiny: 12.0 MB of 1.50 GB (1 %), 2.0 MB/s, 12:24 left"),
    ],
)
def test_progress_tells_bytes_rate_and_time_left(rate: float, text: str) -> None:
    assert progress_text("tiny", Step("model.bin", 12_000_000, 1_500_000_000, 12_000_000), rate) == text
