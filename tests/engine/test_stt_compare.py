"""`kamerton stt compare` end to end: the real Whisper, a small ONNX model, and engines that cannot be opened."""

import json
import shutil
import wave
from dataclasses import dataclass
from pathlib import Path

import pytest
from onnx_graph import tone
from paths import SHARED_AUDIO
from tiny_recognisers import gigaam_ctc, t_one
from typer.testing import CliRunner

from kamerton.cli.main import app
from kamerton.cli.stt import compare_one
from kamerton.domain.errors import ModelError
from kamerton.domain.recognition import SpeechToText
from kamerton.stt.onnx.engine import ENGINE as ONNX
from kamerton.stt.onnx.engine import OnnxOptions
from kamerton.stt.whisper.model_files import prepare_whisper_model
from kamerton.stt.whisper.recognizer import WhisperSpeechToText
from kamerton.testing.comparison.figures import differences, table
from kamerton.testing.comparison.run import Plan
from kamerton.testing.comparison.samples import load_samples
from kamerton.vendors.engine import EngineContext, EngineType

pytestmark = pytest.mark.engine

SOME = ("tomorrow.wav", "try-again.wav", "one-moment.wav", "number-25.wav")


@dataclass(frozen=True, slots=True)
class NoOptions:
    """Nothing to choose."""


async def _open_whisper(options: NoOptions, context: EngineContext) -> SpeechToText:
    return await WhisperSpeechToText.load(prepare_whisper_model(context.data_dir))


async def _missing(options: NoOptions, context: EngineContext) -> SpeechToText:
    raise ModelError("the model is not there: get it")


@pytest.fixture
def some_recordings(tmp_path: Path) -> Path:
    folder = tmp_path / "recordings"
    folder.mkdir()
    for name in (*SOME, "transcripts.tsv"):
        shutil.copy(SHARED_AUDIO / name, folder / name)
    return folder


@pytest.mark.anyio
@pytest.mark.parametrize("real_time", [True, False])
async def test_whisper_is_judged_on_recordings(tmp_path: Path, some_recordings: Path, real_time: bool) -> None:
    samples, _ = load_samples(some_recordings)
    engine = EngineType("whisper", NoOptions, _open_whisper)
    context = EngineContext("ru", tmp_path / "data")
    result = await compare_one(engine, NoOptions(), context, samples, Plan(real_time=real_time))
    assert result.name == "whisper-base"
    assert [hearing.failure for hearing in result.hearings] == [""] * len(SOME)
    assert result.errors.words == 8
    assert result.errors.errors <= 2, differences(result, samples, "ru")
    assert result.entities["numbers"].wanted == 1
    assert (result.cpu_s_per_minute or 0) > 0
    assert all((hearing.final_ms or 0) < 5000 for hearing in result.hearings)
    assert all((hearing.after_speech_ms is not None) == real_time for hearing in result.hearings)
    assert "word error rate" in table([result])


def _tones(folder: Path) -> None:
    folder.mkdir()
    for name, hz, text in (("a", 500, "завтра"), ("b", 2000, "ещё раз")):
        with wave.open(str(folder / f"{name}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes(tone(hz, 0.6, 8000))
        (folder / f"{name}.txt").write_text(text, "utf-8")


@pytest.mark.anyio
async def test_a_local_model_and_an_engine_that_is_missing_stand_side_by_side(tmp_path: Path) -> None:
    _tones(tmp_path / "recordings")
    samples, _ = load_samples(tmp_path / "recordings")
    context = EngineContext("ru", tmp_path)
    heard = await compare_one(ONNX, OnnxOptions("t-one", t_one(tmp_path)), context, samples, Plan(real_time=False))
    missing = await compare_one(EngineType("cloud", NoOptions, _missing), NoOptions(), context, samples, Plan())
    foreign = await compare_one(
        EngineType("english", NoOptions, _missing, languages=("en",)), NoOptions(), context, samples, Plan()
    )
    assert heard.errors.errors == 1
    assert differences(heard, samples, "ru") == ["b.wav: «ещё раз» heard as «ещё»"]
    assert "cloud could not be opened: the model is not there: get it" in table([heard, missing, foreign])
    assert foreign.problem == "it knows en, not 'ru'"


@pytest.fixture
def recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KAMERTON_DATA_DIR", str(tmp_path))
    _tones(tmp_path / "recordings")
    return str(tmp_path / "recordings")


def test_the_command_shows_a_table_and_stores_json(tmp_path: Path, recordings: str) -> None:
    fetched = tmp_path / "models" / "gigaam-v3-ctc"
    fetched.mkdir(parents=True)
    gigaam_ctc(fetched)
    (fetched / "model.json").write_text('{"files": {"v3_vocab.txt": {"size": null}}}', "utf-8")
    command = ["stt", "compare", recordings, "--engine", "onnx", "--fast", "--show", "--json", "told.json"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.stderr
    assert "onnx: 2 of 2, b.wav" in result.stderr
    assert "word error rate" in result.stdout
    assert "b.wav: «ещё раз» heard as «ещё»" in result.stdout
    told = json.loads(Path("told.json").read_text("utf-8"))
    assert told["real_time"] is False
    assert [heard["text"] for heard in told["engines"][0]["recordings"]] == ["завтра", "ещё"]


def test_the_command_fails_when_nothing_could_be_opened(recordings: str) -> None:
    result = CliRunner().invoke(app, ["stt", "compare", recordings, "--engine", "onnx", "--json", "told.json"])
    assert result.exit_code == 1
    assert "onnx could not be opened: the model gigaam-v3-ctc is not there: get it" in result.stdout
    assert json.loads(Path("told.json").read_text("utf-8"))["engines"][0]["recordings"] == []


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--engine", "whispr"], "there is no recogniser 'whispr'; known are"),
        (["--engine", ","], "--engine names none"),
        ([], "holds no WAV with a transcript"),
    ],
)
def test_what_cannot_be_compared_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], problem: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["stt", "compare", str(tmp_path), *(arguments or ["--engine", "onnx"])])
    assert result.exit_code == 1
    assert problem in result.stderr
