"""Tell at which stage a shop is, and the one command to run next.

`run`, `learn` and the report end with this sentence, and `promolift next` prints it.
"""

from typing import Literal, NamedTuple

from promolift.foundation.i18n.catalogue import gettext, pgettext, pgettext_noop
from promolift.foundation.i18n.formatting import count, date
from promolift.foundation.storage.local_store import Store
from promolift.foundation.time.clock import DAY_MS, end_of_days_ms
from promolift.shop.configuration.configuration import Config
from promolift.shop.results.ingest import Span
from promolift.shop.results.line_tests import LineTestNote, line_test_sentences
from promolift.shop.results.plan import Plan
from promolift.shop.results.plan_note import PlanNote
from promolift.shop.results.work_folder.active_release import load_approved_release
from promolift.shop.results.work_folder.work_tables import CleanTables

pgettext_noop("stage", "data"), pgettext_noop("stage", "planned"), pgettext_noop("stage", "testing")
pgettext_noop("stage", "learning"), pgettext_noop("stage", "paying"), pgettext_noop("stage", "stopped")
Stage = Literal["data", "planned", "testing", "learning", "paying", "stopped"]


class ShopStatus(NamedTuple):
    """The stage, what it means, and the command to run now, in the current language."""

    stage: Stage
    what: str
    command: str

    @property
    def text(self) -> str:
        """In one sentence."""
        return gettext(
            "Where this shop stands: {stage}. {what} Next: `{command}`.",
            stage=pgettext("stage", self.stage),
            what=self.what,
            command=self.command,
        )


def shop_status(config: Config, store: Store, waiting: bool = False) -> ShopStatus:
    """Where the shop stands; `waiting`: whether a proposal waits for a person. StepError if the plan kept there is of
    another version."""
    if not CleanTables(store).has_events:
        return ShopStatus("data", gettext("No log has been read yet."), "promolift run")
    campaign = config.plan.campaign
    if not PlanNote.has(store) or (note := PlanNote.load(store)).terms.campaign_id != campaign:
        return ShopStatus("data", gettext("The log is read; there is no plan yet."), "promolift run")
    if waiting:
        what = gettext("A proposal waits for a person.")
        return ShopStatus("learning", what, "promolift learn approve")
    release = load_approved_release(store, campaign)
    if release is not None and release.policy_version != note.terms.policy_version:
        version = release.policy_version
        what = gettext("Version {version} is approved, and no plan starts from it yet.", version=version)
        return ShopStatus("learning", what, "promolift run")
    end_ms = Plan.load(store).summary.ends_ms
    if end_ms is None:  # of a version before
        begun_ms = int(Plan.load(store).decided("ts_ms")["ts_ms"].max() or 0)  # type: ignore[arg-type]
        end_ms = end_of_days_ms(begun_ms, note.days, config.shop.zone)
    end = date(end_ms - 1, config.shop.zone)
    tested = LineTestNote.load(store).tested if note.draws and LineTestNote.has(store) else ()
    if not tested and not note.treated:
        if note.able == 0:
            what = gettext(
                "Nobody may be given an offer: all are held out or not to be written to. Ask "
                "customers whether they agree, and check which column says it (columns.consent in "
                "promolift.toml)."
            )
        elif not note.drawn and not config.plan.test_share:
            what = gettext(
                "By what is known no offer pays. Set plan.test_share = 0.1 in promolift.toml: the plan then tests."
            )
        elif not note.drawn:
            what = gettext(
                "By what is known no offer pays, and nothing can be tested: a draw needs at least "
                "eight customers of an audience within the budget (plan.budget_share), and keeps no "
                "plan.limits or limits of fairness."
            )
        else:
            drew = LineTestNote.load(store) if LineTestNote.has(store) else None
            what = (
                " ".join(line_test_sentences(drew, config.shop.currency, note.menu))
                if drew is not None
                else gettext("Nothing is sent; a longer log or another menu may change that.")
            )
        return ShopStatus("stopped", what, "promolift plays")
    if (Span.load(store).last_ms or 0) + DAY_MS > end_ms:
        what = gettext("The days of the last plan were over on {end}.", end=end)
        return ShopStatus("learning", what, "promolift learn")
    number, given = count(sum(each.treated for each in tested)), count(note.treated)
    shown = any(each.state == "give" and each.n_arm for each in note.terms.effects)  # by draws; else planned, no more
    if tested and not shown and not note.by_prediction:
        what = gettext(
            "A test with {number} customers runs until {end}: send plan.csv; read in the new log when it is over.",
            number=number,
            end=end,
        )
        return ShopStatus("testing", what, "promolift ingest")
    what = gettext(
        "{given} customers get an offer until {end}: send plan.csv; read in the new log when the days are over.",
        given=given,
        end=end,
    )
    return ShopStatus("paying" if shown else "planned", what, "promolift ingest")
