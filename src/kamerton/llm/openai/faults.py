"""What went wrong at a server with OpenAI's interface, in our words, and how the service failed. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from kamerton.domain.errors import Fault, VendorError
from kamerton.domain.foreign_text import LONGEST_REMARK, shown_line
from kamerton.llm.model_errors import model_error, retry_after_s
from kamerton.llm.openai.server_settings import OpenAICompatibleSettings

_WORDS: Final[dict[str, Fault]] = {
    "insufficient_quota": "quota",
    "billing_hard_limit_reached": "quota",
    "account_deactivated": "unauthorised",
    "invalid_api_key": "unauthorised",
    "unsupported_country_region_territory": "unauthorised",
    "rate_limit_exceeded": "rate_limited",
    "slow_down": "rate_limited",
    "context_length_exceeded": "rejected",
    "server_error": "failed",
}
"""Codes and types of errors that say more than their HTTP status. Source: OpenAI's list of error codes."""


class Faults:
    """Errors of one server. None of them holds the key, even when the server repeats it."""

    def __init__(self, settings: OpenAICompatibleSettings) -> None:
        self._settings = settings

    def of_status(self, status: int, headers: Mapping[str, str], body: object) -> VendorError:
        """The error of an HTTP response."""
        fault = _fault_of(status, body)
        pause_s = retry_after_s(headers.get("retry-after"))
        asked = (
            f" and asks to wait {pause_s:g} s" if pause_s is not None and fault in ("rate_limited", "failed") else ""
        )
        what = f"{_advice(status, fault)}{asked} (HTTP {status}{self._quoted(body)})"
        return model_error(self._settings.where, what, fault, pause_s)

    def midway(self, error: object) -> VendorError:
        """The server says inside its stream that it failed."""
        fault = _word_fault(error) or "failed"
        what = f"failed in the middle of its answer; look at its log{self._quoted(error)}"
        return model_error(self._settings.where, what, fault, code="model_stream")

    def broken_off(self) -> VendorError:
        """The stream ended without an end."""
        what = "broke off in the middle of its answer; ask again and look at its log"
        return model_error(self._settings.where, what, "connection", code="model_stream")

    def nonsense(self) -> VendorError:
        """What came is not the protocol."""
        what = "answers what is no chat completion; check that url leads to an OpenAI-compatible API"
        return model_error(self._settings.where, what, "broken")

    def no_stream(self, began: str) -> VendorError:
        """The response is a document: a page of a proxy or a web site, or an answer in one piece."""
        what = "a web page" if began.lstrip().startswith("<") else "one JSON document"
        advice = "url leads to no streaming API; set the address of an OpenAI-compatible one, with its version"
        remark = self._quoted(_error_of(began))
        where = self._settings.where
        return model_error(where, f"answers with {what} instead of a stream: {advice}{remark}", "broken")

    def not_connected(self, *, in_time: bool, distrusted: bool) -> VendorError:
        """There is no connection.

        Args:
            in_time: it failed before the time for connecting ran out.
            distrusted: the server's certificate is the reason.
        """
        if distrusted:
            what = "has a certificate that is not trusted; check the address, a proxy in between, or set ca_file"
        elif in_time:
            what = "cannot be reached or hangs up; check that it runs, url and the network"
        else:
            what = "does not accept connections in time; check the network and the server's load"
        return model_error(self._settings.where, what, "connection" if in_time else "timeout")

    def _quoted(self, body: object) -> str:
        """A server's own words, without the key and without what a terminal obeys; empty when there are none."""
        said = body.get("message") if isinstance(body, dict) else body
        if not isinstance(said, str) or not said.strip():
            return ""
        if self._settings.api_key:
            said = said.replace(self._settings.api_key, "***")
        return f": {shown_line(said, LONGEST_REMARK)}"


def _error_of(document: str) -> object:
    """The error that a JSON document tells, if it is one and does."""
    try:
        found = json.loads(document)
    except (ValueError, RecursionError):
        return None
    return found.get("error") if isinstance(found, dict) else None


def _word_fault(error: object) -> Fault | None:
    """The fault by the server's own word for it."""
    if not isinstance(error, dict):
        return None
    words = (error.get("code"), error.get("type"))
    return next((_WORDS[word] for word in words if isinstance(word, str) and word in _WORDS), None)


def _fault_of(status: int, body: object) -> Fault:
    told = _word_fault(body)
    if told is not None and (told != "failed" or status >= 500):
        return told
    if status in (401, 403):
        return "unauthorised"
    if status in (402, 429):
        return "quota" if status == 402 else "rate_limited"
    if status == 408:
        return "timeout"
    return "failed" if status >= 500 or status == 409 else "rejected"


def _advice(status: int, fault: Fault) -> str:
    if status == 401:
        return "rejects the API key; set the right one"
    if fault == "unauthorised":
        return "forbids this key the model; check the account's rights and region"
    if status == 404:
        return "does not know the model or the path; check model and url"
    if fault == "quota":
        return "refuses because the account's quota or money is used up; raise the limit or pay"
    if fault == "rate_limited":
        return "is overloaded or its quota is used up; lower the load or raise the quota"
    if fault in ("failed", "timeout"):
        return "failed; look at its log or status page"
    return "rejects the request; check json_mode, token_limit_field, the length of the prompt and the model's abilities"
