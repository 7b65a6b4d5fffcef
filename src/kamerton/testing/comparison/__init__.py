"""Recognisers compared on recordings with known words: errors in words and entities, times, work."""
