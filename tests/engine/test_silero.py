"""The real network on human recordings: where speech begins and ends, and that its first word is not lost."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import anyio
import numpy as np
import pytest
from paths import SHARED_AUDIO

from kamerton.audio.wav import read_wav_file
from kamerton.domain.audio import PHONE, AudioFrame
from kamerton.domain.errors import ModelError
from kamerton.domain.recognition import RecognitionHint, SttEvent
from kamerton.listening.listener import Listener, ListeningSettings
from kamerton.listening.segmenter import SegmentEvent, SpeechPaused, SpeechStarted
from kamerton.listening.silero import STATE_SIZE, WINDOW_SHAPES, SileroModel, find_silero
from kamerton.listening.vad import VadBatcher
from kamerton.orchestrator.workers import InlineWorker
from kamerton.testing.virtual_loop import VirtualLoop

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.engine,
    pytest.mark.skipif(not SHARED_AUDIO.is_dir(), reason="the human recordings are not beside this checkout"),
]
TRANSCRIPTS = SHARED_AUDIO / "transcripts.tsv"


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


@pytest.fixture(scope="module")
def silero() -> SileroModel:
    return SileroModel(find_silero())


def recordings() -> list[tuple[str, float, float]]:
    if not TRANSCRIPTS.is_file():
        return []
    with TRANSCRIPTS.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return [(row["file"], float(row["speech_start_s"]), float(row["speech_end_s"])) for row in rows]


class KeptAudio:
    """A recogniser's stream that keeps what it hears."""

    dropped_ms = 0.0

    def __init__(self) -> None:
        self.frames: list[AudioFrame] = []

    def begin_turn(self, turn: int, hint: RecognitionHint, look_back: Sequence[AudioFrame] = ()) -> None:
        self.frames += look_back

    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def end_of_turn(self) -> None: ...
    def abandon_turn(self) -> None: ...

    def push(self, frame: AudioFrame) -> None:
        self.frames.append(frame)

    def __aiter__(self) -> AsyncIterator[SttEvent]:
        raise NotImplementedError


async def heard(path: Path, model: SileroModel) -> tuple[list[SegmentEvent], KeptAudio]:
    """Play a recording in real pace on the virtual clock; instants are those of the recording."""
    clip = read_wav_file(path)
    assert clip.format == PHONE
    batcher = VadBatcher(model, InlineWorker())
    events: list[SegmentEvent] = []
    kept = KeptAudio()

    def report(event: SegmentEvent) -> None:
        events.append(event)
        if isinstance(event, SpeechStarted) and not kept.frames:
            listener.open_turn(1, event.onset_s, RecognitionHint())

    start_s = anyio.current_time()
    listener = Listener(PHONE, batcher, kept, ListeningSettings(), lambda: anyio.current_time() - start_s, report)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(batcher.run)
        pcm = clip.pcm + bytes(PHONE.frame_bytes * 30)
        for number in range(len(pcm) // PHONE.frame_bytes):
            await anyio.sleep_until(start_s + (number + 1) * 0.02)
            frame = pcm[number * PHONE.frame_bytes : (number + 1) * PHONE.frame_bytes]
            listener.hear(AudioFrame(frame, PHONE, number * PHONE.frame_samples))
        tasks.cancel_scope.cancel()
    return events, kept


@pytest.mark.parametrize(("name", "start_s", "end_s"), recordings())
async def test_speech_is_placed_where_it_is(name: str, start_s: float, end_s: float, silero: SileroModel) -> None:
    events, kept = await heard(SHARED_AUDIO / name, silero)
    onset_s = next(event.onset_s for event in events if isinstance(event, SpeechStarted))
    ended_s = [event.ended_s for event in events if isinstance(event, SpeechPaused)][-1]
    assert onset_s == pytest.approx(start_s, abs=0.060)
    assert ended_s == pytest.approx(end_s, abs=0.060)
    first_s = kept.frames[0].start_sample / PHONE.rate_hz
    assert first_s <= max(0.0, start_s - 0.25)
    numbers = [frame.start_sample // PHONE.frame_samples for frame in kept.frames]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


async def test_a_batch_judges_each_window_as_it_would_alone(silero: SileroModel) -> None:
    noise = np.random.default_rng(7)
    for rate_hz, shape in WINDOW_SHAPES.items():
        windows = noise.uniform(-0.3, 0.3, (5, shape.context + shape.window)).astype(np.float32)
        state = noise.uniform(-0.5, 0.5, (2, 5, STATE_SIZE)).astype(np.float32)
        together, after = silero.infer(rate_hz, windows, state)
        for index in range(5):
            alone, after_alone = silero.infer(rate_hz, windows[index : index + 1], state[:, index : index + 1])
            assert together[index] == pytest.approx(alone[0], abs=1e-4)
            assert after[:, index] == pytest.approx(after_alone[:, 0], abs=1e-3)


def test_a_package_without_its_network_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "silero_vad"
    (package / "data").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModelError, match="not installed"):
        find_silero()
    (package / "data" / "silero_vad.onnx").write_bytes(b"not a network")
    with pytest.raises(ModelError, match="corrupt"):
        find_silero()
