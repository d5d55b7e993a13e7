"""Asks in, replies of a GGUF model in this process out, each held to its grammar while it is written."""

import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from promolift.errors import ConfigError
from promolift.llm.reply import Prompt, Reply
from promolift.settings import Settings


class LocalSettings(Settings):
    """Which model file runs in this process, and how."""

    path: str = Field(
        min_length=1,
        description="Model file in the GGUF format, from the folder of the command.",
        examples=["models/small.gguf"],
    )
    threads: int = Field(default=1, ge=1, description="Threads it may use; 1 leaves the other cores to the rest.")
    context: int = Field(default=2048, ge=256, description="Tokens that question and answer may have together.")
    max_tokens: int = Field(default=120, ge=16, description="Length of one answer, in tokens, at most.")
    temperature: float = Field(default=0.5, ge=0, le=2, description="How freely the model chooses its words.")


class LocalWriter:
    """A model loaded once. The same ask gives the same answer: nothing is kept between asks."""

    def __init__(self, settings: LocalSettings) -> None:
        """Raise ConfigError if the runtime is not installed, the file is missing, or it is no model."""
        self.settings = settings
        self.model = Path(settings.path).name
        self._server = _server(settings)

    def __call__(self, asks: Sequence[Prompt]) -> list[Reply]:
        """One reply per ask, in order, one after the other."""
        return [self._one(ask) for ask in asks]

    def _one(self, ask: Prompt) -> Reply:
        body: dict[str, Any] = {
            "messages": [{"role": "system", "content": ask.system}, {"role": "user", "content": ask.user}],
            "max_tokens": self.settings.max_tokens,
            "temperature": self.settings.temperature,
            "seed": ask.seed,
            "cache_prompt": False,  # a kept prompt changes the last bits, and with them the text
        }
        body |= {"grammar": ask.grammar} if ask.grammar else {"json_schema": dict(ask.schema)}
        try:
            return read_answer(self._server.handle_chat_completions(body), self.model)
        except Exception as error:  # the runtime raises bare RuntimeErrors of its own
            return Reply("", self.model, f"the model failed ({type(error).__name__}: {error})")


def read_answer(answer: Any, model: str) -> Reply:
    """The reply in the runtime's answer; an error of any kind is a failed attempt."""
    if not isinstance(answer, dict) or "error" in answer or answer.get("code", 200) != 200:
        return Reply("", model, f"the model failed ({str(answer)[:200]})")
    usage = answer.get("usage") or {}
    try:
        choice = answer["choices"][0]
        text = choice["message"]["content"] or ""
    except (KeyError, IndexError, TypeError):
        return Reply("", model, "the model gave no readable answer")
    fault = "the answer was cut off" if choice.get("finish_reason") == "length" else None
    fault = fault if text.strip() else "the answer was empty"
    return Reply("" if fault else text, model, fault, usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0))


def _server(settings: LocalSettings) -> Any:
    if not Path(settings.path).is_file():
        raise ConfigError(f"llm: no model at {settings.path!r}; give the path of a GGUF file")
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read once, at import: waiting threads must not spin
    try:
        xllamacpp: Any = importlib.import_module("xllamacpp")
    except ImportError:
        raise ConfigError("llm: the runtime is not installed; `pip install 'promolift[llm]'`") from None
    params = xllamacpp.CommonParams()
    params.model.path = settings.path
    params.n_ctx = settings.context
    params.n_parallel = 1
    params.cpuparams.n_threads = settings.threads
    params.cpuparams_batch.n_threads = settings.threads
    params.warmup = False
    try:
        return xllamacpp.Server(params)
    except Exception as error:
        raise ConfigError(f"llm: {settings.path!r} cannot be loaded as a GGUF model ({error})") from None
