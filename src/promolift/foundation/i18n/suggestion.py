"""Suggest the known name that a person meant."""

from collections.abc import Iterable
from difflib import get_close_matches

from promolift.foundation.i18n.lazy_message import NOTHING, LazyMessage, gettext_lazy


def did_you_mean(name: str, known: Iterable[str], otherwise: LazyMessage) -> LazyMessage:
    """Return "did you mean 'x'?", or `otherwise` if no known name is near."""
    near = get_close_matches(name, list(known), n=1)
    return gettext_lazy("did you mean {near}?", near=repr(near[0])) if near else otherwise


def suggest_nearest(name: str, known: Iterable[str]) -> LazyMessage:
    """Return "; did you mean 'x'?", or nothing if no known name is near."""
    near = get_close_matches(name, list(known), n=1)
    return gettext_lazy("; did you mean {near}?", near=repr(near[0])) if near else NOTHING
