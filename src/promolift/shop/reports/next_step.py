"""Tell at which stage a shop is, and the one command to run next.

`run`, `learn` and the report end with this sentence, and `promolift next` prints it.
"""

from typing import Literal, NamedTuple

from promolift.foundation.i18n.formatting import count, date, localize
from promolift.foundation.storage.local_store import Store
from promolift.foundation.time.clock import DAY_MS
from promolift.shop.configuration.configuration import Config
from promolift.shop.results.ingest import Span
from promolift.shop.results.line_tests import LineTestNote, line_test_sentences
from promolift.shop.results.plan import Plan
from promolift.shop.results.plan_note import PlanNote
from promolift.shop.results.work_folder.active_release import load_approved_release
from promolift.shop.results.work_folder.work_tables import CleanTables

Stage = Literal["data", "planned", "testing", "learning", "paying", "stopped"]


class ShopStatus(NamedTuple):
    """The stage, what it means, and the command to run now, in the current language."""

    stage: Stage
    what: str
    command: str

    @property
    def text(self) -> str:
        """In one sentence."""
        names = {
            "data": "数据", "planned": "已有计划", "testing": "测试中", "learning": "学习中", "paying": "盈利中",
            "stopped": "已停止",
        }  # fmt: skip
        stage, (what, command) = self.stage, self[1:]
        return localize(
            f"Where this shop stands: {stage}. {what} Next: `{command}`.",
            f"这家店目前：{names[stage]}。{what}下一步：`{command}`。",
        )


def shop_status(config: Config, store: Store, waiting: bool = False) -> ShopStatus:
    """Where the shop stands; `waiting`: whether a proposal waits for a person. StepError if the plan kept there is of
    another version."""
    if not CleanTables(store).has_events:
        return ShopStatus("data", localize("No log has been read yet.", "尚未读入日志。"), "promolift run")
    campaign = config.plan.campaign
    if not PlanNote.has(store) or (note := PlanNote.load(store)).terms.campaign_id != campaign:
        return ShopStatus(
            "data", localize("The log is read; there is no plan yet.", "日志已读入，还没有计划。"), "promolift run"
        )
    if waiting:
        what = localize("A proposal waits for a person.", "有一个方案等待批准。")
        return ShopStatus("learning", what, "promolift learn approve")
    release = load_approved_release(store, campaign)
    if release is not None and release.policy_version != note.terms.policy_version:
        version = release.policy_version
        what = localize(
            f"Version {version} is approved, and no plan starts from it yet.",
            f"版本{version}已批准，尚无计划由它开始。",
        )
        return ShopStatus("learning", what, "promolift run")
    made_ms = int(Plan.load(store).decided("ts_ms")["ts_ms"].max() or 0)  # type: ignore[arg-type]
    end_ms = made_ms + config.plan.window_days * DAY_MS
    end = date(end_ms - 1, config.shop.zone)
    tested = LineTestNote.load(store).tested if note.draws and LineTestNote.has(store) else ()
    if not tested and not note.treated:
        if note.able == 0:
            what = localize(
                "Nobody may be given an offer: all are held out or not to be written to. Ask customers whether they "
                "agree, and check which column says it (columns.consent in promolift.toml).",
                "没有人可以得到优惠：所有客户不是在保留组，就是不允许联系。请征求客户同意，并检查promolift.toml中的"
                "columns.consent指的是哪一列。",
            )
        elif not note.drawn and not config.plan.test_share:
            what = localize(
                "By what is known no offer pays. Set plan.test_share = 0.1 in promolift.toml: the plan then tests.",
                "就目前所知没有优惠赚钱。在promolift.toml中设置plan.test_share = 0.1，计划会进行测试。",
            )
        elif not note.drawn:
            what = localize(
                "By what is known no offer pays, and nothing can be tested: a draw needs at least eight customers of "
                "an audience within the budget (plan.budget_share), and keeps no plan.limits or limits of fairness.",
                "就目前所知没有优惠赚钱，也无法测试：抽签要求一群人中至少有八位客户在预算（plan.budget_share）之内，"
                "并且不能遵守plan.limits或公平限额。",
            )
        else:
            drew = LineTestNote.load(store) if LineTestNote.has(store) else None
            what = " ".join(line_test_sentences(drew, config.shop.currency)) if drew is not None else localize(
                "Nothing is sent; a longer log or another menu may change that.",
                "目前不发；更长的日志或另一份优惠清单可能改变这一点。",
            )  # fmt: skip
        return ShopStatus("stopped", what, "promolift plays")
    if (Span.load(store).last_ms or 0) + DAY_MS > end_ms:
        what = localize(f"The days of the last plan were over on {end}.", f"上一个计划的有效期已于{end}结束。")
        return ShopStatus("learning", what, "promolift learn")
    number, given = count(sum(each.treated for each in tested)), count(note.treated)
    shown = any(each.state == "give" and each.n_arm for each in note.terms.effects)  # by draws; else planned, no more
    if tested and not shown and not note.by_prediction:
        what = localize(
            f"A test with {number} customers runs until {end}: send plan.csv; read in the new log when it is over.",
            f"有{number}位客户的测试进行到{end}：发送plan.csv，期满后读入新日志。",
        )
        return ShopStatus("testing", what, "promolift ingest")
    what = localize(
        f"{given} customers get an offer until {end}: send plan.csv; read in the new log when the days are over.",
        f"{given}位客户得到优惠，有效至{end}：发送plan.csv，期满后读入新日志。",
    )
    return ShopStatus("paying" if shown else "planned", what, "promolift ingest")
