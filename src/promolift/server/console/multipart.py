"""Read a form with files (`multipart/form-data`, RFC 7578) as it arrives: files go to disk, fields stay in memory.

A browser without the console's script sends files so. python-multipart parses; how much may arrive is decided here.
"""

import re
from pathlib import Path
from typing import BinaryIO

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from promolift.server.console.pages.context import SentFile

BOUNDARY = re.compile(r'multipart/form-data;.*boundary="?([^";,]{1,70})"?', re.IGNORECASE)
DISPOSITION = b"content-disposition"


class FormTooLargeError(Exception):
    """The form has more bytes than it may have, or is no form."""


class MultipartForm:
    """The fields and files of a form, once all of it was fed."""

    def __init__(self, boundary: str, folder: Path, field_bytes: int, file_bytes: int) -> None:
        """Files go to `folder`; `field_bytes` and `file_bytes` are what all fields and all files may have together."""
        self.fields: dict[str, str] = {}
        self.files: list[SentFile] = []
        self._folder, self._left = folder, {"field": field_bytes, "file": file_bytes}
        self._header, self._header_value, self._name, self._value = bytearray(), bytearray(), "", bytearray()
        self._out: BinaryIO | None = None
        self._ended = False
        self._parser = MultipartParser(boundary, {
            "on_part_begin": self._begin, "on_header_field": self._read_header, "on_header_value": self._read_value,
            "on_header_end": self._end_header, "on_part_data": self._keep, "on_part_end": self._finish,
            "on_end": self._end,
        })  # fmt: skip

    def feed(self, piece: bytes) -> None:
        """Take the next bytes. Raises FormTooLargeError."""
        try:
            self._parser.write(piece)
        except MultipartParseError:
            raise FormTooLargeError from None

    def end(self) -> None:
        """Raise FormTooLargeError if the form broke off before its end."""
        if not self._ended:
            raise FormTooLargeError

    def close(self) -> None:
        """Close the file that is open, if the form broke off."""
        if self._out:
            self._out.close()

    def _end(self) -> None:
        self._ended = True

    def _begin(self) -> None:
        self._name, self._value = "", bytearray()

    def _read_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _read_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _end_header(self) -> None:
        if self._header.lower() == DISPOSITION:
            _, options = parse_options_header(bytes(self._header_value))
            self._name = options.get(b"name", b"").decode("utf-8", "replace")
            if b"filename" in options:
                path = self._folder / str(len(self.files))
                self.files.append(SentFile(options[b"filename"].decode("utf-8", "replace"), path))
                self._out = path.open("wb")
        self._header, self._header_value = bytearray(), bytearray()

    def _keep(self, data: bytes, start: int, end: int) -> None:
        kind = "file" if self._out else "field"
        self._left[kind] -= end - start
        if self._left[kind] < 0:
            raise FormTooLargeError
        if self._out:
            self._out.write(data[start:end])
        else:
            self._value += data[start:end]

    def _finish(self) -> None:
        if self._out:
            self._out.close()
            self._out = None
        elif self._name:
            self.fields[self._name] = self._value.decode("utf-8", "replace")
