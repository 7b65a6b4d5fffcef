"""The recogniser of ONNX models: finds the folder, picks the device, measures the speed, serves calls."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import anyio.to_thread

from kamerton.domain.audio import PHONE, SAMPLE_BYTES
from kamerton.domain.errors import ConfigurationError, ModelError
from kamerton.domain.recognition import RecognitionHint
from kamerton.models.catalogue import CATALOGUE
from kamerton.models.storage import Hold, hold, installed, model_folder
from kamerton.stt.decode_queue import DecodeRequest
from kamerton.stt.local_recognizer import (
    Device,
    DeviceWish,
    LocalSpeechToText,
    PoolSettings,
    Warm,
    devices_to_try,
    undelivered,
    warmed,
)
from kamerton.stt.onnx.decoder import FAMILIES, OnnxDecoder, cuda_works
from kamerton.stt.whole_turn_stream import FINAL_DEADLINE_S

logger = logging.getLogger(__name__)

PROBE_MS: Final = 2000.0
"""A turn of the recordings has 1.9 s on average, its look-back and pause included."""

_PRECISIONS: Final = {"auto": ("", "int8"), "float": ("",), "int8": ("int8",)}


@dataclass(frozen=True, slots=True)
class OnnxSettings:
    """Which model, and how it is run."""

    model: str = "gigaam-v3-ctc"
    """One of `decoder.FAMILIES`."""
    precision: Literal["auto", "float", "int8"] = "auto"
    engines: int = 1
    """Turns decoded at the same time."""
    threads: int = 1
    """Cores that one decode uses."""
    max_calls: int | None = None
    """Calls to promise; by default what the speed measured at the start carries."""
    final_deadline_s: float = FINAL_DEADLINE_S
    """After so long an ended turn fails instead of getting its transcript."""
    device: DeviceWish = "auto"


async def open_onnx(
    settings: OnnxSettings, data_dir: Path, folder: Path | None = None, language: str = "ru"
) -> LocalSpeechToText:
    """Load a model in a thread and have every engine decode a little, which also measures how fast they are.

    Args:
        settings: which model, and how it is run.
        data_dir: where fetched models lie.
        folder: the model's files, or the name of a fetched model; by default the fetched one of the model's name.
        language: of the assistant.

    Raises:
        ConfigurationError: the model does not understand that language.
        ModelError: the model's files are missing or cannot be loaded.
    """
    languages = FAMILIES[settings.model].languages
    if language not in languages:
        raise ConfigurationError(
            f"the model {settings.model} understands {', '.join(languages)}, and the assistant speaks {language}: "
            "choose another recogniser"
        )
    warm, held, found = await anyio.to_thread.run_sync(_opened, settings, data_dir, folder)
    pool = PoolSettings(settings.engines, settings.max_calls, settings.final_deadline_s)
    made = LocalSpeechToText(
        warm, pool, _probe(language), name=f"onnx-{settings.model}", languages=languages, closed=held.release
    )
    figures = {
        "model": settings.model,
        "folder": str(found),
        "device": warm.device,
        "engines": settings.engines,
        "threads": settings.threads,
        "turns_per_s": round(settings.engines / warm.decode_s, 2),
        "max_calls": made.state.max_calls,
    }
    logger.info("the ONNX recogniser is ready", extra=figures)
    return made


def _opened(settings: OnnxSettings, data_dir: Path, wish: Path | None) -> tuple[Warm[OnnxDecoder], Hold, Path]:
    folder = installed_or_named(settings.model, data_dir, wish)
    held = hold(data_dir, folder)
    try:

        def make(device: Device) -> OnnxDecoder:
            return OnnxDecoder(settings.model, folder, _PRECISIONS[settings.precision], settings.threads, device)

        cuda = settings.device != "cpu" and cuda_works()
        devices = devices_to_try(settings.device, cuda=cuda, fix="install onnxruntime-gpu and the card's driver")
        language = FAMILIES[settings.model].languages[0]
        return warmed(make, devices, _probe(language), settings.engines), held, folder
    except BaseException:
        held.release()
        raise


def installed_or_named(model: str, data_dir: Path, wish: Path | None) -> Path:
    """The folder that is meant. Blocking.

    Raises:
        ConfigurationError: the folder's name is that of another model.
        ModelError: the model that is named was not fetched.
    """
    if wish is not None:
        if str(wish) in CATALOGUE and str(wish) != model:
            raise ConfigurationError(
                f"recognizer.onnx.folder names the fetched model {wish}, and recognizer.onnx.model says {model}: "
                f"set model to {wish} and leave folder out"
            )
        return model_folder(data_dir, wish)
    if model not in CATALOGUE:
        raise ModelError(f"set recognizer.onnx.folder to a folder with the files of {model}: it cannot be fetched")
    return installed(data_dir, model)


def _probe(language: str) -> DecodeRequest:
    pcm = bytes(PHONE.samples(PROBE_MS) * SAMPLE_BYTES)
    return DecodeRequest(pcm, PHONE, RecognitionHint(language), undelivered)
