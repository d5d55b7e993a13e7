"""Say which endpoints of language models are set and cannot be used now, or are called by nothing."""

from functools import lru_cache
from time import monotonic
from typing import NamedTuple
from urllib.parse import urlsplit

from promolift.foundation.errors import ConfigError
from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.language_model import (
    EndpointFault,
    LanguageModel,
    RemoteSettings,
    find_endpoint_fault,
    open_judge,
    open_language_model,
    remote_settings,
)
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


def has_judge(config: Config) -> bool:
    """Whether a model is configured that reads texts of people."""
    return config.message.writer != "pool" or config.llm.judge is not None


def load_model(config: Config) -> LanguageModel:
    """Return the model that drafts. ConfigError `llm_not_configured` where none is configured."""
    if config.message.writer == "pool":
        raise ConfigError(
            "llm_not_configured",
            gettext_lazy(
                "message.writer = 'pool': no model is configured; write remote, local or replay and its [llm]"
            ),
        )
    return open_language_model(config.message.writer, config.llm)


def load_judge(config: Config) -> LanguageModel:
    """Return the model that reads texts: its own endpoint, else the model that drafts."""
    return open_judge(config.message.writer, config.llm) if config.llm.judge else load_model(config)
