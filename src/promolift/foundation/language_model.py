"""Call language models: an OpenAI-compatible endpoint, a GGUF file in this process, or recorded replies.

Every model takes a list of prompts and returns one reply each, in order. A remote reply is checked, retried, and
bounded in time and cost; a local reply is constrained to its JSON schema while it is generated. A failure is a reply
with a `fault`, never an exception. `UsageMeter` counts what a model spends, `estimate_usage` what it would spend.
"""

import importlib
import json
import os
import re
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from pydantic import Field

from promolift.foundation.errors import ConfigError, InputError
from promolift.foundation.hashing import hash_id
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.settings import Settings


class Prompt(Protocol):
    """One prompt: two texts, a seed, and the JSON schema of the answer.

    A prompt may also have `max_tokens`, where its answer is longer than the settings of the model allow.
    """

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
    faulty replies too. `attempts` is 0 where the cost cap forbade the call.
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


def answer_tokens(ask: Prompt, at_least: int) -> int:
    """Return how many tokens the answer to a prompt may have: what the prompt needs, or the model's setting."""
    return max(at_least, int(getattr(ask, "max_tokens", 0)))


_WIDE = re.compile(r"[^\x00-\u2e7f]")
TOKENS_PER_MESSAGE = 8


def estimate_tokens(text: str) -> int:
    """Return about how many tokens a text has, rather too many than too few.

    A wide character (Chinese) counts as one token and three others as one; tokenisers of today need fewer.
    """
    wide = len(_WIDE.findall(text))
    return wide - (-(len(text) - wide) // 3)


def prompt_tokens(ask: Prompt) -> int:
    """Return about how many tokens a prompt sends, its schema included."""
    texts = (ask.system, ask.user, json.dumps(ask.schema))
    return sum(map(estimate_tokens, texts)) + 2 * TOKENS_PER_MESSAGE


class Usage(NamedTuple):
    """Requests, tokens sent and received, and their cost."""

    requests: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost_cents: float = 0.0


TOKEN_CAP = "the token cap"  # how the fault of a call begins that `token_cap` forbade


class UsageMeter:
    """A model that adds up what another model spends. `capped` is the setting that forbade a call, if any."""

    def __init__(self, model: LanguageModel) -> None:
        """Wrap `model`."""
        self.model = model
        self.usage = Usage()
        self.capped: Literal["", "cost_cap_cents", "token_cap"] = ""

    def __call__(self, asks: Sequence[Prompt]) -> Sequence[Reply]:
        """Return the replies of the wrapped model and count them."""
        replies = self.model(asks)
        for reply in replies:
            if reply.attempts == 0:
                self.capped = "token_cap" if str(reply.fault).startswith(TOKEN_CAP) else "cost_cap_cents"
            spent = (int(reply.attempts > 0), reply.tokens_in, reply.tokens_out, reply.cost_cents)
            self.usage = Usage(*(a + b for a, b in zip(self.usage, spent, strict=True)))  # type: ignore[arg-type]
        return replies


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
                "file_not_found",
                gettext_lazy(
                    "llm: no records at {path} ({strerror}); record a run first", path=path, strerror=error.strerror
                ),
            ) from None
        for i, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
                key = row.pop("ask")
                self.replies[key] = Reply(**row)
            except (ValueError, KeyError, TypeError, AttributeError):
                raise InputError(
                    "file_unreadable",
                    gettext_lazy("{path}, line {i}: no record of a reply; record the run again", path=path, i=i),
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
    max_tokens: int = Field(
        default=200,
        ge=16,
        description="Length of one answer, in tokens, at most. A request for several drafts allows more: as many as "
        "their number needs.",
    )
    temperature: float = Field(default=0.8, ge=0, le=2, description="How freely the model chooses its words.")
    cost_cap_cents: float = Field(
        default=100.0,
        ge=0,
        description="What a run may spend, in cents. A call that could exceed it, with the longest answer it allows, "
        "is not made, and the command ends with `cost_cap_reached`.",
    )
    token_cap: int | None = Field(
        default=None,
        ge=1,
        description="What a run may send and receive together, in tokens; left out: the cost alone counts. A call that "
        "could exceed it is not made, as with `cost_cap_cents`.",
        examples=[200000],
    )
    price_in_cents: float = Field(default=15.0, ge=0, description="Cents per million tokens sent.")
    price_out_cents: float = Field(default=60.0, ge=0, description="Cents per million tokens received.")


NO_SCHEMA_STATUS = (400, 404, 422, 501)
NO_SCHEMA = re.compile(r"response_format|json_schema|structured|guided", re.IGNORECASE)
_FENCED = re.compile(r"\{.*\}", re.DOTALL)
ResponseFormat = Literal["json_schema", "json_object", "text"]
RESPONSE_FORMATS: tuple[ResponseFormat, ...] = ("json_schema", "json_object", "text")


class RemoteLanguageModel:
    """A model behind an OpenAI-compatible endpoint. `spent_cents` is its cost so far.

    The endpoint is asked for structured output. If it refuses that, it is asked for a JSON object, then for text, and
    the schema goes into the prompt.
    """

    def __init__(self, settings: RemoteSettings) -> None:
        """Raise ConfigError if the client is not installed or the key is not in the environment."""
        self.settings = settings
        self.spent_cents, self.spent_tokens = 0.0, 0
        self._under_way, self._reserved_cents, self._reserved_tokens = 0, 0.0, 0
        self._settled = threading.Condition()
        self._format: ResponseFormat = "json_schema"
        self._client = _client(settings)

    def __call__(self, asks: Sequence[Prompt]) -> list[Reply]:
        """Return one reply per prompt, in order, with up to `concurrency` requests at a time."""
        with ThreadPoolExecutor(self.settings.concurrency) as pool:
            return list(pool.map(self._one, asks))

    def _one(self, ask: Prompt) -> Reply:
        model, most, tokens = self.settings.model, self._most_cents(ask), self._most_tokens(ask)
        if fault := self._reserve(most, tokens):
            return Reply("", model, fault, attempts=0)
        reply = Reply("", model)
        try:
            reply = self._answer(ask)
        finally:
            with self._settled:
                self._under_way -= 1
                self._reserved_cents = self._reserved_cents - most if self._under_way else 0.0
                self._reserved_tokens -= tokens
                self.spent_cents += reply.cost_cents
                self.spent_tokens += reply.tokens_in + reply.tokens_out
                self._settled.notify_all()
        return reply

    def _most_cents(self, ask: Prompt) -> float:
        """What a call may cost: its prompt and the longest answer it allows."""
        return price_cents(self.settings, prompt_tokens(ask), answer_tokens(ask, self.settings.max_tokens))

    def _most_tokens(self, ask: Prompt) -> int:
        """How many tokens a call may send and receive."""
        return prompt_tokens(ask) + answer_tokens(ask, self.settings.max_tokens)

    def _reserve(self, most: float, tokens: int) -> str:
        """Set the cost of a call aside; the fault if it could exceed a cap. Waits for calls under way to be settled."""
        with self._settled:
            while fault := self._over_cap(most, tokens):
                if not self._under_way:
                    return fault
                self._settled.wait()
            self._under_way += 1
            self._reserved_cents += most
            self._reserved_tokens += tokens
            return ""

    def _over_cap(self, most: float, tokens: int) -> str:
        if self.spent_cents + self._reserved_cents + most > self.settings.cost_cap_cents:
            return f"the cost cap of {self.settings.cost_cap_cents:g} cents does not allow this call"
        cap = self.settings.token_cap
        if cap is not None and self.spent_tokens + self._reserved_tokens + tokens > cap:
            return f"{TOKEN_CAP} of {cap} tokens does not allow this call"
        return ""

    def _answer(self, ask: Prompt) -> Reply:
        import openai

        model = self.settings.model
        try:
            answer = self._ask(ask)
        except openai.APITimeoutError:
            return Reply("", model, f"no answer within {self.settings.timeout_s:g} s")
        except openai.APIStatusError as error:
            return Reply("", model, f"the endpoint answered {error.status_code}")
        except (openai.APIError, json.JSONDecodeError) as error:
            return Reply("", model, f"the endpoint gave no readable answer ({type(error).__name__})")
        return self._read(ask, answer)

    def _ask(self, ask: Prompt) -> Any:
        import openai

        while True:
            form = self._format
            try:
                return self._client.chat.completions.create(**self._body(ask, form))
            except openai.APIStatusError as error:
                refused = error.status_code in NO_SCHEMA_STATUS and NO_SCHEMA.search(f"{error} {error.body}")
                if form == "text" or not refused:
                    raise
                self._format = RESPONSE_FORMATS[RESPONSE_FORMATS.index(form) + 1]

    def _body(self, ask: Prompt, form: ResponseFormat) -> dict[str, Any]:
        schema = dict(ask.schema)
        system = ask.system if form == "json_schema" else f"{ask.system}\nJSON schema: {json.dumps(schema)}"
        body: dict[str, Any] = {
            "model": self.settings.model,
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": ask.user}],
            "max_tokens": answer_tokens(ask, self.settings.max_tokens),
            "temperature": self.settings.temperature,
            "seed": ask.seed,
        }
        if form == "json_schema":
            strict = {"name": "answer", "schema": schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": strict}
        elif form == "json_object":
            body["response_format"] = {"type": "json_object"}
        return body

    def _read(self, ask: Prompt, answer: Any) -> Reply:
        """The text of an answer, whatever shape the endpoint gave it, and its cost: estimated where it tells none."""
        choices = getattr(answer, "choices", None)
        choice = choices[0] if isinstance(choices, list) and choices else None
        message = getattr(choice, "message", None)
        text, refusal = getattr(message, "content", None), getattr(message, "refusal", None)
        usage = getattr(answer, "usage", None)
        guess = {"prompt": prompt_tokens(ask), "completion": estimate_tokens(str(text or ""))}
        used = [
            count if isinstance(count := getattr(usage, f"{side}_tokens", None), int) else guess[side]
            for side in ("prompt", "completion")
        ]
        fault = None
        if refusal:
            fault = "the model refused"
        elif getattr(choice, "finish_reason", None) == "length":
            fault = "the answer was cut off"
        elif not isinstance(text, str) or not text.strip():
            fault = "the answer was empty"
        elif self._format != "json_schema" and (inner := _FENCED.search(text)):
            text = inner.group()
        cost = price_cents(self.settings, *used)
        return Reply("" if fault else str(text), self.settings.model, fault, used[0], used[1], cost)


def price_cents(settings: RemoteSettings, tokens_in: int, tokens_out: int) -> float:
    """Return what so many tokens cost at an endpoint, in cents."""
    return (tokens_in * settings.price_in_cents + tokens_out * settings.price_out_cents) / 1e6


def estimate_usage(asks: Sequence[Prompt], settings: RemoteSettings) -> Usage:
    """Return what prompts cost at most, each with the longest answer it allows; nothing is called."""
    sent = sum(map(prompt_tokens, asks))
    received = sum(answer_tokens(ask, settings.max_tokens) for ask in asks)
    return Usage(len(asks), sent, received, price_cents(settings, sent, received))


EndpointFault = Literal["key_missing", "key_refused", "unreachable"]
PROBE_SECONDS = 2.0


class _NoRedirect(HTTPRedirectHandler):
    """Follows no redirect, which would take the key to another host."""

    def redirect_request(self, *_: Any) -> None:
        """Return None: the redirect itself is the answer."""


def find_endpoint_fault(settings: RemoteSettings, timeout_s: float = PROBE_SECONDS) -> EndpointFault | None:
    """Return why an endpoint cannot be used now; None if it answers. Asks for its list of models, which is free."""
    key = os.environ.get(settings.key_env)
    if not key:
        return "key_missing"
    address = f"{settings.base_url.rstrip('/')}/models"
    try:
        asked = Request(address, headers={"Authorization": f"Bearer {key}"})
        build_opener(_NoRedirect).open(asked, timeout=timeout_s).close()
    except HTTPError as error:
        return "key_refused" if error.code in (401, 403) else "unreachable" if error.code >= 500 else None
    except (OSError, ValueError):
        return "unreachable"
    return None


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
        raise ConfigError(
            "extra_missing", gettext_lazy("llm: the client is not installed; `pip install 'promolift[llm]'`")
        ) from None
    key = os.environ.get(settings.key_env)
    if not key:
        raise ConfigError(
            "api_key_missing",
            gettext_lazy(
                "llm: no key in the environment variable {key_env}; set it (any text if none is needed)",
                key_env=settings.key_env,
            ),
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
            "max_tokens": answer_tokens(ask, self.settings.max_tokens),
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
        raise ConfigError(
            "file_not_found",
            gettext_lazy("llm: no model at {path}; give the path of a GGUF file", path=repr(settings.path)),
        )
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read once, at import: waiting threads must not spin
    try:
        xllamacpp: Any = importlib.import_module("xllamacpp")
    except ImportError:
        raise ConfigError(
            "extra_missing", gettext_lazy("llm: the runtime is not installed; `pip install 'promolift[llm]'`")
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
            "file_unreadable",
            gettext_lazy(
                "llm: {path} cannot be loaded as a GGUF model ({error})", path=repr(settings.path), error=error
            ),
        ) from None


_URL, _MODEL, _GGUF = "PROMOLIFT_LLM_URL", "PROMOLIFT_LLM_MODEL", "PROMOLIFT_LLM_GGUF"


class LlmSettings(Settings):
    """The models at hand. PROMOLIFT_LLM_URL, _MODEL and _GGUF in the environment win over what is written here."""

    remote: RemoteSettings = RemoteSettings()
    judge: RemoteSettings | None = Field(
        default=None,
        description="Another endpoint, which judges texts. Left out: the model that drafts them judges them, too.",
    )
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
        raise ConfigError(
            "setting_missing",
            gettext_lazy("llm.local.path: no model file; name a GGUF file there or in {gguf}", gguf=_GGUF),
        )
    return LocalSettings.parse(local | ({"path": path} if path else {}), "llm.local")


def remote_settings(settings: LlmSettings) -> RemoteSettings:
    """Return the settings of the endpoint, those of the environment first."""
    given = {"base_url": os.environ.get(_URL), "model": os.environ.get(_MODEL)}
    known = settings.remote.model_dump() | {key: value for key, value in given.items() if value}
    return RemoteSettings.parse(known, "llm.remote")


def open_judge(kind: str, settings: LlmSettings) -> LanguageModel:
    """Return the model that judges texts: the endpoint of `llm.judge`, else the model `kind`."""
    return RemoteLanguageModel(settings.judge) if settings.judge else open_language_model(kind, settings)


def open_language_model(kind: str, settings: LlmSettings) -> LanguageModel:
    """Return the model `remote`, `local` or `replay`. Raises ConfigError naming the setting that is missing."""
    match kind:
        case "remote":
            return RemoteLanguageModel(remote_settings(settings))
        case "local":
            return LocalLanguageModel(local_settings(settings))
        case "replay":
            if settings.records is None:
                raise ConfigError(
                    "setting_missing",
                    gettext_lazy("llm.records: no records to replay; name the file a recorded run wrote"),
                )
            return RecordedReplies(Path(settings.records))
    raise ConfigError(
        "value_invalid", gettext_lazy("writer {kind}: known ones are local, remote and replay", kind=repr(kind))
    )
