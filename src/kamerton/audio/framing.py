"""Cutting audio bytes into exact 20 ms frames."""

from __future__ import annotations

from kamerton.domain.audio import SAMPLE_BYTES, AudioFormat


class FrameAssembler:
    """Turns byte pieces of any length into frames of exactly 20 ms; what is left over waits for the next piece."""

    def __init__(self, audio_format: AudioFormat) -> None:
        self._format = audio_format
        self._frame_bytes = audio_format.frame_bytes
        self._rest = b""

    @property
    def pending_bytes(self) -> int:
        """Bytes that wait for their frame to fill."""
        return len(self._rest)

    def push(self, piece: bytes) -> list[bytes]:
        """Take a piece; return the frames it completes, in order."""
        size = self._frame_bytes
        if not self._rest and len(piece) == size:
            return [piece]
        data = self._rest + piece if self._rest else piece
        whole = len(data) // size * size
        self._rest = data[whole:]
        return [data[at : at + size] for at in range(0, whole, size)]

    def flush(self) -> bytes | None:
        """Return the unfinished frame, filled up with silence, or None when nothing waits. Half a sample is dropped."""
        rest = self._rest[: len(self._rest) // SAMPLE_BYTES * SAMPLE_BYTES]
        self._rest = b""
        return rest.ljust(self._frame_bytes, b"\x00") if rest else None


def frames_of(pcm: bytes, audio_format: AudioFormat) -> list[bytes]:
    """Cut a whole piece of audio into frames; the last one is filled up with silence."""
    assembler = FrameAssembler(audio_format)
    frames = assembler.push(pcm)
    last = assembler.flush()
    return [*frames, last] if last is not None else frames
