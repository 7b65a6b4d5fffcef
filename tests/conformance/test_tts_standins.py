from kamerton.testing.tts_conformance import TextToSpeechConformance
from kamerton.tts.voices.standin import BabbleTextToSpeech, IndexedToneTextToSpeech


class TestIndexedTones(TextToSpeechConformance):
    def make_voice(self) -> IndexedToneTextToSpeech:
        return IndexedToneTextToSpeech(ms_per_character=50.0)


class TestBabble(TextToSpeechConformance):
    def make_voice(self) -> BabbleTextToSpeech:
        return BabbleTextToSpeech()
