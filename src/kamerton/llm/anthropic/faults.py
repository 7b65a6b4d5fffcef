"""The API's errors in our words: over HTTP, and inside a stream that had begun well.

Source: the SDK's `types/shared/error_type.py` and `types/shared/*_error_details.py`, the vendor's page on errors, and
what its API says of a used-up credit (HTTP 400, `invalid_request_error`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kamerton.domain.errors import Fault, VendorError
from kamerton.domain.foreign_text import LONGEST_REMARK, shown_line
from kamerton.llm.model_errors import model_error, retry_after_s

_TYPES: Final[dict[str, Fault]] = {
    "authentication_error": "unauthorised",
    "permission_error": "unauthorised",
    "billing_error": "quota",
    "rate_limit_error": "rate_limited",
    "not_found_error": "rejected",
    "request_too_large": "rejected",
    "invalid_request_error": "rejected",
    "timeout_error": "failed",
    "api_error": "failed",
    "overloaded_error": "failed",
}
_USED_UP: Final = ("spend_limit", "billing", "on_hold", "credit balance", "spend limit", "usage limit")
"""Parts of `details.error_code`, and of messages, that tell of a limit which outlasts a call."""
_STATUSES: Final[dict[int, Fault]] = {
    401: "unauthorised",
    402: "quota",
    403: "unauthorised",
    408: "failed",
    409: "failed",
    429: "rate_limited",
}
_ADVICE: Final[dict[Fault, str]] = {
    "unauthorised": "refuses the API key, or the key's rights to this model; set accounts.anthropic.api_key",
    "quota": "has used up the credit or the spend limit of the account; raise it in the vendor's console",
    "rate_limited": "has reached the account's rate limit of requests or tokens; lower the load or raise the limit",
    "rejected": "rejects the request; check model, url and the settings of model.anthropic",
    "failed": "failed on the server's side; look at the vendor's status page",
    "broken": "answers what is no streamed message; check that url leads to the Messages API",
    "timeout": "is too slow",
    "connection": "cannot be reached or hangs up; check url, the network and the vendor's status page",
}
_OVERLOADED: Final = "is overloaded, which passes; look at the vendor's status page if it does not"
_UNKNOWN_MODEL: Final = "does not know the model or the path; check model and url"


@dataclass(frozen=True, slots=True)
class Remark:
    """What an error's body tells."""

    type: str = ""
    message: str = ""
    code: str = ""
    """`details.error_code`."""


def remark_of(body: object) -> Remark:
    """Read `{"type": "error", "error": {"type", "message", "details"?}}`; anything else tells nothing."""
    error = body.get("error") if isinstance(body, Mapping) else None
    if isinstance(error, str):
        return Remark(message=error)
    if not isinstance(error, Mapping):
        return Remark()
    details = error.get("details")
    code = details.get("error_code") if isinstance(details, Mapping) else None
    found = (error.get("type"), error.get("message"), code)
    return Remark(*(value if isinstance(value, str) else "" for value in found))


def of_status(where: str, status: int, body: object, retry_after: str | None, key: str) -> VendorError:
    """The error of an HTTP response.

    Args:
        where: model and address.
        status: of the response.
        body: its JSON, if it is any.
        retry_after: the header.
        key: the secret, which servers may repeat.
    """
    remark = remark_of(body)
    if 300 <= status < 400:
        return model_error(where, f"is redirected elsewhere (HTTP {status}); set url to where the API is", "broken")
    usual: Fault = "failed" if status >= 500 else "rejected"
    fault = _fault_of(remark, _STATUSES.get(status) or _TYPES.get(remark.type) or usual)
    what = _what(fault, remark, status)
    return model_error(where, f"{what} (HTTP {status}{_said(remark, key)})", fault, retry_after_s(retry_after))


def of_event(where: str, body: object, key: str) -> VendorError:
    """The error that an event inside the stream tells: HTTP 200 was sent long before."""
    remark = remark_of(body)
    fault = _fault_of(remark, _TYPES.get(remark.type, "failed"))
    what = f"broke off with an error: it {_what(fault, remark, 0)}"
    return model_error(
        where, f"{what} ({_said(remark, key).lstrip(', ') or 'no reason given'})", fault, None, "model_stream"
    )


def said(body: object, key: str) -> str:
    """The words of an error's document, without the key; empty when there are none."""
    return _said(remark_of(body), key)


def _fault_of(remark: Remark, usual: Fault) -> Fault:
    told = f"{remark.code} {remark.message}".lower()
    if usual in ("rejected", "rate_limited", "unauthorised") and any(sign in told for sign in _USED_UP):
        return "quota"
    return usual


def _what(fault: Fault, remark: Remark, status: int) -> str:
    if status == 529 or remark.type == "overloaded_error":
        return _OVERLOADED
    if status == 404 or remark.type == "not_found_error":
        return _UNKNOWN_MODEL
    return _ADVICE[fault]


def _said(remark: Remark, key: str) -> str:
    parts = (shown_line(_bare(remark.type, key), 60), shown_line(_bare(remark.message, key), LONGEST_REMARK))
    return "".join(f", {part}" for part in parts if part)


def _bare(text: str, key: str) -> str:
    return text.replace(key, "***") if key else text
