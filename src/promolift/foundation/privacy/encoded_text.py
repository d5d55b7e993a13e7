"""Decode text that stands encoded inside other text or bytes, so that a search sees what a reader would see.

`readings` undoes the escapes of URLs, HTML, JSON, SQL and e-mail, base64 and hexadecimal digits; `inflated` unpacks
compressed streams (gzip, zlib) that stand anywhere, as in a PDF or a database's field.
"""

import html
import re
import zlib
from binascii import Error, a2b_base64, unhexlify
from collections.abc import Callable, Iterator
from functools import lru_cache
from mmap import mmap
from typing import NamedTuple

PASSES = 4  # escapes inside escapes: a URL in HTML in JSON
ESCAPE = re.compile(
    rb"[%&\\](?:(?<=%)(?:[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4})"
    rb"|(?<=&)(?:#(?:[0-9]{1,7}|[xX][0-9A-Fa-f]{1,6});?|[A-Za-z][A-Za-z0-9]{1,30};)"
    rb"|(?<=\\)\\*(?:u[0-9A-Fa-f]{4}(?:\\+u[0-9A-Fa-f]{4})*|u\{[0-9A-Fa-f]{1,6}\}|x[0-9A-Fa-f]{2}|[0-3][0-7]{2}"
    rb"|[nrt/]|\r?\n))"
)
QUOTED = re.compile(rb"=(?:[0-9A-Fa-f]{2}|[ \t]*\r?\n)")  # quoted-printable, also without its mail
KERNING = re.compile(rb"[)>]\s*-?[0-9.]+\s*[(<]")  # between the parts of a word of a PDF
WIDE = re.compile(rb"\0[\t\n\r -~]\0[\t\n\r -~]\0")  # UTF-16
SIGNS = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"/": b"/"}
BASE64_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
TO_BASE64 = bytes.maketrans(b"-_", b"+/")  # the alphabet of URLs
NOT_BASE64 = bytes({*range(256)}.difference(BASE64_LETTERS + b"-_"))
BASE64_RUN = re.compile(rb"[A-Za-z0-9+/]{6,}")
PACKED_BASE64 = re.compile(rb"(?:H4sI|eJ|eN|eF|eA)[A-Za-z0-9+/]{12,}")  # as gzip and zlib begin
ESCAPED_AT = (b"\\u0040", b"&#64;", b"%40")  # the sign of an address, inside base64
HEX_RUN = re.compile(rb"[0-9A-Fa-f]{8,}")
NOT_HEX = bytes({*range(256)}.difference(b"0123456789ABCDEFabcdef"))
STREAM = re.compile(rb"\x1f\x8b\x08|\x78[\x01\x5e\x9c\xda]")
PIECE_BYTES, MAX_STREAM_BYTES = 1 << 20, 4 << 30


class Reading(NamedTuple):
    """The data as one encoding reads it."""

    encoding: str
    data: bytes


def readings(data: bytes, may_hold: Callable[[bytes], bool], packed: bool = False) -> Iterator[Reading]:
    """Yield what bytes say once they are decoded, by the name of the encoding; without those that change nothing.

    `may_hold` says quickly whether bytes hold what is looked for: base64 is decoded word by word only then. With
    `packed`, compressed streams are unpacked, too. ValueError for a stream that unpacks to more than 4 GiB.
    """
    words = [KERNING.sub(b"", data)] if b"TJ" in data else []
    for text in (*_narrow(data), *words):
        plain = unescape(text)
        if plain != data:
            yield Reading("escapes", plain)
        for mail in {text, plain}:
            if QUOTED.search(mail):
                yield Reading("quoted-printable", unescape(QUOTED.sub(_quoted, mail)))
        yield from _base64(plain, may_hold)
        yield from _hexadecimal(plain, may_hold)
        for stream in (each for some in {text, plain} for each in inflated(some) if packed):
            for piece in stream:
                yield Reading("compressed", piece)
                yield from readings(piece, may_hold)


def unescape(data: bytes) -> bytes:
    """Return bytes without the escapes of URLs, HTML, JSON, SQL and programs, also where they are escaped again."""
    for _ in range(PASSES):
        plain = ESCAPE.sub(_escaped, data)
        if plain == data:
            break
        data = plain
    return data


def inflated(data: bytes | mmap) -> Iterator[Iterator[bytes]]:
    """Yield each compressed stream (gzip or zlib) that stands in bytes, or in a file's map, as its pieces in order. A
    stream that is cut or damaged ends there. ValueError for one that unpacks to more than 4 GiB.
    """
    at = 0
    while found := STREAM.search(data, at):
        ends = [found.start() + 1]
        if (pieces := _pieces(data, found.start(), ends)) and (first := next(pieces, b"")):
            yield _with(first, pieces)
            for _ in pieces:  # where a reader stopped early
                pass
        at = ends[0]


def _with(first: bytes, others: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from others


def _pieces(data: bytes | mmap, at: int, ends: list[int]) -> Iterator[bytes]:
    """The pieces of the stream that begins there; where it ends goes into `ends` if it is whole."""
    unpacker, size = zlib.decompressobj(47), 0
    with memoryview(data) as view:
        while not unpacker.eof and at < len(view):
            given = view[at : at + PIECE_BYTES]
            at += len(given)
            waiting: bytes | memoryview = given
            try:
                while waiting and not unpacker.eof:
                    piece = unpacker.decompress(waiting, PIECE_BYTES)
                    waiting = unpacker.unconsumed_tail
                    size += len(piece)
                    if size > MAX_STREAM_BYTES:
                        raise ValueError("a compressed stream unpacks to more than 4 GiB")
                    if piece:
                        yield piece
            except zlib.error:
                return
        if unpacker.eof:
            ends[0] = at - len(unpacker.unused_data)


def _quoted(found: re.Match[bytes]) -> bytes:
    code = found[0][1:]
    return bytes([int(code, 16)]) if code.strip() else b""


def _escaped(found: re.Match[bytes]) -> bytes:
    return _character(found[0])


@lru_cache(1 << 16)
def _character(escape: bytes) -> bytes:
    """What an escape stands for, in UTF-8."""
    if escape.startswith(b"&"):
        return html.unescape(escape.decode()).encode(errors="replace")
    code = escape.lstrip(b"%\\")
    if code.startswith(b"u{"):
        return chr(min(int(code[2:-1], 16), 0x10FFFF)).encode(errors="replace")
    if code.startswith(b"u"):
        return bytes.fromhex(re.sub(rb"[u\\]", b"", code).decode()).decode("utf-16-be", "replace").encode()
    if code in SIGNS:
        return SIGNS[code]
    if not code.strip():  # a line that goes on
        return b""
    if code.startswith(b"x") or escape.startswith(b"%"):
        return bytes([int(code.removeprefix(b"x"), 16)])
    return bytes([int(code, 8)])


def _base64(data: bytes, may_hold: Callable[[bytes], bool]) -> Iterator[Reading]:
    """The words of base64 in a text, decoded from each of the four places at which a group of letters may begin."""
    text = data.translate(TO_BASE64)
    joined = text.translate(None, b"\r\n\t >")  # words that go over lines
    whole = data.translate(TO_BASE64, NOT_BASE64)  # as if all were one word: quick, and nothing is missed
    looks = (_decoded(whole[start:]).replace(b"\0", b"") for start in range(4))
    if any(may_hold(each) or any(sign in each for sign in ESCAPED_AT) for each in looks):
        for name, runs in (("base64", BASE64_RUN.findall(text)), ("base64 in lines", BASE64_RUN.findall(joined))):
            for start in range(4):
                yield from _plain(name, b"\n".join(_decoded(run[start:]) for run in runs))
    for word in PACKED_BASE64.findall(joined):
        for stream in inflated(_decoded(word)):
            for piece in stream:
                yield from _plain("compressed base64", piece)


def _hexadecimal(data: bytes, may_hold: Callable[[bytes], bool]) -> Iterator[Reading]:
    whole = data.translate(None, NOT_HEX)  # as if all were one number
    if any(may_hold(_bytes_of(whole[start:]).replace(b"\0", b"")) for start in (0, 1)):
        for start in (0, 1):
            yield from _plain("hexadecimal", b"\n".join(_bytes_of(run[start:]) for run in HEX_RUN.findall(data)))


def _plain(encoding: str, data: bytes) -> Iterator[Reading]:
    for text in _narrow(data):
        yield from (Reading(encoding, each) for each in {text, unescape(text)})


def _narrow(data: bytes) -> list[bytes]:
    """The bytes, and without zeros if they seem to hold UTF-16."""
    if not WIDE.search(data):
        return [data]
    # without zeros whatever the byte order; decoded for letters beyond ASCII, which may begin at an odd byte of a file
    wide = (data[start:].decode(order, "replace") for order in ("utf-16-le", "utf-16-be") for start in (0, 1))
    return [data, data.replace(b"\0", b""), *(text.encode("utf-8", "replace") for text in wide)]


def _decoded(run: bytes) -> bytes:
    run = run[: len(run) - (len(run) % 4 == 1)]
    try:
        return a2b_base64(run + b"=" * (-len(run) % 4))
    except Error:
        return b""


def _bytes_of(digits: bytes) -> bytes:
    return unhexlify(digits[: len(digits) // 2 * 2])
