"""Asks in, replies of an OpenAI-compatible endpoint out: structured output, retries, time limits, a cap on cost."""

import json
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pydantic import Field

from promolift.errors import ConfigError
from promolift.llm.reply import Prompt, Reply
from promolift.settings import Settings


class RemoteSettings(Settings):
    """Where an OpenAI-compatible endpoint is, and what it may cost."""

    base_url: str = Field(
        default="https://api.openai.com/v1", pattern=r"^https?://", description="Address of the endpoint."
    )
    model: str = Field(default="gpt-4o-mini", min_length=1, description="Name of the model, as the endpoint knows it.")
    key_env: str = Field(
        default="OPENAI_API_KEY",
        pattern=r"^[A-Z][A-Z0-9_]*$",
        description="Environment variable that holds the key, which is kept nowhere else.",
    )
    timeout_s: float = Field(default=30.0, gt=0, description="Seconds that one attempt may take.")
    retries: int = Field(
        default=3,
        ge=0,
        le=10,
        description="Further attempts after a 408, 409, 429, 5xx or a lost connection, with growing pauses or as long "
        "as Retry-After says.",
    )
    concurrency: int = Field(default=4, ge=1, le=64, description="Requests under way at the same time.")
    max_tokens: int = Field(default=200, ge=16, description="Length of one answer, in tokens, at most.")
    temperature: float = Field(default=0.8, ge=0, le=2, description="How freely the model chooses its words.")
    cost_cap_cents: float = Field(
        default=100.0,
        ge=0,
        description="Once a run has spent so many cents, nothing more is asked; what is under way may exceed it by "
        "`concurrency` answers.",
    )
    price_in_cents: float = Field(default=15.0, ge=0, description="Cents per million tokens sent.")
    price_out_cents: float = Field(default=60.0, ge=0, description="Cents per million tokens received.")


class RemoteWriter:
    """A model behind an endpoint. `spent_cents` is what it has cost so far."""

    def __init__(self, settings: RemoteSettings) -> None:
        """Raise ConfigError if the client is not installed or the key is not in the environment."""
        self.settings = settings
        self.spent_cents = 0.0
        self._lock = threading.Lock()
        self._client = _client(settings)

    def __call__(self, asks: Sequence[Prompt]) -> list[Reply]:
        """One reply per ask, in order, `concurrency` of them at a time."""
        with ThreadPoolExecutor(self.settings.concurrency) as pool:
            return list(pool.map(self._one, asks))

    def _one(self, ask: Prompt) -> Reply:
        import openai

        model = self.settings.model
        if self.spent_cents >= self.settings.cost_cap_cents:
            return Reply("", model, f"the cost cap of {self.settings.cost_cap_cents:g} cents is reached", attempts=0)
        try:
            answer = self._client.chat.completions.create(**self._body(ask))
        except openai.APITimeoutError:
            return Reply("", model, f"no answer within {self.settings.timeout_s:g} s")
        except openai.APIStatusError as error:
            return Reply("", model, f"the endpoint answered {error.status_code}")
        except (openai.APIError, json.JSONDecodeError) as error:
            return Reply("", model, f"the endpoint gave no readable answer ({type(error).__name__})")
        return self._read(answer)

    def _body(self, ask: Prompt) -> dict[str, Any]:
        return {
            "model": self.settings.model,
            "messages": [{"role": "system", "content": ask.system}, {"role": "user", "content": ask.user}],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "draft", "schema": dict(ask.schema), "strict": True},
            },
            "max_tokens": self.settings.max_tokens,
            "temperature": self.settings.temperature,
            "seed": ask.seed,
        }

    def _read(self, answer: Any) -> Reply:
        """The text of an answer, whatever shape the endpoint gave it, and its cost."""
        usage = getattr(answer, "usage", None)
        used = [count if isinstance(count := getattr(usage, f"{side}_tokens", 0), int) else 0 for side in _SIDES]
        cost = (used[0] * self.settings.price_in_cents + used[1] * self.settings.price_out_cents) / 1e6
        with self._lock:
            self.spent_cents += cost
        choices = getattr(answer, "choices", None)
        choice = choices[0] if isinstance(choices, list) and choices else None
        message = getattr(choice, "message", None)
        text, refusal = getattr(message, "content", None), getattr(message, "refusal", None)
        fault = None
        if refusal:
            fault = "the model refused"
        elif getattr(choice, "finish_reason", None) == "length":
            fault = "the answer was cut off"
        elif not isinstance(text, str) or not text.strip():
            fault = "the answer was empty"
        return Reply("" if fault else str(text), self.settings.model, fault, used[0], used[1], cost)


_SIDES = ("prompt", "completion")


def _client(settings: RemoteSettings) -> Any:
    try:
        import openai
    except ImportError:
        raise ConfigError("llm: the client is not installed; `pip install 'promolift[llm]'`") from None
    key = os.environ.get(settings.key_env)
    if not key:
        raise ConfigError(
            f"llm: no key in the environment variable {settings.key_env}; set it (any text if none is needed)"
        )
    return openai.OpenAI(
        base_url=settings.base_url, api_key=key, timeout=settings.timeout_s, max_retries=settings.retries
    )
