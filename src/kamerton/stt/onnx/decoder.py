"""One loaded ONNX model: a turn's audio in, its words out, through `onnx-asr` (MIT) and ONNX Runtime.

Sessions of ONNX Runtime may be run from several threads at once, so one model serves all engines.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from kamerton.domain.audio import SAMPLE_BYTES
from kamerton.domain.errors import EngineError, ModelError
from kamerton.stt.decode_queue import DecodeRequest
from kamerton.stt.local_recognizer import Device
from kamerton.stt.whisper.readings import Transcript, collapse_loops

SHORTEST_MS: Final = 300.0
"""Shorter turns get silence behind them: no model was trained on less, and features of one window's length fail."""

CUDA: Final = "CUDAExecutionProvider"
PROCESSOR: Final = "CPUExecutionProvider"


@dataclass(frozen=True, slots=True)
class ModelFamily:
    """How `onnx-asr` calls a kind of model, and what it understands."""

    loaded_as: str
    languages: tuple[str, ...] = ("ru",)
    names_language: bool = False
    """The language is told with each turn, and the text may run into loops."""


FAMILIES: Final[Mapping[str, ModelFamily]] = {
    **{
        name: ModelFamily(name)
        for name in (
            "gigaam-v2-ctc",
            "gigaam-v2-rnnt",
            "gigaam-v3-ctc",
            "gigaam-v3-rnnt",
            "gigaam-v3-e2e-ctc",
            "gigaam-v3-e2e-rnnt",
        )
    },
    "t-one": ModelFamily("t-one-ctc"),
    "whisper": ModelFamily("whisper", ("ru", "uk"), names_language=True),
    "whisper-ort": ModelFamily("whisper-ort", ("ru", "uk"), names_language=True),
}


class OnnxDecoder:
    """The loaded model: decodes requests, blocking, in as many threads at once as it has engines.

    Args:
        model: one of `FAMILIES`.
        folder: with its files; nothing else is looked at.
        precisions: the suffixes to look for in this order: `""` for float, `int8`.
        threads: CPU threads of one decode.
        device: where it runs.

    Raises:
        ModelError: the folder or a file is missing, or cannot be loaded there.
    """

    def __init__(self, model: str, folder: Path, precisions: tuple[str, ...], threads: int, device: Device) -> None:
        # Heavy, and needed by nobody who runs without it.
        import numpy as np

        if not folder.is_dir():
            raise ModelError(f"there is no folder {folder} with the model {model}: {_advice(model)}")
        self._family = FAMILIES[model]
        self._np = np
        self._recognise: Any = self._load(model, folder, precisions, threads, device)

    def decode(self, request: DecodeRequest) -> Transcript:
        """Read one turn.

        Raises:
            EngineError: the model does not know the turn's language.
        """
        np, family, hint = self._np, self._family, request.hint
        if hint.language not in family.languages:
            raise EngineError(
                f"the model was asked for language {hint.language!r}, it knows {', '.join(family.languages)}: "
                "correct the assistant's language or choose another recogniser"
            )
        samples = np.frombuffer(request.pcm, "<i2", len(request.pcm) // SAMPLE_BYTES).astype(np.float32) / 32768
        missing = request.format.samples(SHORTEST_MS) - samples.size
        if missing > 0:
            samples = np.pad(samples, (0, missing))
        options = {"language": hint.language} if family.names_language else {}
        result = self._recognise(samples, sample_rate=request.format.rate_hz, **options)
        text = " ".join(result.text.split())
        if family.names_language:
            text = collapse_loops(text, cut=False)
        return Transcript(text, (), _confidence(result.logprobs)) if text else Transcript()

    def unload(self) -> None:
        """Free the model's memory."""
        self._recognise = None

    def _load(self, model: str, folder: Path, precisions: tuple[str, ...], threads: int, device: Device) -> Any:
        import onnx_asr
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Spinning would burn the core that the calls need.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        providers = [CUDA, PROCESSOR] if device == "cuda" else [PROCESSOR]
        problem: Exception | None = None
        for precision in precisions:
            try:
                # A folder that exists is all that is looked at: the package then never asks the hub.
                loaded = onnx_asr.load_model(
                    self._family.loaded_as,
                    folder,
                    quantization=precision or None,
                    sess_options=options,
                    providers=providers,
                )
            except FileNotFoundError as fault:
                problem = problem or fault
            except Exception as fault:  # the border to onnx-asr and ONNX Runtime, which raise what they like
                raise ModelError(
                    f"the model {model} in {folder} cannot be loaded on {device} ({fault}): {_advice(model)}"
                ) from fault
            else:
                return loaded.with_timestamps().recognize
        raise ModelError(f"the model {model} is not whole: {problem} {_advice(model)}") from problem


def cuda_works() -> bool:
    """Whether ONNX Runtime has a graphics card that takes a model: a build for one may lack its libraries. Blocking."""
    import onnxruntime as ort

    if CUDA not in ort.get_available_providers():
        return False
    if hasattr(ort, "preload_dlls"):
        ort.preload_dlls()  # finds CUDA and cuDNN in their pip packages
    small = files("onnx_asr.preprocessors").joinpath("data").joinpath("resample_8_16.onnx").read_bytes()
    return CUDA in ort.InferenceSession(small, providers=[CUDA, PROCESSOR]).get_providers()


def _advice(model: str) -> str:
    if model in ("gigaam-v3-ctc", "gigaam-v3-e2e-ctc", "gigaam-v3-e2e-rnnt", "t-one"):
        return f"get it with `kamerton models get {model}`, or correct recognizer.onnx.folder"
    return "put its files there, as docs/vendors/local-recognisers.md says, or correct recognizer.onnx.folder"


def _confidence(log_probabilities: list[float] | None) -> float:
    """How sure the model is: its mean probability per token; 1 where it tells none."""
    if not log_probabilities:
        return 1.0
    return min(1.0, math.exp(sum(log_probabilities) / len(log_probabilities)))
