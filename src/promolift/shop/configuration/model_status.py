"""Say which endpoints of language models are set and cannot be used now, or are called by nothing."""

from functools import lru_cache
from time import monotonic
from typing import NamedTuple
from urllib.parse import urlsplit

from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.language_model import EndpointFault, RemoteSettings, find_endpoint_fault, remote_settings
from promolift.shop.configuration.configuration import Config

PROBE_AGAIN_SECONDS = 60


class EndpointNote(NamedTuple):
    """One thing to know of an endpoint, in the current language; `fault`: something calls it and it cannot answer."""

    text: str
    fault: bool


def endpoint_notes(config: Config) -> list[EndpointNote]:
    """Return what is wrong with the endpoints that the settings name; nothing where all answer and are called.

    Each endpoint is asked for its list of models, at most once a minute, which costs nothing.
    """
    called = uses_remote(config)
    found = list[EndpointNote]()
    if called or "remote" in config.llm.model_fields_set:
        settings = remote_settings(config.llm)
        found += _unusable("llm.remote", settings, called)
        if not called:
            found.append(EndpointNote(gettext(
                "llm.remote is set, and nothing calls it: message.writer is {writer}. To draft texts with it, write "
                "message.writer = \"remote\".", writer=config.message.writer,
            ), False))  # fmt: skip
    if config.llm.judge is not None:
        found += _unusable("llm.judge", config.llm.judge, True)
    return found


def uses_remote(config: Config) -> bool:
    """Whether some command calls `llm.remote`: it drafts texts, or reads what customers wrote or said."""
    heard = config.data.words is not None and "remote" in (config.words.reader, config.speech.recogniser)
    return config.message.writer == "remote" or heard


def _unusable(where: str, settings: RemoteSettings, called: bool) -> list[EndpointNote]:
    why = _probe(settings, int(monotonic() // PROBE_AGAIN_SECONDS))
    host = urlsplit(settings.base_url).netloc.rpartition("@")[2]
    texts = {
        "key_missing": gettext("{where}: the environment variable {variable} holds no key.", where=where,
                               variable=settings.key_env),
        "key_refused": gettext("{where}: {host} refuses the key in {variable}.", where=where, host=host,
                               variable=settings.key_env),
        "unreachable": gettext("{where}: {host} cannot be reached.", where=where, host=host),
    }  # fmt: skip
    return [EndpointNote(texts[why], called)] if why else []


@lru_cache(maxsize=16)
def _probe(settings: RemoteSettings, minute: int) -> EndpointFault | None:
    return find_endpoint_fault(settings)
