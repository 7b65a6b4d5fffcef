"""What an answer cost: the vendor's own counts, or an estimate where the answer was cut short before they came."""

from __future__ import annotations

from kamerton.domain.language_model import ChatMessage, GenerationEnded, ModelRequest
from kamerton.llm.token_counts import estimate_tokens
from kamerton.vendors.usage import Usage, UsageMeter, UsageUnit


def record_answer(meter: UsageMeter, engine: str, model: str, ended: GenerationEnded) -> None:
    """Count the tokens of an answer. Those from the vendor's cache are told apart: `input_tokens` are the others."""
    cached = ended.cached_tokens or 0
    amounts: dict[UsageUnit, int | None] = {
        "input_tokens": None if ended.prompt_tokens is None else max(0, ended.prompt_tokens - cached),
        "cached_tokens": ended.cached_tokens,
        "output_tokens": ended.completion_tokens,
    }
    for unit, amount in amounts.items():
        if amount:
            meter.record(Usage("model", engine, unit, amount, model))


def record_cut_answer(meter: UsageMeter, engine: str, model: str, request: ModelRequest, written: str) -> None:
    """Estimate what an answer cost that was given up or broke off: vendors charge for what was read and written.

    Args:
        meter: where it is counted.
        engine: name of the engine.
        model: name of the model.
        request: what was asked.
        written: all that was written until then.
    """
    prompt = sum(estimate_tokens(_all_of(message)) for message in request.messages if isinstance(message, ChatMessage))
    prompt += sum(estimate_tokens(message.text) for message in request.messages if not isinstance(message, ChatMessage))
    record_answer(meter, engine, model, GenerationEnded("stop", prompt, estimate_tokens(written)))


def _all_of(message: ChatMessage) -> str:
    return "".join((message.text, *(call.name + call.arguments for call in message.tool_calls)))
