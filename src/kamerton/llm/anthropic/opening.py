"""Opens the model and looks at its account: what `engine.py` must not import."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

import anyio
import anyio.to_thread

from kamerton.domain.errors import ConfigurationError, KamertonError, VendorError
from kamerton.domain.foreign_text import shown_line
from kamerton.llm.anthropic.client import CLOSE_S, AnthropicClient, ClientSettings
from kamerton.llm.anthropic.engine import AnthropicModelOptions
from kamerton.llm.anthropic.model import AnthropicModel
from kamerton.llm.anthropic.request import Manner
from kamerton.vendors.accounts.anthropic import AnthropicAccount
from kamerton.vendors.check import Check
from kamerton.vendors.engine import EngineContext
from kamerton.vendors.secrets import require_secret


async def open_model(options: AnthropicModelOptions, context: EngineContext) -> AnthropicModel:
    """The model; sends nothing.

    Raises:
        ConfigurationError: the key or the certificates are missing.
    """
    manner = Manner(
        options.model,
        options.thinking,
        options.effort,
        options.thinking_room_tokens,
        options.cache,
        options.json_by,
    )
    return AnthropicModel(await _client(options, context), manner, options.timeouts, context.usage)


async def check_model(options: AnthropicModelOptions, context: EngineContext) -> Check:
    """Whether it would serve a call: asks what the vendor knows of the model, which costs nothing. Never raises."""
    try:
        client = await _client(options, context)
    except KamertonError as error:
        return Check(reachable=False, authorised=False, detail=options.shown_url, fix=str(error))
    patience_s = options.timeouts.connect_s + options.timeouts.first_token_s
    try:
        started_s = anyio.current_time()
        with anyio.fail_after(patience_s):
            status, found, refused = await client.look_up(options.model)
        latency_ms = (anyio.current_time() - started_s) * 1000
    except VendorError as error:
        return Check(reachable=False, detail=options.shown_url, fix=str(error))
    except TimeoutError:
        what = f"{client.where} does not answer within {patience_s:g} s"
        return Check(reachable=False, detail=options.shown_url, fix=f"{what}; check the network and its status page")
    finally:
        with anyio.move_on_after(CLOSE_S, shield=True):
            await client.aclose()
    if refused is not None:
        reached = refused.fault != "broken"
        authorised = False if refused.fault == "unauthorised" else None
        return Check(reached, authorised, latency_ms, f"HTTP {status}", str(refused))
    return _told(options, found, latency_ms)


def _told(options: AnthropicModelOptions, found: Mapping[str, Any], latency_ms: float) -> Check:
    """What the vendor tells of the model: whether it goes on serving it, and what it can do."""
    if found.get("type") != "model":
        fix = f"{options.shown_url} answers what describes no model; check that model.anthropic.url leads to the API"
        return Check(False, None, latency_ms, "", fix)
    shown = shown_line(str(found.get("display_name") or options.model), 60)
    retires = shown_line(str(found.get("retires_at") or ""), 10)
    detail = f"{shown} ({shown_line(options.model, 60)})"
    stage = found.get("lifecycle")
    if stage == "retired":
        return Check(True, True, latency_ms, detail, f"the vendor has retired {shown}; set model.anthropic.model")
    if stage == "deprecated":
        detail += f", the vendor retires it {f'on {retires}' if retires else 'soon'}: choose its successor"
    if options.json_by == "format" and not _supports(found, "structured_outputs"):
        detail += ", knows no output format: JSON is asked for through a tool"
    return Check(True, True, latency_ms, detail)


def _supports(found: Mapping[str, Any], ability: str) -> bool:
    """Whether the model has an ability; one that is not listed may be there."""
    abilities = found.get("capabilities")
    told = abilities.get(ability) if isinstance(abilities, Mapping) else None
    return not isinstance(told, Mapping) or told.get("supported") is not False


async def _client(options: AnthropicModelOptions, context: EngineContext) -> AnthropicClient:
    """The client, with the key and what is trusted; both may lie in files, and it takes its time to be made."""
    account = context.account(AnthropicAccount)

    def make() -> AnthropicClient:
        key = require_secret(account.api_key, account.api_key_file, "accounts.anthropic.api_key")
        if not key.isascii() or any(character.isspace() or not character.isprintable() for character in key):
            raise ConfigurationError("accounts.anthropic.api_key has characters that no key has; copy it again")
        try:
            tls = ssl.create_default_context(cafile=options.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                f"model.anthropic.ca_file {options.ca_file} holds no certificates ({error}); check the path"
            ) from None
        where = f"Claude ({options.model}) at {options.shown_url}"
        return AnthropicClient(
            ClientSettings(options.shown_url, key, where, options.timeouts.connect_s, options.connections), tls
        )

    return await anyio.to_thread.run_sync(make)
