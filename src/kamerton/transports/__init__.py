"""Ways in for calls: each transport accepts connections and runs a call handler per call (`domain.media.Transport`)."""
