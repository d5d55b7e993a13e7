"""Call language models: an OpenAI-compatible endpoint, a GGUF file in this process, or recorded replies.

Every model takes a list of prompts and returns one reply each, in order. A remote reply is checked, retried, and
bounded in time and cost; a local reply is constrained to its JSON schema while it is generated. A failure is a reply
with a `fault`, never an exception.
"""

import importlib
import json
import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from pydantic import Field

from promolift.foundation.errors import ConfigError, InputError
from promolift.foundation.hashing import hash_id
from promolift.foundation.settings import Settings


class Prompt(Protocol):
    """One prompt: two texts, a seed, and the JSON schema of the answer."""

    @property
    def system(self) -> str:
        """The role of the model and what it must not do."""

    @property
    def user(self) -> str:
        """The request."""

    @property
    def schema(self) -> Mapping[str, Any]:
        """The JSON schema of the answer."""

    @property
    def seed(self) -> int:
        """Makes the answer repeatable where the model can."""


@dataclass(frozen=True)
class Reply:
    """One answer. `fault` is None, or the reason why there is no usable text; `cost_cents` is the cost, charged for
    faulty replies too.
    """

    text: str
    model: str
    fault: str | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    cost_cents: float = 0.0
    attempts: int = 1


class LanguageModel(Protocol):
    """The interface of every model: prompts in, replies out."""

    def __call__(self, asks: Sequence[Prompt]) -> Sequence[Reply]:
        """Return one reply per prompt, in order."""


def prompt_id(ask: Prompt) -> str:
    """Return the key of a prompt, determined by its texts and seed."""
    return hash_id("ask", ask.system, ask.user, ask.seed)


class ReplyRecorder:
    """A model that records the replies of another model by the key of their prompt."""

    def __init__(self, writer: LanguageModel) -> None:
        """Wrap `writer`."""
        self.writer = writer
        self.replies: dict[str, Reply] = {}

    def __call__(self, asks: Sequence[Prompt]) -> Sequence[Reply]:
        """Return the wrapped model's replies and record them."""
        replies = self.writer(asks)
        self.replies |= {prompt_id(ask): reply for ask, reply in zip(asks, replies, strict=True)}
        return replies

    def save(self, path: Path) -> None:
        """Write one JSON object per line: `ask` (the key of the prompt) and the fields of the reply."""
        lines = [json.dumps({"ask": key, **asdict(reply)}, ensure_ascii=False) for key, reply in self.replies.items()]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


class RecordedReplies:
    """A model that answers from recorded replies. A prompt that was not recorded gets a faulty reply."""

    def __init__(self, path: Path) -> None:
        """Read a file written by ReplyRecorder.save. Raises InputError naming the first line that is not a record."""
        self.replies: dict[str, Reply] = {}
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise InputError(
                "file_not_found", f"llm: no records at {path} ({error.strerror}); record a run first"
            ) from None
        for i, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
                key = row.pop("ask")
                self.replies[key] = Reply(**row)
            except (ValueError, KeyError, TypeError, AttributeError):
                raise InputError(
                    "file_unreadable", f"{path}, line {i}: no record of a reply; record the run again"
                ) from None

    def __call__(self, asks: Sequence[Prompt]) -> list[Reply]:
        """Return the recorded replies, at no cost."""
        nothing = Reply("", "replay", "no such ask was recorded")
        return [self.replies.get(prompt_id(ask), nothing) for ask in asks]


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


class RemoteLanguageModel:
    """A model behind an OpenAI-compatible endpoint. `spent_cents` is its cost so far."""

    def __init__(self, settings: RemoteSettings) -> None:
        """Raise ConfigError if the client is not installed or the key is not in the environment."""
        self.settings = settings
        self.spent_cents = 0.0
        self._lock = threading.Lock()
        self._client = _client(settings)

    def __call__(self, asks: Sequence[Prompt]) -> list[Reply]:
        """Return one reply per prompt, in order, with up to `concurrency` requests at a time."""
        with ThreadPoolExecutor(self.settings.concurrency) as pool:
            return list(pool.map(self._one, asks))

    def _one(self, ask: Prompt) -> Reply:
        import openai

        model = self.settings.model
        if self.spent_cents >= self.settings.cost_cap_cents:
            return Reply("", model, f"the cost cap of {self.settings.cost_cap_cents:g} cents is reached", attempts=0)
        try:
            answer = self._ask(ask)
        except openai.APITimeoutError:
            return Reply("", model, f"no answer within {self.settings.timeout_s:g} s")
        except openai.APIStatusError as error:
            return Reply("", model, f"the endpoint answered {error.status_code}")
        except (openai.APIError, json.JSONDecodeError) as error:
            return Reply("", model, f"the endpoint gave no readable answer ({type(error).__name__})")
        return self._read(answer)

    def _ask(self, ask: Prompt) -> Any:
        return self._client.chat.completions.create(**self._body(ask))

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
        used = [
            count if isinstance(count := getattr(usage, f"{side}_tokens", 0), int) else 0
            for side in ("prompt", "completion")
        ]
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


def check_language_model(kind: str, settings: "LlmSettings") -> None:
    """Raise ConfigError for a package, key or file that `open_language_model` would miss; nothing is loaded."""
    package = {"remote": "openai", "local": "xllamacpp"}.get(kind)
    if package is None or find_spec(package) is None:
        open_language_model(kind, settings)  # which says what is missing, or reads a file of records
    elif kind == "remote" and not os.environ.get(settings.remote.key_env):
        _client(settings.remote)
    elif kind == "local" and not Path(local_settings(settings).path).is_file():
        _server(local_settings(settings))


def _client(settings: RemoteSettings) -> Any:
    try:
        import openai
    except ImportError:
        raise ConfigError("extra_missing", "llm: the client is not installed; `pip install 'promolift[llm]'`") from None
    key = os.environ.get(settings.key_env)
    if not key:
        raise ConfigError(
            "api_key_missing",
            f"llm: no key in the environment variable {settings.key_env}; set it (any text if none is needed)",
        )
    return openai.OpenAI(
        base_url=settings.base_url, api_key=key, timeout=settings.timeout_s, max_retries=settings.retries
    )


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


class LocalLanguageModel:
    """A model that runs in this process, loaded once. Each prompt starts without context, so the same prompt gives the
    same answer.
    """

    def __init__(self, settings: LocalSettings) -> None:
        """Raise ConfigError if the runtime is not installed, the file is missing, or it is not a model."""
        self.settings = settings
        self.model = Path(settings.path).name
        self._server = _server(settings)

    def __call__(self, asks: Sequence[Prompt]) -> list[Reply]:
        """Return one reply per prompt, one after the other."""
        return [self._one(ask) for ask in asks]

    def _one(self, ask: Prompt) -> Reply:
        body: dict[str, Any] = {
            "messages": [{"role": "system", "content": ask.system}, {"role": "user", "content": ask.user}],
            "max_tokens": self.settings.max_tokens,
            "temperature": self.settings.temperature,
            "seed": ask.seed,
            "json_schema": dict(ask.schema),
            "cache_prompt": False,  # a kept prompt changes the last bits, and with them the text
        }
        try:
            return parse_completion(self._server.handle_chat_completions(body), self.model)
        except Exception as error:  # the runtime raises bare RuntimeErrors of its own
            return Reply("", self.model, f"the model failed ({type(error).__name__}: {error})")


def parse_completion(answer: Any, model: str) -> Reply:
    """Return the reply in the runtime's answer. An error of any kind becomes a faulty reply."""
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
        raise ConfigError("file_not_found", f"llm: no model at {settings.path!r}; give the path of a GGUF file")
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read once, at import: waiting threads must not spin
    try:
        xllamacpp: Any = importlib.import_module("xllamacpp")
    except ImportError:
        raise ConfigError(
            "extra_missing", "llm: the runtime is not installed; `pip install 'promolift[llm]'`"
        ) from None
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
        raise ConfigError(
            "file_unreadable", f"llm: {settings.path!r} cannot be loaded as a GGUF model ({error})"
        ) from None


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


def local_settings(settings: LlmSettings) -> LocalSettings:
    """Return the settings of the model file, that of the environment first. Raises ConfigError if there is none."""
    path = os.environ.get(_GGUF)
    local = settings.local.model_dump() if settings.local else {}
    if not (path or local):
        raise ConfigError("setting_missing", f"llm.local.path: no model file; name a GGUF file there or in {_GGUF}")
    return LocalSettings.parse(local | ({"path": path} if path else {}), "llm.local")


def open_language_model(kind: str, settings: LlmSettings) -> LanguageModel:
    """Return the model `remote`, `local` or `replay`. Raises ConfigError naming the setting that is missing."""
    match kind:
        case "remote":
            given = {"base_url": os.environ.get(_URL), "model": os.environ.get(_MODEL)}
            known = settings.remote.model_dump() | {key: value for key, value in given.items() if value}
            return RemoteLanguageModel(RemoteSettings.parse(known, "llm.remote"))
        case "local":
            return LocalLanguageModel(local_settings(settings))
        case "replay":
            if settings.records is None:
                raise ConfigError(
                    "setting_missing", "llm.records: no records to replay; name the file a recorded run wrote"
                )
            return RecordedReplies(Path(settings.records))
    raise ConfigError("value_invalid", f"writer {kind!r}: known ones are local, remote and replay")
