"""eSpeak NG, which speaks every language roughly."""
