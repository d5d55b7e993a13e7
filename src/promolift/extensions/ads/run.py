"""Run an advertising task from its settings file: read impressions, plan shares, write the plan and the page."""

from dataclasses import asdict
from pathlib import Path

from promolift.extensions.ads.creatives import run_creatives, serving_shares
from promolift.extensions.ads.page import creative_page
from promolift.extensions.ads.results import CreativeSettings
from promolift.foundation.i18n.formatting import count, localize, use_locale
from promolift.foundation.pages.rendering import render_page
from promolift.foundation.progress import Progress, StepSummary
from promolift.foundation.storage.local_store import Store
from promolift.shop.reports.plan_rows import _write


def run_ads(settings: CreativeSettings, config: Path, work: Path, out: Path, tell: Progress) -> StepSummary:
    """Creatives by placement and audience, or new ones in order: creatives.csv, creatives.parquet and report.html; in
    the work folder what a release is made of."""
    with use_locale(settings.language):
        found = run_creatives(settings, config.resolve().parent, tell)
        with Store(work) as store:
            found.catalogue.save_plan(store, serving_shares(found.plan, found.counts))
        _write(out, "creatives", found.plan, render_page(creative_page(found)))
        tell("plan", 1.0, "done")
        lines = [found.verdict, *(f"  {name}: {each.value:.5f} ({each.low:.5f} to {each.high:.5f}), n = {count(each.n)}"
                                  for name, each in found.values.items())]  # fmt: skip
        planned = f"{count(found.plan['impressions'].sum())} of {count(settings.budget)}"
        days, cap = settings.days, settings.cap
        said = f"planned impressions: {planned} in {days} days, at most {cap} of a creative a viewer and day"
        lines.append(localize(said, f"计划展示：{planned}，共{days}天，每位访客每天每个素材最多{cap}次"))
        lines.append(localize(f"Report: {out / 'report.html'}", f"报告：{out / 'report.html'}"))
        figures = {
            "step": "run", "trade": "ads", "layout": found.layout, "learned": found.training_rows,
            "judged": found.evaluation_rows, "verdict": found.verdict,
            "values": {name: asdict(each) for name, each in found.values.items()},
            "fatigue": found.fatigue.to_dicts(), "page": str(out / "report.html"),
        }  # fmt: skip
        return StepSummary("\n".join(lines), figures)
