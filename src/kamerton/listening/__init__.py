"""From frames to "somebody started, paused, went on": VAD batched over calls, a pure segmenter, graded endpointing."""
