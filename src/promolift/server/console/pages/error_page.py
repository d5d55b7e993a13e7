"""What a person reads when something did not work: why, in plain words, and where to go on."""

import logging
from http import HTTPStatus

from pydantic import ValidationError

from promolift.foundation.errors import PromoError
from promolift.foundation.i18n.lazy_message import render_message
from promolift.foundation.i18n.validation_text import broken_rule
from promolift.server.api.problems import ApiError
from promolift.server.console.pages.context import PermissionDeniedError, Screen, sentence
from promolift.server.console.pages.form_refill import Remedy
from promolift.server.ledger.refusals import REFUSALS
from promolift.server.ledger.schema import Refused
from promolift.server.translations import translate_key

REMEDIES = {  # where a person goes on after a refusal; its name is of the group `remedy` in server/translations.tsv
    "no_config": "/data", "no_files": "/data", "demo_data": "/data", "set_up_already": "/data",
    "release_missing": "/plan", "release_unknown": "/plan", "not_approved": "/plan", "job_running": "/plan",
    "test_running": "/tests", "arms_missing": "/plan", "customer_unknown": "/customers", "text_unknown": "/words",
    "text_exists": "/words", "person_unknown": "/people", "last_admin": "/people",
}  # fmt: skip
LOG = logging.getLogger("promolift.server.console")


def error_screen(error: Exception) -> Screen:
    """Return the page of an error: what happened, and what to do."""
    title, status, role, code = "did_not_work", 422, "", getattr(error, "code", "internal")
    match error:
        case PermissionDeniedError():
            title, status, role, text = "not_your_role", 403, error.role, ""
        case Refused():
            known = REFUSALS.get(code)
            text = render_message(error.message)
            status = known.status if known else 422
        case ApiError():
            status, text = error.status, render_message(error.message)
        case ValidationError():
            first = error.errors()[0]
            code, text = "invalid", f"{'.'.join(map(str, first['loc']))}: {render_message(broken_rule(first))}"
        case PromoError():
            text = render_message(error.message)
        case _:
            LOG.error("console failed", exc_info=error)
            status, code, text = 500, "internal", sentence("failed_inside")
    data = {"text": text, "code": code, "status": HTTPStatus(status).phrase, "role": role, "remedy": remedy(code)}
    return Screen("error.html", sentence("nothing_here" if status == 404 else title), data, status=status)


def remedy(code: str) -> Remedy | None:
    """Return where a person goes on after a refusal, and what that is called; None where they repeat it."""
    path = REMEDIES.get(code)
    return Remedy(path, translate_key("remedy", path)) if path else None
