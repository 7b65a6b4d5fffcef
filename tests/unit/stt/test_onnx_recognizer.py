"""What the ONNX recogniser loads, what it says when it cannot, and that it never asks the network."""

import json
import shutil
import socket
from pathlib import Path
from typing import get_args

import pytest
from onnx_graph import tone
from pydantic import TypeAdapter
from tiny_recognisers import gigaam_ctc, t_one, whisper

from kamerton.domain.audio import PHONE, AudioFormat
from kamerton.domain.errors import ConfigurationError, EngineError, ModelError
from kamerton.domain.recognition import RecognitionHint
from kamerton.models.storage import in_use, models_folder
from kamerton.stt.decode_queue import DecodeRequest
from kamerton.stt.local_recognizer import undelivered
from kamerton.stt.onnx.decoder import FAMILIES, OnnxDecoder
from kamerton.stt.onnx.engine import ENGINE, OnnxModel, OnnxOptions
from kamerton.stt.onnx.recognizer import OnnxSettings, open_onnx
from kamerton.stt.whisper.readings import Transcript
from kamerton.vendors.engine import EngineContext
from kamerton.vendors.registry import RECOGNIZERS, engines_in


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def _request(pcm: bytes, language: str = "ru", audio_format: AudioFormat = PHONE) -> DecodeRequest:
    return DecodeRequest(pcm, audio_format, RecognitionHint(language), undelivered)


def _decoder(model: str, folder: Path, *precisions: str) -> OnnxDecoder:
    return OnnxDecoder(model, folder, precisions or ("", "int8"), 1, "cpu")


def test_it_is_registered_and_knows_every_kind_of_model() -> None:
    assert engines_in(RECOGNIZERS)["onnx"] is ENGINE
    assert set(get_args(OnnxModel)) == set(FAMILIES)
    assert ENGINE.options() == OnnxOptions()
    assert not ENGINE.is_service


@pytest.mark.parametrize("version", ["v2", "v3"])
def test_both_versions_of_gigaam_are_read_with_their_own_features(tmp_path: Path, version: str) -> None:
    gigaam_ctc(tmp_path, stem=f"{version}_ctc", vocabulary=f"{version}_vocab.txt", version=version)
    heard = _decoder(f"gigaam-{version}-ctc", tmp_path).decode(_request(tone(500, 0.5, 8000) + tone(2000, 0.5, 8000)))
    assert heard.text == "завтра ещё"
    assert 0.5 < heard.confidence <= 1


def test_the_spoken_and_written_kind_has_files_of_its_own(tmp_path: Path) -> None:
    gigaam_ctc(tmp_path, stem="v3_e2e_ctc", vocabulary="v3_e2e_ctc_vocab.txt")
    assert _decoder("gigaam-v3-e2e-ctc", tmp_path).decode(_request(tone(500, 0.5, 8000))).text == "завтра"


@pytest.mark.parametrize("model", ["gigaam-v3-ctc", "t-one", "whisper"])
@pytest.mark.parametrize("size", [0, 2, 320, 1601, 16000])
def test_silence_and_scraps_of_it_are_no_words(tmp_path: Path, model: str, size: int) -> None:
    build = {"gigaam-v3-ctc": gigaam_ctc, "t-one": t_one, "whisper": whisper}[model]
    assert _decoder(model, build(tmp_path)).decode(_request(bytes(size))) == Transcript()


def test_the_smaller_files_are_taken_where_the_others_are_missing(tmp_path: Path) -> None:
    gigaam_ctc(tmp_path, stem="v3_ctc.int8")
    assert _decoder("gigaam-v3-ctc", tmp_path).decode(_request(tone(500, 0.5, 8000))).text == "завтра"
    with pytest.raises(ModelError, match=r"the model gigaam-v3-ctc is not whole: File 'v\?_ctc.onnx' not found"):
        _decoder("gigaam-v3-ctc", tmp_path, "")


def test_another_language_can_never_be_decoded(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="asked for language 'uk', it knows ru"):
        _decoder("t-one", t_one(tmp_path)).decode(_request(tone(500, 0.5, 8000), "uk"))


def test_whisper_is_told_the_language(tmp_path: Path) -> None:
    assert _decoder("whisper", whisper(tmp_path)).decode(_request(tone(1000, 0.5, 8000), "uk")).text == "попробуйте"


def test_a_missing_file_says_how_to_get_it(tmp_path: Path) -> None:
    (gigaam_ctc(tmp_path) / "v3_vocab.txt").unlink()
    with pytest.raises(ModelError, match=r"File 'v\?_vocab.txt' not found .*`kamerton models get gigaam-v3-ctc`"):
        _decoder("gigaam-v3-ctc", tmp_path)
    with pytest.raises(ModelError, match=r"there is no folder .*missing with the model whisper: put its files there"):
        _decoder("whisper", tmp_path / "missing")


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    (t_one(tmp_path) / "model.onnx").write_bytes(b"no network")
    with pytest.raises(ModelError, match=r"the model t-one in .* cannot be loaded on cpu"):
        _decoder("t-one", tmp_path)


def _fetched(data_dir: Path) -> None:
    """T-one as if it had been fetched, its weights as long as the real ones."""
    folder = models_folder(data_dir) / "t-one"
    folder.mkdir(parents=True)
    t_one(folder)
    size = (folder / "model.onnx").stat().st_size
    (folder / "model.json").write_text(json.dumps({"files": {"model.onnx": {"size": size}}}), "utf-8")


FETCHED = {"model": OnnxOptions("t-one"), "folder": OnnxOptions("t-one", Path("t-one"))}


@pytest.mark.anyio
@pytest.mark.parametrize(
    "options", [OnnxOptions("t-one"), OnnxOptions("t-one", Path("t-one"))], ids=["model", "folder"]
)
async def test_a_fetched_model_is_found_by_its_name_and_held_while_it_is_open(
    tmp_path: Path, options: OnnxOptions, caplog: pytest.LogCaptureFixture
) -> None:
    _fetched(tmp_path)
    caplog.set_level("INFO")
    stt = await ENGINE.open(options, EngineContext("ru", tmp_path))
    assert stt.name == "onnx-t-one"
    assert stt.capabilities.languages == ("ru",)
    assert in_use(tmp_path, "t-one")
    ready = next(record for record in caplog.records if record.message == "the ONNX recogniser is ready")
    assert ready.__dict__["device"] == "cpu"
    await stt.aclose()
    assert not in_use(tmp_path, "t-one")


@pytest.mark.anyio
async def test_a_model_that_was_not_fetched_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="get it with `kamerton models get gigaam-v3-ctc`"):
        await ENGINE.open(OnnxOptions(), EngineContext("ru", tmp_path))
    with pytest.raises(ModelError, match=r"set recognizer.onnx.folder to a folder with the files of gigaam-v2-rnnt"):
        await ENGINE.open(OnnxOptions("gigaam-v2-rnnt"), EngineContext("ru", tmp_path))


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["t-one", "whisper-small"])
async def test_a_folder_that_names_another_model_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"names the fetched model {name}, .* says gigaam-v3-ctc: set model"):
        await ENGINE.open(OnnxOptions(folder=Path(name)), EngineContext("ru", tmp_path))


@pytest.mark.anyio
async def test_an_assistant_of_another_language_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="t-one understands ru, and the assistant speaks uk"):
        await ENGINE.open(OnnxOptions("t-one"), EngineContext("uk", tmp_path))


@pytest.mark.anyio
async def test_a_card_that_is_wished_for_and_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no graphics card can be used here: install onnxruntime-gpu"):
        await open_onnx(OnnxSettings("t-one", device="cuda"), tmp_path, t_one(tmp_path))


@pytest.mark.anyio
async def test_what_it_can_carry_is_measured_or_told(tmp_path: Path) -> None:
    folder = t_one(tmp_path)
    measured = await open_onnx(OnnxSettings("t-one"), tmp_path, folder)
    told = await open_onnx(OnnxSettings("t-one", max_calls=3), tmp_path, folder)
    assert (measured.state.max_calls or 0) >= 1
    assert told.state.max_calls == 3
    for stt in (measured, told):
        await stt.aclose()
        await stt.aclose()


def test_no_folder_is_no_setting() -> None:
    assert TypeAdapter(OnnxOptions).validate_python({"model": "t-one", "engines": "2"}) == OnnxOptions(
        "t-one", engines=2
    )
    with pytest.raises(ConfigurationError, match=r"recognizer.onnx.folder names no folder"):
        OnnxOptions(folder=Path())


def test_two_versions_in_one_folder_are_told(tmp_path: Path) -> None:
    gigaam_ctc(tmp_path)
    shutil.copy(tmp_path / "v3_ctc.onnx", tmp_path / "v2_ctc.onnx")
    with pytest.raises(ModelError, match="more than 1 file"):
        _decoder("gigaam-v3-ctc", tmp_path)
