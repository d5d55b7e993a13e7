"""Generate the pages of the site that docs/ does not hold: reference, notebooks, benchmark results, changelog.

This is a hook of mkdocs (mkdocs.yml). A link that leaves docs/ leads to the same file inside the site.
"""

import json
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
PACKAGES = (
    "core.customers", "core.offers", "core.effects", "core.allocation", "core.decisions", "core.messages",
    "core.experiments", "shop.ingest", "foundation.extension",
)  # fmt: skip
MAIN_CLASSES = (
    "shop.pipeline.shop.Shop", "trials.trial.Trial", "shop.feedback.decision_log.Log", "shop.results.plan.Plan",
    "core.offers.terms.Offer", "trials.uplift_estimator.UpliftEstimator",
)  # fmt: skip
TEXTS = (
    "README.zh-CN.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "benchmarks/RESULTS.md", "benchmarks/LOG.md",
)  # fmt: skip
SHOWN = {".ipynb", ".py", ".toml", ".yaml", ".conf", ".json", ".sh", ".mjs"}
# Chinese has no blank where a line of it ends.
BROKEN = re.compile(r"(?<=[\u3000-\u9fff\uff00-\uffef])\n(?=[\u4e00-\u9fff])")
LINK = re.compile(r"\[([^\]]*)\]\((?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add what docs/ does not hold."""
    decisions = sorted(path.name for path in (ROOT / "docs/decisions").glob("0*.md"))
    made = {f"reference-{path.split('.')[-1]}.md": f"# {path}\n\n::: promolift.{path}\n" for path in PACKAGES}
    made["reference-classes.md"] = "# Main classes\n\n" + "\n\n".join(f"::: promolift.{path}" for path in MAIN_CLASSES)
    made["decisions/index.md"] = "# Decisions\n\n" + "".join(f"- [{name[:-3]}]({name})\n" for name in decisions)
    made |= {name: (ROOT / name).read_text(encoding="utf-8") for name in TEXTS}
    for path in sorted((ROOT / "examples").rglob("*")):
        if path.suffix in SHOWN:
            made[f"{path.relative_to(ROOT).as_posix()}.md"] = _example(path)
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Lead each link of the repository to its page of the site; what has none stays as words."""
    here = page.file.src_uri
    source = posixpath.dirname(here if here in TEXTS or here.startswith("examples/") else f"docs/{here}")
    pages = {file.src_uri for file in files}

    def inside(found: re.Match[str]) -> str:
        words, to, anchor = found[1], found[2], found[3] or ""
        path = posixpath.normpath(posixpath.join(source, to)).removeprefix("docs/")
        for name in (path, f"{path}.md", f"{path}/index.md"):
            if name in pages:
                return f"[{words}]({posixpath.relpath(name, posixpath.dirname(here) or '.')}{anchor})"
        return words

    return LINK.sub(inside, BROKEN.sub("", markdown))


def _example(path: Path) -> str:
    """A notebook's text, code and what it printed; any other file as it stands."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return f"# {path.name}\n\n````{path.suffix[1:]}\n{text}````\n"
    parts = []
    for cell in json.loads(text)["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        shown = "".join(line for output in cell.get("outputs", []) for line in output["text"])
        parts += [f"```text\n{shown}```"] if shown else []
    return "\n\n".join(parts) + "\n"
