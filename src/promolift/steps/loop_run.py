"""Stated settings in; loop.html, loop.json and days.parquet of a simulated closed loop written out."""

import json
from pathlib import Path
from typing import Any

from promolift.report import render_page
from promolift.steps.job import Tell
from promolift.steps.loop import LoopSettings, run_loop
from promolift.steps.loop_page import day_table, numbers, page_of


def run_simulation(stated: dict[str, Any], out: Path, tell: Tell) -> dict[str, Any]:
    """Run the loop and write its files to `out`; returns the numbers. Raises ConfigError for impossible settings."""
    settings = LoopSettings.parse(stated, "promolift simulate")
    loop = run_loop(settings, lambda share, note: tell("simulate", share, note))
    found = numbers(loop)
    out.mkdir(parents=True, exist_ok=True)
    day_table(loop).write_parquet(out / "days.parquet")
    plain = {key: value for key, value in found.items() if key != "text"}
    (out / "loop.json").write_text(json.dumps(plain, ensure_ascii=False, indent=1), encoding="utf-8")
    (out / "loop.html").write_text(render_page(page_of(loop)), encoding="utf-8")
    return found | {"text": f"{found['text']}\nReport: {out / 'loop.html'}"}
