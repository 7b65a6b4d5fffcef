"""ONNX models as an engine that the settings can name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field

from kamerton.domain.errors import ConfigurationError
from kamerton.domain.recognition import SpeechToText
from kamerton.stt.decoding_engines import decoding_engines
from kamerton.vendors.engine import EngineContext, EngineType

OnnxModel = Literal[
    "gigaam-v2-ctc",
    "gigaam-v2-rnnt",
    "gigaam-v3-ctc",
    "gigaam-v3-rnnt",
    "gigaam-v3-e2e-ctc",
    "gigaam-v3-e2e-rnnt",
    "t-one",
    "whisper",
    "whisper-ort",
]
"""`whisper` is the layout of the `onnx-community` repositories, `whisper-ort` that of ONNX Runtime's own export."""

Threads = Annotated[int, Field(ge=1, le=64)]


@dataclass(frozen=True, slots=True)
class OnnxOptions:
    """A model in ONNX's form on this machine."""

    model: OnnxModel = "gigaam-v3-ctc"
    """What kind of model it is. Without `folder` it is the one that `kamerton models get` of the same name fetched."""
    folder: Path | None = None
    """Folder with the model's files, or the name of a model that `kamerton models get` fetched."""
    precision: Literal["auto", "float", "int8"] = "auto"
    """Which of the folder's files: `auto` takes those in float where they are there, else those in int8."""
    engines: Threads | None = None
    """Turns that are decoded at the same time; by default one per core, of every eighth core one less."""
    threads: Threads = 1
    """CPU threads of one decode."""
    max_calls: Annotated[int, Field(ge=1)] | None = None
    """Calls that it is trusted with; by default what its speed, measured at the start, carries."""
    final_deadline_s: Annotated[float, Field(gt=0, le=60)] = 8.0
    """After so long an ended turn fails instead of getting its transcript."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` takes a graphics card that ONNX Runtime can use, else the processor."""

    def __post_init__(self) -> None:
        """Refuse nonsense.

        Raises:
            ConfigurationError: the folder is empty text.
        """
        if self.folder is not None and not self.folder.name:
            raise ConfigurationError("recognizer.onnx.folder names no folder; leave it out to use a fetched model")


async def _open(options: OnnxOptions, context: EngineContext) -> SpeechToText:
    from kamerton.stt.onnx.recognizer import OnnxSettings, open_onnx

    settings = OnnxSettings(
        model=options.model,
        precision=options.precision,
        engines=decoding_engines(options.engines),
        threads=options.threads,
        max_calls=options.max_calls,
        final_deadline_s=options.final_deadline_s,
        device=options.device,
    )
    return await open_onnx(settings, context.data_dir, options.folder, context.language)


ENGINE: Final = EngineType("onnx", OnnxOptions, _open)
