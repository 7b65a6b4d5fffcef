"""The audio core: WAV files, resampling, framing, levels. No event loop; numpy inside, bytes at the edges."""
