"""Read a form with files (`multipart/form-data`, RFC 7578) as it arrives: files go to disk, fields stay in memory.

A browser without the console's script sends files so.
"""

import re
from pathlib import Path
from typing import BinaryIO

from promolift.server.console.pages.context import SentFile

HEADER_BYTES = 8192  # of one part
BOUNDARY = re.compile(r'multipart/form-data;.*boundary="?([^";,]{1,70})"?', re.IGNORECASE)
NAME, FILE_NAME = re.compile(r'[; ]name="([^"]*)"'), re.compile(r'[; ]filename="([^"]*)"')


class FormTooLargeError(Exception):
    """The form has more bytes than it may have, or is no form."""


class MultipartForm:
    """The fields and files of a form, once all of it was fed."""

    def __init__(self, boundary: str, folder: Path, field_bytes: int, file_bytes: int) -> None:
        """Files go to `folder`; `field_bytes` and `file_bytes` are what all fields and all files may have together."""
        self.fields: dict[str, str] = {}
        self.files: list[SentFile] = []
        self._mark, self._rest = b"\r\n--" + boundary.encode(), bytearray(b"\r\n")
        self._folder, self._left = folder, {"field": field_bytes, "file": file_bytes}
        self._name, self._value = "", bytearray()
        self._out: BinaryIO | None = None
        self._in_headers = self._ended = False

    def feed(self, piece: bytes) -> None:
        """Take the next bytes. Raises FormTooLargeError."""
        self._rest += piece
        while not self._ended and self._advance():
            pass
        if self._ended:
            self._rest.clear()

    def close(self) -> None:
        """Close the file that is open, if the form broke off."""
        if self._out:
            self._out.close()

    def _advance(self) -> bool:
        """Work off a part's headers or content; False if more bytes are needed."""
        if self._in_headers:
            self._ended = self._rest.startswith(b"--")
            end = self._rest.find(b"\r\n\r\n")
            if end < 0 and len(self._rest) > HEADER_BYTES:
                raise FormTooLargeError
            if self._ended or end < 0:
                return False
            self._begin(self._rest[:end].decode("utf-8", "replace"))
            del self._rest[: end + 4]
            return True
        end = self._rest.find(self._mark)
        whole = end if end >= 0 else max(len(self._rest) - len(self._mark) + 1, 0)
        self._keep(bytes(self._rest[:whole]))
        del self._rest[:whole]
        if end < 0:
            return False
        del self._rest[: len(self._mark)]
        self._finish()
        return True

    def _begin(self, headers: str) -> None:
        name, file = NAME.search(headers), FILE_NAME.search(headers)
        self._name, self._value, self._in_headers = name[1] if name else "", bytearray(), False
        if file:
            path = self._folder / str(len(self.files))
            self.files.append(SentFile(file[1], path))
            self._out = path.open("wb")

    def _keep(self, content: bytes) -> None:
        kind = "file" if self._out else "field"
        self._left[kind] -= len(content)
        if self._left[kind] < 0:
            raise FormTooLargeError
        if self._out:
            self._out.write(content)
        else:
            self._value += content

    def _finish(self) -> None:
        if self._out:
            self._out.close()
            self._out = None
        elif self._name:
            self.fields[self._name] = self._value.decode("utf-8", "replace")
        self._in_headers = True
