"""The caller's side of the wire: an AudioSocket client, the metronome that paces it, and what it can measure."""
