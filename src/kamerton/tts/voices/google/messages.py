"""Between Kamerton's values and Google's messages: those of protobuf, without the slower wrappers around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from kamerton.tts.voices.google.listing import ListedVoice

_SERVICE: Final = "/google.cloud.texttospeech.v1.TextToSpeech"
LIST: Final = f"{_SERVICE}/ListVoices"
WHOLE: Final = f"{_SERVICE}/SynthesizeSpeech"
STREAM: Final = f"{_SERVICE}/StreamingSynthesize"


@dataclass(frozen=True, slots=True)
class Order:
    """What one request is to say."""

    text: str
    voice: ListedVoice
    code: str
    """Of the language."""
    rate_hz: int
    speaking_rate: float | None = None


def list_request(code: str) -> Any:
    """Asks for the voices of a language."""
    return types().ListVoicesRequest.pb()(language_code=code)


def listed_voices(response: Any) -> tuple[ListedVoice, ...]:
    """The voices of an answer."""
    return tuple(ListedVoice(voice.name, tuple(voice.language_codes)) for voice in response.voices if voice.name)


def whole_request(order: Order) -> Any:
    """Asks for all of the audio at once, as a WAV file: its header tells the rate that the service took."""
    request = types().SynthesizeSpeechRequest.pb()()
    request.input.text = order.text
    _name_voice(request.voice, order)
    request.audio_config.audio_encoding = types().AudioEncoding.LINEAR16
    request.audio_config.sample_rate_hertz = order.rate_hz
    if order.speaking_rate is not None:
        request.audio_config.speaking_rate = order.speaking_rate
    return request


def stream_requests(order: Order) -> tuple[Any, Any]:
    """What opens a stream, and the text."""
    opening = types().StreamingSynthesizeRequest.pb()()
    config = opening.streaming_config
    _name_voice(config.voice, order)
    config.streaming_audio_config.audio_encoding = types().AudioEncoding.PCM
    config.streaming_audio_config.sample_rate_hertz = order.rate_hz
    if order.speaking_rate is not None:
        config.streaming_audio_config.speaking_rate = order.speaking_rate
    text = types().StreamingSynthesizeRequest.pb()()
    text.input.text = order.text
    return opening, text


def _name_voice(selection: Any, order: Order) -> None:
    selection.language_code, selection.name = order.code, order.voice.name


def types() -> Any:
    """Google's message types; loaded when the voice was opened."""
    from google.cloud.texttospeech_v1.types import cloud_tts

    return cloud_tts
