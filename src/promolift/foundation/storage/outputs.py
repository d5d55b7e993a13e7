"""Remember where promolift wrote files outside of its work folder, so that an erasure finds them again."""

from pathlib import Path

LIST_FILE = "outputs.txt"  # in the work folder: one path a line


def remember_output(root: Path, path: Path) -> None:
    """Remember a file or folder that was written for this work folder, unless it lies in the folder itself."""
    place = path.absolute()
    if not place.is_relative_to(root.absolute()) and place not in remembered_outputs(root):
        with (root / LIST_FILE).open("a", encoding="utf-8") as file:
            file.write(f"{place}\n")


def remembered_outputs(root: Path) -> list[Path]:
    """Return what was remembered, whether it is still there or not."""
    file = root / LIST_FILE
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return [Path(line) for line in dict.fromkeys(lines) if line]
