"""A name and settings in, the writer of that name out."""

import os
from pathlib import Path

from pydantic import Field

from promolift.errors import ConfigError
from promolift.llm.local import LocalSettings, LocalWriter
from promolift.llm.remote import RemoteSettings, RemoteWriter
from promolift.llm.reply import Replay, Writer
from promolift.settings import Settings

_URL, _MODEL, _GGUF = "PROMOLIFT_LLM_URL", "PROMOLIFT_LLM_MODEL", "PROMOLIFT_LLM_GGUF"


class LlmSettings(Settings):
    """The models at hand. PROMOLIFT_LLM_URL, _MODEL and _GGUF in the environment win over what is written here."""

    remote: RemoteSettings = RemoteSettings()
    local: LocalSettings | None = None
    records: str | None = Field(
        default=None,
        description="For the writer `replay`: file of a recorded run, one JSON object per line, from the folder of "
        "the command.",
        examples=["replies.jsonl"],
    )


def writer_of(kind: str, settings: LlmSettings) -> Writer:
    """The writer `remote`, `local` or `replay`. Raises ConfigError naming the setting it lacks."""
    match kind:
        case "remote":
            given = {"base_url": os.environ.get(_URL), "model": os.environ.get(_MODEL)}
            known = settings.remote.model_dump() | {key: value for key, value in given.items() if value}
            return RemoteWriter(RemoteSettings.parse(known, "llm.remote"))
        case "local":
            path = os.environ.get(_GGUF)
            local = settings.local.model_dump() if settings.local else {}
            if not (path or local):
                raise ConfigError(f"llm.local.path: no model file; name a GGUF file there or in {_GGUF}")
            return LocalWriter(LocalSettings.parse(local | ({"path": path} if path else {}), "llm.local"))
        case "replay":
            if settings.records is None:
                raise ConfigError("llm.records: no records to replay; name the file a recorded run wrote")
            return Replay(Path(settings.records))
    raise ConfigError(f"writer {kind!r}: known ones are local, remote and replay")
