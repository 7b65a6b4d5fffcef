"""One session of the stand-in for SpeechKit: messages in, messages out. No I/O and no clock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from yandex.cloud.ai.stt.v3 import stt_pb2

from kamerton.stt.yandex.wire_double_ear import Ear
from kamerton.stt.yandex.wire_double_script import SeenSession, SpeechKitScript, Trouble

_RATES_HZ = (8000, 16000, 48000)


class EndedWith(Exception):
    """A session that ends with a gRPC status."""

    def __init__(self, status: str, details: str, trouble: Trouble | None = None) -> None:
        super().__init__(f"{status}: {details}")
        self.status = status
        self.details = details
        self.trouble = trouble


class SessionCore:
    """What SpeechKit makes of a session's messages."""

    def __init__(self, script: SpeechKitScript, seen: SeenSession) -> None:
        self._script = script
        self._seen = seen
        self._ear: Ear | None = None
        self._final_ms = 0
        self._finals = 0
        self._late: list[stt_pb2.StreamingResponse] = []

    def take(self, request: stt_pb2.StreamingRequest) -> list[stt_pb2.StreamingResponse]:
        """A message from the client.

        Raises:
            EndedWith: it is refused.
        """
        event = request.WhichOneof("Event")
        if self._ear is None:
            if event != "session_options":
                raise EndedWith("INVALID_ARGUMENT", "the first message must be session_options")
            self._ear = self._opened(request.session_options)
            return [self._status()]
        match event:
            case "chunk":
                return self._heard(self._ear, request.chunk.data)
            case "silence_chunk":
                return self._passed(self._ear, request.silence_chunk.duration_ms)
            case "eou":
                self._seen.ends_asked += 1
                self._late = list(self._utterance(self._ear)) if self._script.confirms else []
                return self._late
        raise EndedWith("INVALID_ARGUMENT", f"{event} is not expected here")

    def half_closed(self) -> list[stt_pb2.StreamingResponse]:
        """The client sends nothing more."""
        return list(self._utterance(self._ear)) if self._ear is not None else []

    def _opened(self, options: stt_pb2.StreamingOptions) -> Ear:
        seen, model = self._seen, options.recognition_model
        audio = model.audio_format.raw_audio
        seen.model, seen.rate_hz = model.model, audio.sample_rate_hertz
        seen.languages = tuple(model.language_restriction.language_code)
        normalization = stt_pb2.TextNormalizationOptions.TEXT_NORMALIZATION_ENABLED
        seen.normalization = model.text_normalization.text_normalization == normalization
        if self._script.accepted is not None and seen.authorization not in self._script.accepted:
            raise EndedWith("UNAUTHENTICATED", f"The credential {seen.authorization} is not known")
        if audio.audio_encoding != stt_pb2.RawAudio.LINEAR16_PCM or audio.audio_channel_count != 1:
            raise EndedWith("INVALID_ARGUMENT", "raw_audio must be mono LINEAR16_PCM")
        if audio.sample_rate_hertz not in _RATES_HZ:
            raise EndedWith("INVALID_ARGUMENT", f"unsupported sample rate {audio.sample_rate_hertz}")
        if not options.eou_classifier.HasField("external_classifier"):
            raise EndedWith("INVALID_ARGUMENT", "eou is only taken with the external classifier")
        return Ear(self._script.words, audio.sample_rate_hertz)

    def _heard(self, ear: Ear, pcm: bytes) -> list[stt_pb2.StreamingResponse]:
        if len(pcm) % 2 or not pcm:
            raise EndedWith("INVALID_ARGUMENT", "a chunk must have whole samples")
        ear.hear(pcm)
        self._counted(ear, len(pcm))
        return self._progress(ear)

    def _passed(self, ear: Ear, duration_ms: int) -> list[stt_pb2.StreamingResponse]:
        ear.pass_by(duration_ms)
        self._counted(ear, 0)
        return [self._status(), *self._progress(ear)]

    def _counted(self, ear: Ear, count: int) -> None:
        self._seen.messages.append(count)
        self._seen.audio_ms = ear.at_ms
        if ear.at_ms > self._script.limit_ms or sum(self._seen.messages) > self._script.limit_bytes:
            raise EndedWith("INVALID_ARGUMENT", "audio of the session is over the limit of 5 minutes or 10 MB")

    def _progress(self, ear: Ear) -> list[stt_pb2.StreamingResponse]:
        """A hypothesis, or an end of an utterance that it finds by itself."""
        late, self._late = self._late, []
        if late and self._script.repeats_late:
            return late
        own = self._script.own_ends_after_ms
        if own is not None and ear.heard and ear.silent_ms >= own:
            return list(self._utterance(ear))
        return [self._response(ear, partial=self._update(" ".join(ear.heard)))]

    def _utterance(self, ear: Ear) -> Iterator[stt_pb2.StreamingResponse]:
        """Finals, refinements and the end of an utterance that ends here."""
        ear.end()
        words, ear.heard = ear.heard, []
        self._final_ms = ear.at_ms
        if not words and not self._script.confirms_silence:
            return
        each = self._script.finals_each or len(words) or 1
        for at in range(0, max(len(words), 1), each):
            yield from self._repeated(*self._final(ear, " ".join(words[at : at + each])))
        over = stt_pb2.EouUpdate(time_ms=max(ear.at_ms + self._script.skew_ms, 0))
        yield from self._repeated(self._response(ear, eou_update=over))

    def _final(self, ear: Ear, text: str) -> Iterator[stt_pb2.StreamingResponse]:
        if self._script.orphan_refinements:
            yield self._refined(ear, self._finals + 1000, "чужое")
        yield self._response(ear, final=self._update(text))
        if self._seen.normalization and self._script.refines and text:
            yield self._refined(ear, self._finals, text.capitalize())
        self._finals += 1

    def _refined(self, ear: Ear, index: int, text: str) -> stt_pb2.StreamingResponse:
        refinement = stt_pb2.FinalRefinement(final_index=index, normalized_text=self._update(text))
        return self._response(ear, final_refinement=refinement)

    def _repeated(self, *answers: stt_pb2.StreamingResponse) -> Iterator[stt_pb2.StreamingResponse]:
        for answer in answers:
            yield from (answer,) * (2 if self._script.repeats else 1)

    def _update(self, text: str) -> stt_pb2.AlternativeUpdate:
        return stt_pb2.AlternativeUpdate(alternatives=[stt_pb2.Alternative(text=text)] if text else [])

    def _status(self) -> stt_pb2.StreamingResponse:
        working = stt_pb2.StatusCode(code_type=stt_pb2.WORKING)
        return stt_pb2.StreamingResponse(session_uuid=stt_pb2.SessionUuid(uuid="stand-in"), status_code=working)

    def _response(self, ear: Ear, **event: Any) -> stt_pb2.StreamingResponse:
        skew_ms = self._script.skew_ms
        cursors = stt_pb2.AudioCursors(
            received_data_ms=max(ear.at_ms + skew_ms, 0),
            partial_time_ms=max(ear.at_ms + skew_ms, 0),
            final_time_ms=max(self._final_ms + skew_ms, 0) if self._final_ms else 0,
            final_index=self._finals,
        )
        return stt_pb2.StreamingResponse(
            session_uuid=stt_pb2.SessionUuid(uuid="stand-in"), audio_cursors=cursors, **event
        )
