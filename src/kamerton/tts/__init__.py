"""The voice: text made speakable, engines behind one Protocol, and the clips that make answers instant."""
