"""Between our words for a session and the vendor's messages. The only file of the recogniser that knows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamerton.domain.audio import AudioFormat
from kamerton.stt.yandex.answers import (
    Alive,
    Answer,
    Audio,
    Cursors,
    FinalPart,
    Hypothesis,
    Refinement,
    Request,
    Silence,
    UtteranceOver,
)
from kamerton.stt.yandex.options import YandexSttOptions

if TYPE_CHECKING:
    from yandex.cloud.ai.stt.v3 import stt_pb2


def first_message(options: YandexSttOptions, audio_format: AudioFormat, language_code: str) -> stt_pb2.StreamingRequest:
    """Opens a session in which we say where utterances end."""
    from yandex.cloud.ai.stt.v3 import stt_pb2

    normalization = stt_pb2.TextNormalizationOptions
    model = stt_pb2.RecognitionModelOptions(
        model=options.model,
        audio_format=stt_pb2.AudioFormatOptions(
            raw_audio=stt_pb2.RawAudio(
                audio_encoding=stt_pb2.RawAudio.LINEAR16_PCM,
                sample_rate_hertz=audio_format.rate_hz,
                audio_channel_count=1,
            )
        ),
        text_normalization=normalization(
            text_normalization=normalization.TEXT_NORMALIZATION_ENABLED
            if options.normalization
            else normalization.TEXT_NORMALIZATION_DISABLED,
            profanity_filter=options.profanity_filter,
            literature_text=options.literature_text,
        ),
        language_restriction=stt_pb2.LanguageRestrictionOptions(
            restriction_type=stt_pb2.LanguageRestrictionOptions.WHITELIST, language_code=[language_code]
        ),
        audio_processing_type=stt_pb2.RecognitionModelOptions.REAL_TIME,
    )
    classifier = stt_pb2.EouClassifierOptions(external_classifier=stt_pb2.ExternalEouClassifier())
    return stt_pb2.StreamingRequest(
        session_options=stt_pb2.StreamingOptions(recognition_model=model, eou_classifier=classifier)
    )


def message_of(request: Request) -> stt_pb2.StreamingRequest:
    """One message after the first."""
    from yandex.cloud.ai.stt.v3 import stt_pb2

    match request:
        case Audio(pcm):
            return stt_pb2.StreamingRequest(chunk=stt_pb2.AudioChunk(data=pcm))
        case Silence(duration_ms):
            return stt_pb2.StreamingRequest(silence_chunk=stt_pb2.SilenceChunk(duration_ms=duration_ms))
        case _:
            return stt_pb2.StreamingRequest(eou=stt_pb2.Eou())


def answer_of(response: stt_pb2.StreamingResponse) -> Answer:
    """What a message says; `Alive` for every kind that is not used."""
    at = response.audio_cursors
    cursors = Cursors(at.partial_time_ms, at.final_time_ms, at.final_index)
    match response.WhichOneof("Event"):
        case "partial":
            return Hypothesis(cursors, _best(response.partial))
        case "final":
            return FinalPart(cursors, _best(response.final))
        case "final_refinement":
            refined = response.final_refinement
            return Refinement(cursors, refined.final_index, _best(refined.normalized_text))
        case "eou_update":
            return UtteranceOver(cursors, response.eou_update.time_ms)
        case _:
            return Alive(cursors)


def _best(update: stt_pb2.AlternativeUpdate) -> str:
    return " ".join(update.alternatives[0].text.split()) if update.alternatives else ""
