"""Open archives and compressed files (gz, bz2, xz, zstd, zip, tar), and tell which files no library here can read."""

import bz2
import gzip
import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

MAX_UNPACKED_BYTES = 64 << 30
COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")
NOT_OPENED = {
    b"7z\xbc\xaf\x27\x1c": "a 7z archive", b"Rar!": "a RAR archive", b"\x04\x22\x4d\x18": "an lz4 file",
    b"\xff\x06\0\0sNaPpY": "a snappy file", b"\x1f\x9d": "a .Z file", b"LZIP": "an lzip file",
    b"MSCF": "a cabinet file",
    b"Obj\x01": "an Avro file", b"ORC": "an ORC file", b"\x89HDF": "an HDF5 file", b"PARE": "an encrypted Parquet file",
    b"%PDF": "a PDF (its pictures, and what is drawn in a font's own codes)",
    b"\x89PNG": "a picture", b"\xff\xd8\xff": "a picture", b"GIF8": "a picture", b"RIFF": "a picture or a sound",
    b"OggS": "a sound", b"ID3": "a sound", b"Salted__": "an encrypted file", b"age-encryption": "an encrypted file",
    b"-----BEGIN PGP MESSAGE": "an encrypted file",
}  # fmt: skip
SAMPLE_BYTES, SMALLEST_SAMPLE = 1 << 16, 4096


class Member(NamedTuple):
    """A file inside an archive, written to a path; `reason` says why not all of it could be read."""

    name: str
    path: Path
    reason: str = ""


def is_packed(path: Path, head: bytes) -> bool:
    """Return whether a file, which begins with `head`, is an archive or a compressed file that `unpack` opens."""
    return head.startswith(COMPRESSED) or _is_tar(head) or zipfile.is_zipfile(path) or head.startswith(b"PK\x03\x04")


def unpack(path: Path, head: bytes, folder: Path) -> Iterator[Member]:
    """Yield each file inside an archive, by its name, written into a folder. One that cannot be read whole has a
    `reason`, and what was read of it."""
    if head.startswith(COMPRESSED):
        name = path.name.removesuffix(path.suffix)
        yield _copied(name, lambda: _open(path, head), folder / f"0 {name[-80:]}")
    elif _is_tar(head):
        with tarfile.open(path) as archive:
            for number, member in enumerate(archive):
                target = folder / f"{number} {Path(member.name).name[-80:]}"
                if member.isfile():
                    yield _copied(member.name, lambda member=member: archive.extractfile(member), target)
    else:
        with zipfile.ZipFile(path) as archive:
            for number, entry in enumerate(archive.infolist()):
                target = folder / f"{number} {Path(entry.filename).name[-80:]}"
                if not entry.is_dir():
                    yield _copied(entry.filename, lambda entry=entry: archive.open(entry), target)


def reason_of(error: Exception) -> str:
    """Return the first line of what an error says."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def why_unread(path: Path, head: bytes) -> str:
    """Return why the bytes of a file do not show what it says, or an empty text for one that can be read."""
    for start, kind in NOT_OPENED.items():
        if head.startswith(start):
            return f"{kind}: only its bytes were searched"
    with path.open("rb") as file:
        sample = file.read(SAMPLE_BYTES)
    if len(sample) >= SMALLEST_SAMPLE and len(zlib.compress(sample, 1)) >= len(sample):
        return "looks encrypted, or compressed in an unknown way: only its bytes were searched"
    return ""


def _open(path: Path, head: bytes) -> Any:
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        import pyarrow as pa

        return pa.input_stream(str(path), compression="zstd")
    opened: Any = gzip.open if head.startswith(b"\x1f\x8b") else bz2.open if head.startswith(b"BZh") else lzma.open
    return opened(path, "rb")


def _is_tar(head: bytes) -> bool:
    return head[257:262] == b"ustar"


def _copied(name: str, opened: Any, target: Path) -> Member:
    left = min(MAX_UNPACKED_BYTES, max(shutil.disk_usage(target.parent).free - (1 << 30), 0))
    with target.open("wb") as out:
        try:
            with opened() as source:
                read = getattr(source, "read1", source.read)  # keeps what came before the damage
                while piece := read(1 << 16):
                    left -= len(piece)
                    if left < 0:
                        return Member(name, target, "unpacks to more than there is room for")
                    out.write(piece)
        except Exception as error:  # of a damaged, encrypted or unknown file; the others are still read
            return Member(name, target, reason_of(error))
    return Member(name, target)
