"""Errors of the API as RFC 9457 problem+json: status, code, detail, request_id, and errors with JSON pointers.

A refusal by a business rule also carries a sentence in both languages that a shop can show to its customers or staff.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from http import HTTPStatus
from math import ceil
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError
from starlette.responses import Response

from promolift.foundation.errors import PromoError
from promolift.foundation.executors.bounded_pool import RETRY_S, PoolFullError
from promolift.foundation.i18n.lazy_message import LazyMessage, gettext_lazy
from promolift.foundation.i18n.validation_text import broken_rule
from promolift.foundation.localized_text import LocalizedText
from promolift.server.ledger.refusals import REFUSALS
from promolift.server.ledger.schema import LedgerError, Refused
from promolift.server.ledger.secrets import SealBrokenError


@dataclass(frozen=True)
class FieldError:
    """One wrong field."""

    pointer: Annotated[str, Field(description="RFC 6901 JSON pointer into the body, or the name of a parameter")]
    message: str


class Problem(BaseModel):
    """RFC 9457. `code` is stable, for machines; `reason` says it to a shop's people where a rule refused."""

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str
    request_id: str
    errors: list[FieldError] = []
    reason: LocalizedText | None = None


class ApiError(PromoError):
    """An error with its HTTP status and code; `errors`: the fields that are wrong."""

    def __init__(self, status: int, code: str, detail: LazyMessage, *errors: FieldError) -> None:
        """`detail` is the sentence for people."""
        super().__init__(code, detail)
        self.status, self.errors = status, list(errors)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.status, self.code, self.message, *self.errors)


def field_error(detail: LazyMessage, pointer: str, message: str) -> ApiError:
    """Return the error of a request in which one field is wrong."""
    return ApiError(422, "invalid", detail, FieldError(pointer, message))


def problem_response(error: Exception, request_id: str) -> Response:
    """Return the response to an error; an unexpected error is 500 without any internal detail."""
    known = _known(error)
    body = {
        "type": "about:blank", "title": HTTPStatus(known.status).phrase, "status": known.status, "code": known.code,
        "detail": str(known), "request_id": request_id, "errors": [asdict(each) for each in known.errors],
    }  # fmt: skip
    if known.code in REFUSALS:
        body["reason"] = REFUSALS[known.code].words.model_dump()
    headers = {each.pointer: str(ceil(float(each.message))) for each in known.errors if each.pointer == "retry-after"}
    return Response(json.dumps(body), known.status, headers, "application/problem+json")


def validation_error(errors: Iterable[Any]) -> ApiError:
    """Return the ApiError for pydantic's list of errors."""
    wrong = []
    for each in errors:
        parts = [part for part in each["loc"] if part not in ("body", "query", "path", "header")]
        pointer = "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in parts)
        wrong.append(FieldError(pointer, broken_rule(each)))
    return ApiError(422, "invalid", gettext_lazy("the request breaks the rules named in errors"), *wrong)


def _known(error: Exception) -> ApiError:
    match error:
        case ApiError():
            return error
        case ValidationError():
            return validation_error(error.errors())
        case Refused(code=code):
            return ApiError(REFUSALS[code].status, code, error.message)
        case SealBrokenError():
            return ApiError(500, error.code, error.message)
        case LedgerError():
            return ApiError(503, "ledger_unavailable", gettext_lazy("nothing was kept; try again later"))
        case PoolFullError():
            return ApiError(503, error.code, error.message, FieldError("retry-after", f"{RETRY_S}"))
        case PromoError():
            return ApiError(422, error.code, error.message)
    return ApiError(500, "internal", gettext_lazy("something failed inside; the log has it under this request_id"))
