"""A local endpoint that behaves as told, request by request: a fake at the seam, spoken to over real HTTP."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

GOOD = '{"title":"An easier evening","line":"After a long day, soup warms the kitchen."}'


def answer(text: Any = GOOD, finish: str = "stop", refusal: str | None = None, tokens: int = 20) -> dict[str, Any]:
    """A chat completion as the API documents it."""
    message = {"role": "assistant", "content": text, "refusal": refusal}
    return {
        "id": "x", "object": "chat.completion", "created": 0, "model": "fake",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 10 * tokens, "completion_tokens": tokens, "total_tokens": 11 * tokens},
    }  # fmt: skip


class FakeEndpoint:
    """Plays `script` in order, its last entry for ever: a status, a status with a body, a body (dict or bytes), 'hang'
    or 'drop', or a function that makes one of these of the request."""

    def __init__(self, script: list[Any]) -> None:
        self.script, self.requests, self.at_once, self.most_at_once = script, [], 0, 0
        self.lock, self.released = threading.Lock(), threading.Event()

    def next(self, request: dict[str, Any]) -> Any:
        with self.lock:
            self.requests.append(request)
            act = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return act(request) if callable(act) else act


@contextmanager
def serving(*script: Any, models: int = 200) -> Iterator[tuple[FakeEndpoint, str]]:
    """The endpoint and its base URL. Its list of models is answered with the status `models`, and is no request."""
    fake = FakeEndpoint(list(script))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with fake.lock:
                fake.at_once += 1
                fake.most_at_once = max(fake.most_at_once, fake.at_once)
            try:
                self.play(fake.next(body))
            finally:
                with fake.lock:
                    fake.at_once -= 1

        def do_GET(self) -> None:
            self.send(models, b'{"data":[]}')

        def play(self, act: Any) -> None:
            if act == "hang":
                fake.released.wait(5)
            elif act == "slow":
                time.sleep(0.05)
                self.send(200, json.dumps(answer()).encode())
            elif act == "drop":
                self.close_connection = True
                self.connection.close()
            elif isinstance(act, tuple):
                self.send(act[0], json.dumps(act[1]).encode())
            elif isinstance(act, int):
                self.send(act, b'{"error":{"message":"as told"}}')
            else:
                self.send(200, act if isinstance(act, bytes) else json.dumps(act).encode())

        def send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("retry-after-ms", "1")
            if status == 302:
                self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield fake, f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        fake.released.set()
        server.shutdown()
        server.server_close()
