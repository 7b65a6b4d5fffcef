"""Recognisers in ONNX form through `onnx-asr`: GigaAM, T-one, Whisper; from a folder here, never from the network."""
