"""What a stranger sends before a key is looked at costs neither time nor memory nor a connection for long."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from time import monotonic, sleep

import pytest
from serve_helpers import Api, free_port

pytest.importorskip("httptools")
from promolift.server.api import connection_limits
from promolift.server.api import server as api_server
from promolift.server.api.app import HttpServer, uvicorn_config


@pytest.fixture
def address(api: Api) -> Iterator[tuple[str, int]]:
    """A real server behind its door, with room for three connections."""
    config = uvicorn_config(api.client.app, "127.0.0.1", free_port(), connections=3)
    config.lifespan = "off"
    server = HttpServer(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        sleep(0.02)
    yield "127.0.0.1", config.port
    server.should_exit = True
    thread.join()


def answer(peer: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    peer.settimeout(20)
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := peer.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def test_an_endless_header_is_refused_while_it_comes(address: tuple[str, int]) -> None:
    start, end = b"GET / HTTP/1.1\r\n", b"\r\n\r\n"
    long_path, many = [b"GET /" + b"a" * 40_000 + b" HTTP/1.1" + end], [start + b"a: b\r\n" * 150 + end]
    for pieces in ([start + b"x: "] + [b"a" * 65_536] * 900, long_path, many, [start] * 3000):
        started = monotonic()
        with socket.create_connection(address) as peer:
            with contextlib.suppress(OSError):
                for piece in pieces:
                    peer.sendall(piece)
            said = answer(peer)
        assert said[:12] in (
            b"HTTP/1.1 431",
            b"HTTP/1.1 400",
            b"",
        )  # closed before all was sent: the answer may be lost
        assert monotonic() - started < 5


def test_a_large_body_is_no_large_head(address: tuple[str, int]) -> None:
    body = b"x" * 200_000
    head = b"POST /health/live HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
    with socket.create_connection(address) as peer:
        for _ in range(2):
            peer.sendall(head + body)
            said = peer.recv(65_536)
            while b"request_id" not in said:
                said += peer.recv(65_536)
            assert said.startswith(b"HTTP/1.1 405"), said[:60]
            assert b" 431 " not in said


def test_a_half_sent_request_is_closed_and_a_whole_one_is_not(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_limits, "HEAD_S", 0.2)
    monkeypatch.setattr(connection_limits, "BODY_S", 0.2)
    for sent, expected in (
        (b"", b""), (b"POST /v1/batch HTTP/1.1\r\nx:", b"HTTP/1.1 408"),
        (b"POST /v1/batch HTTP/1.1\r\ncontent-length: 50\r\n\r\n{", b""),
        (b"GET /health/live HTTP/1.1\r\nconnection: close\r\n\r\n", b"HTTP/1.1 200"),
    ):  # fmt: skip
        with socket.create_connection(address) as peer:
            peer.sendall(sent)
            assert answer(peer)[:12].startswith(expected)


def test_no_more_connections_than_there_is_room_for(address: tuple[str, int]) -> None:
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(socket.create_connection(address)) for _ in range(3)]
        sleep(0.3)
        with socket.create_connection(address) as one_more:
            assert answer(one_more).startswith(b"HTTP/1.1 503")
        peers[0].sendall(b"GET /health/live HTTP/1.1\r\nconnection: close\r\n\r\n")
        assert answer(peers[0]).startswith(b"HTTP/1.1 200")


def test_answers_in_one_write_are_those_of_uvicorn(
    address: tuple[str, int], api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two requests at once, the second of an HTTP/1.0 client: each is answered, with all headers, then it is over."""
    body = b'{"customer_id": "u01"}'
    head = b"POST /v1/decisions HTTP/1.%d\r\nauthorization: Bearer %b\r\ncontent-length: %d\r\n\r\n"
    both = b"".join(head % (minor, api.key.encode(), len(body)) + body for minor in (1, 0))

    def told() -> list[tuple[list[bytes], set[str]]]:
        with socket.create_connection(address) as peer:
            peer.sendall(both)
            texts = answer(peer).split(b"HTTP/1.1 ")[1:]
        parts = [text.split(b"\r\n\r\n") for text in texts]
        names = [sorted(line.split(b":")[0] for line in head.split(b"\r\n")) for head, _ in parts]
        return [(name, set(json.loads(said))) for name, (_, said) in zip(names, parts, strict=True)]

    written = told()
    assert len(written) == 2
    assert [b"connection" in names for names, _ in written] == [False, True]
    monkeypatch.setattr(api_server, "send_in_one_write", lambda *_: False)
    assert written == told()


def test_who_left_is_not_waited_for_and_the_server_goes_on(address: tuple[str, int], api: Api) -> None:
    body = b'{"customer_id": "u01"}'
    head = b"POST /v1/decisions HTTP/1.1\r\nauthorization: Bearer %b\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
    for _ in range(20):
        with socket.create_connection(address) as peer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            peer.sendall(head % (api.key.encode(), len(body)) + body)
    with socket.create_connection(address) as peer:
        peer.sendall(head % (api.key.encode(), len(body)) + body)
        assert answer(peer).startswith(b"HTTP/1.1 200")
