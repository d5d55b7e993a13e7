"""Say in the reader's language which rule a value breaks, for the errors of pydantic."""

from collections.abc import Mapping
from typing import Any

from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.foundation.i18n.lazy_message import LazyMessage

MISSING = gettext_noop("is missing")
NUMBER, WHOLE = gettext_noop("must be a number"), gettext_noop("must be a whole number")
TEXT, YES_OR_NO = gettext_noop("must be text"), gettext_noop("must be true or false")
LIST, TABLE = gettext_noop("must be a list"), gettext_noop("must be a table of keys and values")
DATE = gettext_noop("must be a date such as 2026-11-30")
TIME = gettext_noop("must be a time such as 2026-11-30T08:00:00Z")
RULES = {  # by pydantic's type of error; the places are those of its context
    "missing": MISSING, "default_factory_not_called": MISSING,
    "extra_forbidden": gettext_noop("is no known key"),
    "float_type": NUMBER, "float_parsing": NUMBER, "finite_number": gettext_noop("must be a finite number"),
    "int_type": WHOLE, "int_parsing": WHOLE, "int_from_float": WHOLE,
    "int_parsing_size": gettext_noop("is too large a number"),
    "greater_than": gettext_noop("must be greater than {gt}"),
    "greater_than_equal": gettext_noop("must be at least {ge}"),
    "less_than": gettext_noop("must be less than {lt}"),
    "less_than_equal": gettext_noop("must be at most {le}"),
    "string_type": TEXT, "string_unicode": gettext_noop("must be text in UTF-8"), "path_type": TEXT,
    "string_too_short": gettext_noop("must have at least {min_length} characters"),
    "string_too_long": gettext_noop("must have at most {max_length} characters"),
    "string_pattern_mismatch": gettext_noop("must fit the pattern {pattern}"),
    "literal_error": gettext_noop("must be {expected}"),
    "bool_type": YES_OR_NO, "bool_parsing": YES_OR_NO,
    "list_type": LIST, "tuple_type": LIST, "set_type": LIST, "frozen_set_type": LIST, "named_tuple_type": LIST,
    "too_short": gettext_noop("must have at least {min_length} entries"),
    "too_long": gettext_noop("must have at most {max_length} entries"),
    "dict_type": TABLE, "model_type": TABLE, "dataclass_type": TABLE, "mapping_type": TABLE,
    "date_type": DATE, "date_parsing": DATE, "date_from_datetime_parsing": DATE, "date_from_datetime_inexact": DATE,
    "datetime_type": TIME, "datetime_parsing": TIME, "datetime_from_date_parsing": TIME,
    "timezone_aware": gettext_noop("must name its time zone, such as +08:00 or Z"),
    "ip_any_network": gettext_noop("must be a network such as 10.0.0.0/8"),
}  # fmt: skip


def broken_rule(error: Mapping[str, Any]) -> LazyMessage:
    """Return what is wrong, of one entry of `ValidationError.errors()`: by the text of a rule of our own, else by the
    type of the error.
    """
    context = error.get("ctx", {})
    own = context.get("error")
    if isinstance(own, Exception):
        text = getattr(own, "message", own.args[0] if own.args else "")
        return text if isinstance(text, LazyMessage) else LazyMessage.of(str(own), {})
    rule = RULES.get(error["type"])
    return LazyMessage.of(rule, context) if rule else LazyMessage.of(error["msg"], {})
