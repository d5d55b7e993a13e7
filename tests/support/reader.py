"""A page's text in, its code blocks out; and a reader who gives their commands in order, in a folder of their own.

What a page writes as dots (`rel_...`, `KEY=pl_admin_...`) is what an answer before held, `customer-7` is somebody whom
the plan gives an offer, port 8080 a free one. `pip` fetches nothing: that its extras are there is a test of its own.
"""

import os
import re
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Self

import polars as pl

BLOCK = re.compile(r"^(?:<!-- not run: (?P<why>[^\n]*) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
STANDS_FOR = {
    "--months 4": "--months 1 --customers 300", "--world goods": "--world goods --months 1 --customers 200",
    "s3://bucket": "file://$PWD/bucket", "postgresql://reader:PASSWORD@db.example.com/shop": "shop.duckdb",
}  # fmt: skip
SERVER = re.compile(r"promolift (serve|mcp .*--port)\b")
# A server goes on beside the reader, who waits until it answers; an answer that is an error stops them.
START = r"""
pip() { echo "pip $*: not here"; }
export PROMOLIFT_BRAZE_URL=http://127.0.0.1:9 PROMOLIFT_BRAZE_KEY=key PROMOLIFT_BRAZE_CAMPAIGN=spring
curl() { command curl --fail-with-body --silent --show-error --max-time 60 "$@"; }
beside() {
  until (exec 3<>/dev/tcp/127.0.0.1/$1) 2>/dev/null; do kill -0 $! || break; sleep 0.2; done
  cat served; kill -0 $!
}
trap 'kill $(jobs -p) 2>/dev/null' EXIT
"""


@dataclass(frozen=True)
class Block:
    """A fenced block, the line of its page that it begins after, and why it is not run, if it is marked so."""

    page: str
    line: int
    language: str
    text: str
    why: str | None

    def statements(self) -> list[str]:
        """The commands of a shell block; one may run over several lines."""
        found, open_line = [], ""
        for line in self.text.splitlines():
            open_line += f"{line}\n"
            whole = subprocess.run(["bash", "-n", "-c", open_line], capture_output=True).returncode == 0
            if whole and not line.endswith("\\"):
                found.append(open_line)
                open_line = ""
        assert not open_line, f"{self.page}:{self.line}: not closed: {open_line}"
        return [each for each in found if each.strip() and not each.startswith("#")]


def blocks(page: Path, until: str = "") -> list[Block]:
    """The blocks of a page in order; those before the text `until` where it is given."""
    text = page.read_text(encoding="utf-8")
    assert until in text, f"{page.name} has no {until}"
    text = text.partition(until)[0] if until else text
    return [
        Block(page.name, text.count("\n", 0, found.start()) + 1, found["language"], found["text"], found["why"])
        for found in BLOCK.finditer(text)
    ]


class Reader:
    """One bash for a whole page: what a command sets, the next one finds."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.folder, self.said, self.port = folder, "", str(free.getsockname()[1])
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.bash = subprocess.Popen(
            ["bash"], cwd=folder, text=True, encoding="utf-8", env=os.environ | {"PATH": path},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.told(START)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.bash.communicate()

    def follow(self, block: Block) -> None:
        """Give the commands of a block, a shop of its own if it begins with one; the first that fails is told.

        Python of a page is run where what it imports is there."""
        if block.text.startswith("promolift init") and "--force" not in block.text:
            self.told("rm -rf promolift.toml .promolift")
        if block.language == "py":
            there = all(find_spec(name) for name in re.findall(r"^(?:from|import) (\w+)", block.text, re.M))
            (self.folder / "page.py").write_text(self.real(block.text) if there else "", encoding="utf-8")
        for statement in block.statements() if block.language == "sh" else ["python page.py"]:
            command = self.real(statement)
            beside = f"(exec {command}) > served 2>&1 &\nbeside {self.port}" if SERVER.match(command) else command
            status, printed = self.told(beside)
            self.said += printed
            assert status == 0, f"{block.page}:{block.line}: {command}{printed}"

    def real(self, text: str) -> str:
        """What somebody would type for what the page writes."""
        text = re.sub(r"\s+# .*", "", text) + "\n"
        for written, here in STANDS_FOR.items():
            text = text.replace(written, here)
        text = re.sub(r"(?<=[: ])80[89]0\b", self.port, text)
        text = re.sub(r"^promolift serve(?!.*--port)", f"promolift serve --port {self.port}", text)
        if (self.folder / "serve.toml").exists():
            text = text.replace("promolift serve", "promolift serve --settings serve.toml")
        if "customer-7" in text:
            plan = pl.read_csv(self.folder / "promolift-report/plan.csv", infer_schema=False)
            text = text.replace("customer-7", plan.filter(pl.col("status") == "offer")["customer_id"][0])
        for dots in re.findall(r"\b[a-z_]+_(?=\.\.\.)", text):
            text = text.replace(f"{dots}...", re.findall(rf"\b{dots}[\w-]+", self.said)[-1])
        codes = re.findall(r'"code": ?"([A-Z0-9-]{14})"', self.said)
        return text.replace("K7QM-W3XP-9D2H", codes[-1]) if codes else text

    def told(self, commands: str) -> tuple[int, str]:
        """Exit status and output; a command that takes ten minutes is ended."""
        assert self.bash.stdin
        assert self.bash.stdout
        watch = threading.Timer(600, self.bash.kill)
        watch.start()
        self.bash.stdin.write(f"{{ {commands}\n}} </dev/null\nprintf '\\n@@ended %s\\n' $?\n")
        self.bash.stdin.flush()
        printed = []
        for line in self.bash.stdout:
            if line.startswith("@@ended "):
                watch.cancel()
                return int(line.split()[1]), "".join(printed)
            printed.append(line)
        raise AssertionError("bash ended: " + "".join(printed))
