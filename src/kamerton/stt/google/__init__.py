"""Google Cloud Speech v2 as a recogniser: Russian, Ukrainian, and both in one call."""
