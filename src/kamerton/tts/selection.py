"""Choice of the voice of an assistant: the best engine that this machine has, the others as its reserve."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kamerton.domain.errors import ModelError
from kamerton.domain.synthesis import TextToSpeech
from kamerton.tts.voices.festival import voice as festival


@dataclass(frozen=True, slots=True)
class VoiceWishes:
    """What is configured about voices."""

    language: str
    piper_voice: Path | None = None
    """Piper voice file; None leaves Piper out."""
    festival_processes: int = 2


@dataclass(frozen=True, slots=True)
class ChosenVoices:
    """The voices that can speak, best first, and why each better one cannot."""

    voices: tuple[TextToSpeech, ...]
    notes: tuple[str, ...]
    """Sentences for the start-up log."""


def choose_voices(wishes: VoiceWishes) -> ChosenVoices:
    """Find the voices for a language: Piper if a file is configured, Festival for Russian, eSpeak NG for the rest.

    Loads Piper's model and eSpeak NG's library; Festival's processes start with their first clause.

    Raises:
        ModelError: no voice at all speaks this language here.
    """
    voices: list[TextToSpeech] = []
    notes: list[str] = []
    for make in (_piper, _festival, _espeak):
        made = make(wishes)
        if isinstance(made, str):
            notes.append(made)
        else:
            voices.append(made)
    if not voices:
        raise ModelError(f"no voice for language '{wishes.language}': " + "; ".join(notes))
    chosen = f"voice for '{wishes.language}': {voices[0].name}"
    reserve = ", ".join(voice.name for voice in voices[1:])
    return ChosenVoices(tuple(voices), (f"{chosen}; in reserve: {reserve}" if reserve else chosen, *notes))


def _piper(wishes: VoiceWishes) -> TextToSpeech | str:
    if wishes.piper_voice is None:
        return "Piper passed over: no voice file is configured"
    from kamerton.tts.voices.piper.voice import PiperTextToSpeech

    try:
        voice = PiperTextToSpeech(wishes.piper_voice)
    except ModelError as error:
        return f"Piper passed over: {error}"
    if wishes.language not in voice.capabilities.languages:
        return f"Piper passed over: {voice.name} speaks {', '.join(voice.capabilities.languages)}"
    return voice


def _festival(wishes: VoiceWishes) -> TextToSpeech | str:
    if wishes.language != "ru":
        return "Festival passed over: it speaks Russian only"
    reason = festival.why_unavailable()
    if reason is not None:
        return f"Festival passed over: {reason}"
    return festival.FestivalTextToSpeech(processes=wishes.festival_processes)


def _espeak(wishes: VoiceWishes) -> TextToSpeech | str:
    from kamerton.tts.voices.espeak.voice import LANGUAGES, EspeakTextToSpeech

    if wishes.language not in LANGUAGES:
        return f"eSpeak NG passed over: set up for {', '.join(LANGUAGES)}"
    try:
        return EspeakTextToSpeech()
    except ModelError as error:
        return f"eSpeak NG passed over: {error}"
