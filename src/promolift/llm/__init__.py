"""Door to language models: asks in, one reply each out, in order; a failure is a reply that says why, never a crash.

`remote` speaks to any OpenAI-compatible endpoint, `local` runs a GGUF file in this process, `replay` answers from
records and keeps them. All are called alike, `writer(asks)`. Who asks decides what an ask says and what to do with a
faulty reply; nothing here knows what an offer is.
"""

from typing import TYPE_CHECKING

from promolift.lazy import lazy

__all__ = [
    "Heard", "LlmSettings", "LocalSettings", "LocalWriter", "Prompt", "Recorder", "RemoteSettings", "RemoteWriter",
    "Replay", "Reply", "SpeechSettings", "Writer", "hear", "recogniser_of", "writer_of",
]  # fmt: skip

if TYPE_CHECKING:
    from promolift.llm.speech import Heard, SpeechSettings, hear, recogniser_of
    from promolift.llm.writers import (
        LlmSettings,
        LocalSettings,
        LocalWriter,
        Prompt,
        Recorder,
        RemoteSettings,
        RemoteWriter,
        Replay,
        Reply,
        Writer,
        writer_of,
    )  # fmt: skip
else:
    lazy(__name__)
