"""Piper, a neural voice on the CPU."""
