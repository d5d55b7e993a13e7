"""Whatever a recording is, it becomes text or says in a line why it does not; memory holds minutes of it."""

import io
import math
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from error_checks import raises_code

from promolift.extensions.media.settings import SpeechSettings
from promolift.extensions.media.speech import (
    NO_SPEECH,
    PIECE_S,
    SAMPLE_RATE,
    AudioRequest,
    RemoteRecogniser,
    open_recogniser,
    transcribe_recording,
)
from promolift.foundation.language_model import RecordedReplies, RemoteSettings, Reply, ReplyRecorder


def tone(seconds: float, rate: int = 8000, loud: float = 0.3) -> bytes:
    """A WAV file."""
    time = np.arange(round(seconds * rate)) / rate
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.sin(2 * math.pi * 300 * time) * loud * 32767).astype("<i2").tobytes())
    return out.getvalue()


class Ears:
    """Hears the same in every piece, and remembers how long they were."""

    def __init__(self, said: str = "en\thello") -> None:
        self.said, self.lengths = said, list[float]()

    def __call__(self, asks: Sequence[Any]) -> list[Reply]:
        self.lengths += [ask.seconds for ask in asks]
        return [Reply(self.said, "ears", None if self.said else NO_SPEECH) for _ in asks]


def heard(tmp_path: Path, content: bytes, ears: Any = None, **more: Any) -> Any:
    pytest.importorskip("av")
    path = tmp_path / "call.wav"
    path.write_bytes(content)
    return transcribe_recording(path, ears or Ears(), SpeechSettings(**more))


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 96000])
def test_any_usual_rate_is_heard_at_ours(tmp_path: Path, rate: int) -> None:
    ears = Ears()
    found = heard(tmp_path, tone(3.0, rate), ears)
    assert (found.text, found.language, found.fault) == ("hello", "en", None)
    assert ears.lengths[0] == pytest.approx(3.0, abs=0.1)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "cannot be decoded"),
        (b"RIFF but no more", "cannot be decoded"),
        (b"customer,time\n1,2\n", "cannot be decoded"),
        (tone(1.0, 4000), "sampled at 4,000 Hz"),
        (tone(2.0, loud=0.0), "silence"),
        (tone(0.0), "it holds no sound"),
    ],
)
def test_what_cannot_be_heard_says_why(tmp_path: Path, content: bytes, fault: str) -> None:
    found = heard(tmp_path, content)
    assert found.text is None
    assert fault in found.fault


def test_a_playlist_reaches_no_other_file(tmp_path: Path) -> None:
    (tmp_path / "other.wav").write_bytes(tone(2.0))
    assert "cannot be decoded" in heard(tmp_path, b"ffconcat version 1.0\nfile 'other.wav'\n").fault


def test_a_file_that_ends_early_gives_what_is_there(tmp_path: Path) -> None:
    assert heard(tmp_path, tone(4.0)[:40_000]).text == "hello"


def test_noise_in_which_nobody_speaks_is_said_so(tmp_path: Path) -> None:
    assert heard(tmp_path, tone(2.0), Ears("")).fault == "no speech is heard in it"


def test_a_long_recording_comes_in_pieces_and_one_too_long_is_named(tmp_path: Path) -> None:
    ears = Ears()
    found = heard(tmp_path, tone(PIECE_S * 2.5), ears)
    assert found.text == "hello hello hello"
    assert max(ears.lengths) < PIECE_S + 1
    assert sum(ears.lengths) == pytest.approx(PIECE_S * 2.5, abs=1)
    long = heard(tmp_path, tone(PIECE_S * 2.5), ears, most_minutes=10)
    assert "13 minutes long, more than speech.most_minutes = 10" in long.fault


def test_an_endpoint_is_asked_for_each_piece_and_its_answers_can_be_replayed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openai")
    monkeypatch.setenv("OPENAI_API_KEY", "a key")
    pieces = [AudioRequest(tone(60.0)[44:], "en"), AudioRequest(b"\1\2" * SAMPLE_RATE, "en")]
    with audio_endpoint([{"text": "where is my parcel"}, 500]) as (asked, url):
        ears = ReplyRecorder(RemoteRecogniser(RemoteSettings(base_url=url, retries=0), SpeechSettings()))
        first, second = ears(pieces[:1])[0], ears(pieces[1:])[0]
    assert first.text == "en\twhere is my parcel"
    assert first.cost_cents == pytest.approx(0.6 * pieces[0].seconds / 60)
    assert "500" in (second.fault or "")
    assert b"whisper-1" in asked[0]
    assert b"RIFF" in asked[0]
    ears.save(tmp_path / "records.jsonl")
    assert "parcel" not in pieces[0].user
    assert RecordedReplies(tmp_path / "records.jsonl")(pieces)[0] == first
    kind = SpeechSettings(recogniser="replay")
    assert open_recogniser(kind, RemoteSettings(), str(tmp_path / "records.jsonl"))(pieces)[0] == first


def audio_endpoint(script: list[Any]) -> Any:
    """The fake endpoint, which keeps bodies that are no JSON as they are."""
    import json
    import threading
    from contextlib import contextmanager
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    asked: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.rfile.read(int(self.headers["Content-Length"])))
            act = script.pop(0) if len(script) > 1 else script[0]
            body = b"{}" if isinstance(act, int) else json.dumps(act).encode()
            self.send_response(act if isinstance(act, int) else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    @contextmanager
    def running() -> Any:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield asked, f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    return running()


def test_a_missing_recogniser_or_model_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with raises_code("setting_missing", "llm.records"):
        open_recogniser(SpeechSettings(recogniser="replay"), RemoteSettings(), None)
    import sys

    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with raises_code("extra_missing", "promolift[speech]"):
        open_recogniser(SpeechSettings(), RemoteSettings(), None)
