"""The Silero VAD network: ONNX file only, many windows of many calls in one inference.

Facts of the model (PROTOCOLS section 12): at 8 kHz a window is 256 samples with 32 samples of context before it, at
16 kHz 512 with 64; the model checks no lengths; state is [2, batch, 128].
"""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from kamerton.domain.errors import ModelError

Floats = npt.NDArray[np.float32]

SILERO_SHA256: Final = "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3"
STATE_SIZE: Final = 128


@dataclass(frozen=True, slots=True)
class WindowShape:
    """Window and context length at one sample rate, in samples."""

    rate_hz: int
    window: int
    context: int

    @property
    def window_ms(self) -> float:
        """Length of a window (32 ms at both rates)."""
        return self.window * 1000 / self.rate_hz


WINDOW_SHAPES: Final = {8000: WindowShape(8000, 256, 32), 16000: WindowShape(16000, 512, 64)}


class VadModel(Protocol):
    """Speech probability of windows."""

    def infer(self, rate_hz: int, windows: Floats, state: Floats) -> tuple[Floats, Floats]:
        """Judge `windows` [batch, context + window] in [-1, 1]; returns probabilities [batch] and the new state."""
        ...


class SileroModel:
    """Silero on ONNX Runtime, one thread, safe to call from one worker at a time."""

    def __init__(self, path: Path) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Spinning would burn the core that the calls need.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Near-silence drives the network's state into denormal numbers, which cost many times a normal one.
        options.add_session_config_entry("session.set_denormal_as_zero", "1")
        self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._rates = {rate: np.array(rate, dtype=np.int64) for rate in WINDOW_SHAPES}

    def infer(self, rate_hz: int, windows: Floats, state: Floats) -> tuple[Floats, Floats]:
        """See `VadModel.infer`; state is [2, batch, 128]."""
        outputs = self._session.run(None, {"input": windows, "state": state, "sr": self._rates[rate_hz]})
        return outputs[0][:, 0], outputs[1]


def find_silero() -> Path:
    """Locate the network inside the `silero-vad` package, which is installed for its data only (no torch).

    Raises:
        ModelError: the package is missing or its file is not the one this code was tuned on.
    """
    spec = importlib.util.find_spec("silero_vad")
    roots = spec.submodule_search_locations if spec else None
    path = Path(next(iter(roots))) / "data" / "silero_vad.onnx" if roots else None
    if path is None or not path.is_file():
        raise ModelError("Silero VAD is not installed: run ./run --prepare to install the speech models")
    if hashlib.sha256(path.read_bytes()).hexdigest() != SILERO_SHA256:
        raise ModelError(
            f"Silero VAD at {path.name} is corrupt or another version: run ./run --prepare to reinstall it"
        )
    return path
