import json
from pathlib import Path

import pytest

from kamerton.audio.levels import rms_dbfs
from kamerton.audio.tone import tone
from kamerton.audio.wav import WavAudio
from kamerton.domain.audio import PHONE, WIDEBAND, Clip, Segment
from kamerton.domain.synthesis import SpeechChunk
from kamerton.tts.clips.making import ChunkFinisher, chunks_of_clip, clip_at_rate, clip_of_chunks, clip_of_recording
from kamerton.tts.clips.store import ClipFolder, ClipKey, ClipMemory

KEY = ClipKey("voice", "ru", 8000, "Добрый день.")
PCM = tone(440, 100, PHONE)
CLIP = Clip(PCM, PHONE, (Segment("Добрый", 500), Segment("день.", 300)))


def clip_of(samples: int) -> Clip:
    return Clip(bytes(samples * 2), PHONE, (Segment("", samples),))


def key(number: int) -> ClipKey:
    return KEY._replace(text=str(number))


def test_memory_forgets_what_was_not_used_longest() -> None:
    memory = ClipMemory(limit_bytes=600)
    for number in range(3):
        memory.keep(key(number), clip_of(100))
    assert memory.find(key(0)) is not None
    memory.keep(key(3), clip_of(100))
    assert memory.find(key(1)) is None
    assert all(memory.find(key(number)) for number in (0, 2, 3))
    assert memory.size_bytes == 600


def test_memory_replaces_and_refuses_giants() -> None:
    memory = ClipMemory(limit_bytes=600)
    memory.keep(KEY, clip_of(100))
    memory.keep(KEY, clip_of(200))
    assert memory.size_bytes == 400
    memory.keep(KEY, clip_of(301))
    assert memory.find(KEY) is None
    assert memory.size_bytes == 0


def test_every_part_of_the_key_counts() -> None:
    others = (
        KEY._replace(voice="other"),
        KEY._replace(language="uk"),
        KEY._replace(rate_hz=16000),
        KEY._replace(text="Добрый день"),
    )
    assert len({KEY.digest, *(other.digest for other in others)}) == 5


def test_a_clip_survives_the_folder(tmp_path: Path) -> None:
    folder = ClipFolder(tmp_path / "clips")
    assert folder.load(KEY) is None
    folder.save(KEY, CLIP)
    assert ClipFolder(tmp_path / "clips").load(KEY) == CLIP
    assert folder.load(KEY._replace(rate_hz=16000)) is None
    assert [path.suffix for path in tmp_path.rglob("*") if path.is_file()] == [".clip"]


def only_file(folder: Path) -> Path:
    (path,) = (path for path in folder.rglob("*") if path.is_file())
    return path


@pytest.mark.parametrize("damage", ["cut", "flip", "header", "empty", "no line", "segments", "version"])
def test_a_damaged_file_is_removed_and_made_anew(tmp_path: Path, damage: str) -> None:
    folder = ClipFolder(tmp_path)
    folder.save(KEY, CLIP)
    path = only_file(tmp_path)
    data = path.read_bytes()
    head, _, pcm = data.partition(b"\n")
    header = json.loads(head)
    broken = {
        "cut": data[:-2],
        "flip": data[:-1] + bytes([data[-1] ^ 1]),
        "header": b"{]\n" + pcm,
        "empty": b"",
        "no line": b"x" * 500,
        "segments": json.dumps({**header, "segments": [["a", 1]]}).encode() + b"\n" + pcm,
        "version": json.dumps({**header, "version": 0}).encode() + b"\n" + pcm,
    }[damage]
    path.write_bytes(broken)
    assert folder.load(KEY) is None
    assert not path.exists()
    folder.save(KEY, CLIP)
    assert folder.load(KEY) == CLIP


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    folder = ClipFolder(blocked)
    folder.save(KEY, CLIP)
    assert folder.load(KEY) is None
    assert blocked.read_text() == "not a folder"


def test_chunks_become_segments_and_come_back() -> None:
    chunks = [SpeechChunk(PCM, PHONE, "Раз."), SpeechChunk(PCM, PHONE), SpeechChunk(PCM, PHONE, "Два.")]
    clip = clip_of_chunks(chunks, PHONE)
    assert clip.segments == (Segment("Раз.", 1600), Segment("Два.", 800))
    assert [chunk.text for chunk in chunks_of_clip(clip)] == ["Раз.", "Два."]
    assert b"".join(chunk.pcm for chunk in chunks_of_clip(clip)) == clip.pcm
    assert clip_of_chunks([], PHONE) == Clip(b"", PHONE, ())


def test_another_rate_keeps_the_segments_shares() -> None:
    wide = clip_at_rate(CLIP, WIDEBAND)
    assert wide.format == WIDEBAND
    assert sum(segment.samples for segment in wide.segments) == wide.samples == 1600
    assert wide.segments[0].samples == pytest.approx(1000, abs=2)
    assert clip_at_rate(CLIP, PHONE) is CLIP


def test_a_recording_is_trimmed_and_divided_by_its_clauses() -> None:
    silence = bytes(WIDEBAND.samples(500) * 2)
    recording = WavAudio(silence + tone(300, 900, WIDEBAND, level_dbfs=-30) + silence, WIDEBAND)
    clip = clip_of_recording(recording, "Раз. Двадцать.", PHONE)
    assert [segment.text for segment in clip.segments] == ["Раз.", "Двадцать."]
    assert clip.segments[1].samples > 2 * clip.segments[0].samples
    assert sum(segment.samples for segment in clip.segments) == clip.samples
    assert PHONE.duration_ms(clip.samples) == pytest.approx(980, abs=30)


def test_chunks_that_go_on_with_a_clause_keep_its_level_and_come_back_as_such(tmp_path: Path) -> None:
    finisher = ChunkFinisher()
    loud, soft = tone(300, 300, PHONE, level_dbfs=-10), tone(300, 300, PHONE, level_dbfs=-30)
    chunks = [
        *finisher.finished(SpeechChunk(loud, PHONE, "Раз,")),
        *finisher.finished(SpeechChunk(soft, PHONE, "два.", goes_on=True)),
        *finisher.finished(SpeechChunk(soft, PHONE, "Три.")),
    ]
    levels = [rms_dbfs(chunk.pcm[400:]) for chunk in chunks]
    assert levels[0] - levels[1] == pytest.approx(20, abs=1), "the level of the clause is kept"
    assert levels[2] - levels[1] > 10, "the next clause has its own"
    clip = clip_of_chunks(chunks, PHONE)
    assert [segment.goes_on for segment in clip.segments] == [False, True, False]
    assert [chunk.goes_on for chunk in chunks_of_clip(clip)] == [False, True, False]
    assert [segment.goes_on for segment in clip_at_rate(clip, WIDEBAND).segments] == [False, True, False]
    folder = ClipFolder(tmp_path)
    folder.save(KEY, clip)
    assert folder.load(KEY) == clip
