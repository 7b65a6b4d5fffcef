"""Recognisers that know three words, each the name of a tone: ONNX files with the signatures of GigaAM, T-one, Whisper.

They are loaded and decoded by `onnx-asr` as the real ones are: features, encoder, greedy decoding, vocabulary.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from onnx_asr.models.whisper import bytes_to_unicode
from onnx_asr.preprocessors.numpy_preprocessor import GigaamPreprocessorNumpy, WhisperPreprocessorNumpy
from onnx_graph import Graph, tone

WORDS = {500: "завтра", 1000: "попробуйте", 2000: "ещё"}
"""What each tone (Hz) says."""
COUNT = len(WORDS)
RATE_HZ = 16_000


def gigaam_ctc(folder: Path, *, stem: str = "v3_ctc", vocabulary: str = "v3_vocab.txt", version: str = "v3") -> Path:
    """As GigaAM with a CTC head: every fourth feature frame, its loudest tone or nothing."""
    graph = Graph()
    features = graph.takes("features", "float32", "batch", 64, "time")
    graph.takes("feature_lengths", "int64", "batch")
    frames = _every_fourth(graph, graph.node("Transpose", features, perm=[0, 2, 1]), axis=1)
    _log_probabilities(graph, frames, _weights(_gigaam_bins(version)), name="log_probs")
    graph.gives("log_probs", "float32", "batch", "frames", COUNT + 1)
    graph.write(folder / f"{stem}.onnx")
    _gigaam_texts(folder, vocabulary, version)
    return folder


def gigaam_rnnt(folder: Path, *, version: str = "v3") -> Path:
    """As GigaAM with a transducer: what was said last is not said again."""
    encoder = Graph()
    signal = encoder.takes("audio_signal", "float32", "batch", 64, "time")
    length = encoder.takes("length", "int64", "batch")
    _every_fourth(encoder, signal, axis=2, name="encoded")
    rounded = encoder.node("Add", length, encoder.constant(3, "int64"))
    encoder.node("Cast", encoder.node("Div", rounded, encoder.constant(4, "int64")), name="encoded_len", to=6)
    encoder.gives("encoded", "float32", "batch", 64, "frames")
    encoder.gives("encoded_len", "int32", "batch")
    encoder.write(folder / f"{version}_rnnt_encoder.onnx")

    decoder = Graph()
    last = decoder.takes("x", "int64", 1, 1)
    decoder.node(
        "Gather", decoder.constant(np.eye(COUNT + 1, 320) * (np.arange(COUNT + 1) < COUNT)[:, None]), last, name="dec"
    )
    for state, after in (("h.1", "h"), ("c.1", "c")):
        decoder.node("Identity", decoder.takes(state, "float32", 1, 1, 320), name=after)
    for name in ("dec", "h", "c"):
        decoder.gives(name, "float32", 1, 1, 320)
    decoder.write(folder / f"{version}_rnnt_decoder.onnx")

    joint = Graph()
    heard = joint.node("Transpose", joint.takes("enc", "float32", 1, 64, 1), perm=[0, 2, 1])
    said = joint.node("Transpose", joint.takes("dec", "float32", 1, 320, 1), perm=[0, 2, 1])
    again = joint.node("MatMul", said, joint.constant(-1000.0 * np.eye(320, COUNT + 1)))
    sound = joint.node("MatMul", heard, joint.constant(_weights(_gigaam_bins(version))))
    both = joint.node("Add", joint.node("Add", sound, again), joint.constant(_quiet(2.0)))
    joint.node("Unsqueeze", both, joint.constant([1], "int64"), name="joint")
    joint.gives("joint", "float32", 1, 1, 1, COUNT + 1)
    joint.write(folder / f"{version}_rnnt_joint.onnx")
    _gigaam_texts(folder, f"{version}_vocab.txt", version)
    return folder


def t_one(folder: Path) -> Path:
    """As T-one: 300 ms of 8 kHz samples at a time, with a state that is handed on."""
    graph = Graph()
    signal = graph.takes("signal", "int32", "batch", 2400, 1)
    state = graph.takes("state", "float16", "batch", 8)
    samples = graph.node("Transpose", graph.node("Cast", signal, to=1), perm=[0, 2, 1])
    time = np.arange(240) / 8000
    waves = [wave(2 * np.pi * hz * time) for hz in WORDS for wave in (np.cos, np.sin)]
    parts = graph.node("Conv", samples, graph.constant(np.stack(waves)[:, None] * 2 / 240 / 32767), strides=[240])
    power = graph.node("Transpose", graph.node("Mul", parts, parts), perm=[0, 2, 1])
    sums = np.zeros((2 * COUNT, COUNT + 1))
    for place in range(2 * COUNT):
        sums[place, place // 2] = 100.0
    _log_probabilities(graph, power, sums, name="logprobs")
    graph.node("Identity", state, name="state_next")
    graph.gives("logprobs", "float32", "batch", 10, COUNT + 1)
    graph.gives("state_next", "float16", "batch", 8)
    graph.write(folder / "model.onnx")
    config: dict[str, Any] = {
        "model_type": "t-one-ctc",
        "pad_token_id": COUNT,
        "decoder_params": {"vocabulary": [f" {word}" for word in WORDS.values()]},
        "encoder_params": {"reduction_kernel_size": 3},
    }
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    return folder


def whisper(folder: Path) -> Path:
    """As Whisper of `onnx-community`: one word for a turn, then the end of the text."""
    byte_signs = bytes_to_unicode()
    words = ["".join(byte_signs[byte] for byte in f" {word}".encode()) for word in WORDS.values()]
    special = ["<|endoftext|>", "<|startoftranscript|>", "<|transcribe|>", "<|notimestamps|>", "<|ru|>", "<|uk|>"]
    size, end = COUNT + len(special), COUNT
    probe = WhisperPreprocessorNumpy("whisper80")
    weights = np.zeros((80, size))
    for place, hz in enumerate(WORDS):
        weights[_bin(probe, hz), place] = 10.0

    encoder = Graph()
    features = encoder.takes("input_features", "float32", "batch", 80, 3000)
    loudest = encoder.node("ReduceMax", features, axes=[2], keepdims=0)
    scores = encoder.node("MatMul", loudest, encoder.constant(weights))
    encoder.node("Unsqueeze", scores, encoder.constant([1], "int64"), name="last_hidden_state")
    encoder.gives("last_hidden_state", "float32", "batch", 1, size)
    (folder / "onnx").mkdir()
    encoder.write(folder / "onnx" / "encoder_model.onnx")

    decoder = Graph()
    written = decoder.takes("input_ids", "int64", "batch", "length")
    heard = decoder.takes("encoder_hidden_states", "float32", "batch", 1, size)
    length = decoder.node("Gather", decoder.node("Shape", written), decoder.constant(1, "int64"))
    more = decoder.node("Sub", decoder.node("Cast", length, to=1), decoder.constant(4.0))
    ending = decoder.node("Mul", more, decoder.constant(1e6 * np.eye(size)[end]))
    enough = decoder.node("Add", heard, decoder.constant(8.0 * np.eye(size)[end] - 100.0 * (np.arange(size) > end)))
    decoder.node("Add", enough, ending, name="logits")
    decoder.gives("logits", "float32", "batch", 1, size)
    decoder.write(folder / "onnx" / "decoder_model_merged.onnx")
    (folder / "vocab.json").write_text(json.dumps({word: place for place, word in enumerate(words)}), "utf-8")
    added = {token: COUNT + place for place, token in enumerate(special)}
    (folder / "added_tokens.json").write_text(json.dumps(added), "utf-8")
    (folder / "config.json").write_text(json.dumps({"model_type": "whisper", "num_mel_bins": 80}), "utf-8")
    return folder


def _log_probabilities(graph: Graph, frames: str, weights: Any, name: str) -> None:
    scores = graph.node("MatMul", frames, graph.constant(weights))
    graph.node("LogSoftmax", graph.node("Add", scores, graph.constant(_quiet(2.0))), name=name, axis=-1)


def _every_fourth(graph: Graph, value: str, axis: int, name: str = "") -> str:
    places = [graph.constant([one], "int64") for one in (0, 2**31, axis, 4)]
    return graph.node("Slice", value, *places, name=name)


def _quiet(threshold: float) -> Any:
    """The blank's score: what a tone has to surpass."""
    return threshold * np.eye(COUNT + 1)[COUNT]


def _weights(bins: list[int]) -> Any:
    weights = np.zeros((64, COUNT + 1))
    weights[bins, range(COUNT)] = 1.0
    return weights


def _gigaam_bins(version: str) -> list[int]:
    features = GigaamPreprocessorNumpy(f"gigaam_{version}")
    return [_bin(features, hz) for hz in WORDS]


def _bin(features: Any, frequency_hz: float) -> int:
    """Where in the features a tone is loudest."""
    samples = np.frombuffer(tone(frequency_hz, 1.0, RATE_HZ), "<i2").astype(np.float32)[None] / 32768
    found, _ = features(samples, np.array([samples.shape[1]]))
    return int(found[0, :, 50].argmax())


def _gigaam_texts(folder: Path, vocabulary: str, version: str) -> None:
    tokens = [f"▁{word}" for word in WORDS.values()] + ["<blk>"]
    (folder / vocabulary).write_text("".join(f"{token} {place}\n" for place, token in enumerate(tokens)), "utf-8")
    config = {"model_type": "gigaam", "version": version, "features_size": 64, "subsampling_factor": 4}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
