"""Between Kamerton's values and Google's messages: those of protobuf, without the slower wrappers around them."""

from __future__ import annotations

from typing import Any, Final

from kamerton.domain.audio import AudioFormat
from kamerton.stt.google.answers import Heard, Result, SpeechEvent
from kamerton.stt.google.models import Setup
from kamerton.stt.google.options import GoogleSttOptions

METHOD: Final = "/google.cloud.speech.v2.Speech/StreamingRecognize"


def first_message(options: GoogleSttOptions, setup: Setup, audio_format: AudioFormat, project: str) -> Any:
    """What opens a stream: everything but audio."""
    from google.cloud.speech_v2.types import cloud_speech

    request = request_type()()
    location = setup.candidate.location
    request.recognizer = f"projects/{project}/locations/{location}/recognizers/_"
    config = request.streaming_config.config
    decoding = config.explicit_decoding_config
    decoding.encoding = cloud_speech.ExplicitDecodingConfig.AudioEncoding.LINEAR16
    decoding.sample_rate_hertz, decoding.audio_channel_count = audio_format.rate_hz, 1
    config.model = setup.candidate.model
    config.language_codes.extend(setup.codes)
    config.features.enable_automatic_punctuation = options.punctuation
    config.features.profanity_filter = options.profanity_filter
    config.features.max_alternatives = options.max_alternatives
    if setup.phrases:
        phrase_set = config.adaptation.phrase_sets.add().inline_phrase_set
        for phrase in setup.phrases:
            phrase_set.phrases.add(value=phrase, boost=options.boost)
    request.streaming_config.streaming_features.interim_results = True
    request.streaming_config.streaming_features.enable_voice_activity_events = True
    return request


def audio_message(pcm: bytes) -> Any:
    """A piece of the audio."""
    return request_type()(audio=pcm)


def request_type() -> Any:
    """Google's request, as protobuf knows it."""
    from google.cloud.speech_v2.types import cloud_speech

    return cloud_speech.StreamingRecognizeRequest.pb()


def response_type() -> Any:
    """Google's answer, as protobuf knows it."""
    from google.cloud.speech_v2.types import cloud_speech

    return cloud_speech.StreamingRecognizeResponse.pb()


def heard(response: Any) -> Heard:
    """What an answer says."""
    results = tuple(_result(result) for result in response.results if result.alternatives)
    return Heard(results, _EVENTS.get(response.speech_event_type, ""), _ms(response.speech_event_offset))


def _result(result: Any) -> Result:
    best, *others = result.alternatives
    return Result(
        best.transcript.strip(),
        result.is_final,
        _ms(result.result_end_offset),
        tuple(other.transcript.strip() for other in others) if result.is_final else (),
        best.confidence if result.is_final else 0.0,
    )


def _ms(duration: Any) -> float:
    return float(duration.seconds * 1000 + duration.nanos / 1e6)


_EVENTS: Final[dict[int, SpeechEvent]] = {1: "ended", 2: "began", 3: "ended"}
"""By number of `SpeechEventType`: END_OF_SINGLE_UTTERANCE, SPEECH_ACTIVITY_BEGIN, SPEECH_ACTIVITY_END."""
