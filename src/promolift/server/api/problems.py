"""Every error the API answers, as RFC 9457 problem+json: status, code, detail, request_id, and errors with pointers.

A refusal by a rule says it in words, too, that a shop can show its customer or its staff, in both languages.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError
from starlette.responses import Response

from promolift.foundation.errors import PromoError
from promolift.foundation.i18n.text import Words
from promolift.server.ledger.refusals import REFUSALS
from promolift.server.ledger.schema import LedgerError, Refused


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
    reason: Words | None = None


class ApiError(PromoError):
    """An error with its HTTP status and code; `errors`: the fields that are wrong."""

    def __init__(self, status: int, code: str, detail: str, *errors: FieldError) -> None:
        """`detail` is the sentence for people."""
        super().__init__(code, detail)
        self.status, self.errors = status, list(errors)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.status, self.code, self.message, *self.errors)


def wrong_field(detail: str, pointer: str, message: str) -> ApiError:
    """The error of a request in which one field is wrong."""
    return ApiError(422, "invalid", detail, FieldError(pointer, message))


def problem(error: Exception, request_id: str) -> Response:
    """The response to an error; what nobody expected is 500, with no word of its inside."""
    known = _known(error)
    body = {
        "type": "about:blank", "title": HTTPStatus(known.status).phrase, "status": known.status, "code": known.code,
        "detail": str(known), "request_id": request_id, "errors": [asdict(each) for each in known.errors],
    }  # fmt: skip
    if known.code in REFUSALS:
        body["reason"] = REFUSALS[known.code].words.model_dump()
    return Response(json.dumps(body), known.status, media_type="application/problem+json")


def invalid(errors: Iterable[Any]) -> ApiError:
    """From pydantic's list of errors."""
    wrong = []
    for each in errors:
        parts = [part for part in each["loc"] if part not in ("body", "query", "path", "header")]
        pointer = "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in parts)
        wrong.append(FieldError(pointer, each["msg"].removeprefix("Value error, ")))
    return ApiError(422, "invalid", "the request breaks the rules named in errors", *wrong)


def _known(error: Exception) -> ApiError:
    match error:
        case ApiError():
            return error
        case ValidationError():
            return invalid(error.errors())
        case Refused(code=code):
            return ApiError(REFUSALS[code].status, code, str(error))
        case LedgerError():
            return ApiError(503, "ledger_unavailable", "nothing was kept; try again later")
        case PromoError():
            return ApiError(422, error.code, str(error))
    return ApiError(500, "internal", "something failed inside; the log has it under this request_id")
