"""Build the record of processing and the impact assessment from the settings, for people to complete and sign.

Anything that the settings do not say appears as a named open question.
"""

from collections.abc import Sequence

from promolift.core.customers.sensitive_topics import SENSITIVE_TOPIC_NAMES
from promolift.foundation.i18n.catalogue import gettext, gettext_noop
from promolift.foundation.i18n.formatting import count, date, join_list, localize
from promolift.foundation.i18n.formatting import days as whole_days
from promolift.foundation.pages.blocks import (
    ActionItem,
    Block,
    Chapter,
    Figure,
    KeyFigure,
    Page,
    note,
    sentences,
    table,
)
from promolift.foundation.release_policy import BudgetUse
from promolift.shop.configuration.configuration import Config
from promolift.shop.reports.data_subject_rights import BASES, USED_FOR, RetentionDays

SOURCES = {
    "events": gettext_noop("Behaviour: visits, carts, orders"),
    "customers": gettext_noop("What customers said of themselves"),
    "promotions": gettext_noop("Offers of the past"),
    "words": gettext_noop("What customers wrote or said: what it is about"),
}  # of personal data, by part of [data]
GUARDED = ("sex", "age", "income", "occupation")  # roles that the law of many places protects


def processing_page(config: Config, kept: RetentionDays | None, spent: BudgetUse | None = None) -> Page:
    """The page, in the language that is spoken; `kept` is None where no settings of a server were given, `spent` where
    no privacy budget is stated.
    """
    privacy = config.privacy
    missing = [
        what for what, said in (
            (localize("who answers for the data (privacy.controller)", "数据负责方（privacy.controller）"),
             privacy.controller),
            (localize("where customers write (privacy.contact)", "客户联系方式（privacy.contact）"), privacy.contact),
        ) if not said
    ]  # fmt: skip
    todo = [
        ActionItem(localize(f"State {what} in promolift.toml.", f"在promolift.toml中写明{what}。")) for what in missing
    ]
    if not any(getattr(privacy, name).keep_days for name in SOURCES):
        todo.append(ActionItem(localize(
            "Say how long the work folder keeps rows (privacy.events.keep_days and its like).",
            "写明工作文件夹中数据的保存期限（privacy.events.keep_days等）。",
        )))  # fmt: skip
    todo.append(ActionItem(localize(
        "Answer the questions of the last chapter, sign, and keep the page with the release.",
        "回答最后一章的问题，签字，并与发布一同保存。",
    )))  # fmt: skip
    return Page(
        name=config.shop.name,
        eyebrow=localize("Record of processing and impact assessment", "处理活动记录与影响评估"),
        facts={
            localize("Who answers for the data", "数据负责方"): privacy.controller or config.shop.name,
            localize("Contact", "联系方式"): privacy.contact or localize("not stated", "未写明"),
            localize("Campaign", "活动"): config.plan.campaign,
        },
        head=KeyFigure(
            localize("Left for people to state", "待人工写明"), count(len(missing) + len(_questions())),
            localize("Generated from promolift.toml: a draft for people to complete, no legal advice.",
                 "由promolift.toml生成：供人工补全的草稿，不构成法律意见。"),
        ),
        chapters=[_record(config, kept), _decisions(config), _risks(config), *_private(config, spent), _open()],
        actions=todo,
    )  # fmt: skip


def _record(config: Config, kept: RetentionDays | None) -> Chapter:
    rows = []
    for name, file in config.data.files.items():
        source = "events" if name.startswith("events") else name
        if source in SOURCES:
            stated = getattr(config.privacy, source)
            columns = ", ".join(sorted(file.mapping.columns))
            rows.append(
                [
                    gettext(SOURCES[source]),
                    columns,
                    stated.purpose or gettext(USED_FOR),
                    gettext(BASES[stated.basis]),
                ]
            )
    if not rows:
        rows = [[gettext(SOURCES["events"]), config.data.source, gettext(USED_FOR), gettext(BASES["consent"])]]
    heads = [
        localize("source", "来源"),
        localize("columns read", "读取的列"),
        localize("what for", "用途"),
        localize("allowed by", "依据"),
    ]
    blocks: list[Figure | Block] = [
        table(localize("Personal data", "个人数据"), heads, rows, words=(1, 2, 3)),
        table(
            localize("Who hears of them", "接收方"), [localize("receiver", "接收方"), localize("what", "内容")],
            _receivers(config), words=(1,),
        ),
        table(
            localize("How long they are kept", "保存期限"), [localize("what", "内容"), localize("until", "期限")],
            _periods(config, kept), words=(1,),
        ),
        sentences(localize("How they are protected", "安全措施"), _measures()),
    ]  # fmt: skip
    return Chapter(
        "record", localize("Record", "记录"),
        localize("Which data are used, and what for?", "使用哪些数据，作何用途？"),
        localize("By the sources that promolift.toml names; other columns of these files are not read into profiles.",
             "按promolift.toml所列来源；这些文件的其他列不进入画像。"), blocks,
    )  # fmt: skip


def _receivers(config: Config) -> list[list[str]]:
    rows = []
    if config.message.writer == "remote":
        rows.append([config.llm.remote.base_url, localize("facts of offers and products, for texts; no customer's data",
                                                      "优惠与商品信息，用于撰写文案；不含客户数据")])  # fmt: skip
    if "warehouse" in config.model_fields_set:
        rows.append([localize("the warehouse of [warehouse]", "[warehouse]所指的数据仓库"),
                     localize("plan, decisions and verdicts, where `promolift export` is used",
                          "使用promolift export时：计划、决策与结论")])  # fmt: skip
    rows.append([localize("webhooks of the server", "服务器的webhook"),
                 localize("decisions and redemptions, at the addresses an admin entered",
                      "决策与核销，发往管理员填写的地址")])  # fmt: skip
    return rows


def _periods(config: Config, kept: RetentionDays | None) -> list[list[str]]:
    def period_text(days: float | None) -> str:
        return localize("no end is set", "未设期限") if days is None else whole_days(days)

    title = localize("work folder: ", "工作文件夹：")
    work = [[title + gettext(SOURCES[name]), period_text(getattr(config.privacy, name).keep_days)] for name in SOURCES]
    set_aside = localize("rows that could not be read", "未能读取的行")
    work.append([title + set_aside, period_text(config.privacy.rejected_days)])
    work.append([title + localize("what was computed from them", "由其计算所得"),
                 localize("the next run, or promolift erase", "下次运行，或promolift erase")])  # fmt: skip
    if kept is None:
        unknown = localize("not known: give the server's settings by --settings", "未知：请用--settings给出服务器设置")
        return [*work, [localize("the server's ledger", "服务器账本"), unknown]]
    return [
        *work, [localize("events of the server", "服务器事件"), period_text(kept.events)],
        [localize("decisions of the server", "服务器决策记录"), period_text(kept.decisions)],
    ]  # fmt: skip


def _measures() -> list[str]:
    return [
        localize("Ledger and work folder are readable by their owner alone; secrets of webhooks are kept encrypted.",
             "账本与工作文件夹仅所有者可读；webhook密钥加密保存。"),
        localize("Logs name no customer; what was erased stands under a pseudonym made with the shop's secret key.",
             "日志不含客户姓名；已删除的客户以店铺密钥生成的假名代替。"),
        localize("Every change by a person stands in a chain of hashes that shows what was altered.",
             "人员的每次更改均记入哈希链，篡改可被发现。"),
        localize("A customer's export, erasure, pseudonym and explanation are requests of the API.",
             "客户数据的导出、删除、匿名化与说明均有API。"),
    ]  # fmt: skip


def _decisions(config: Config) -> Chapter:
    plan, consent = config.plan, config.consent
    silence = localize("yes", "可以") if consent.default else localize("no", "不可以")
    rows = [
        [localize("who may be sent an offer without having said yes or no", "未表态者可否收到优惠"), silence],
        [localize("least age", "最低年龄"), count(consent.minimum_age)],
        [localize("held back at random, so that the effect can be measured", "随机不发放的比例，用于衡量效果"),
         f"{plan.holdout_share:.0%}"],
        [localize("days without another offer after one", "两次优惠之间的间隔天数"), count(config.rules.rest_days)],
        [localize("groups that get none", "不发放的人群"),
         ", ".join(config.rules.excluded_segments) or localize("none", "无")],
        [localize("goods without offers", "不参与优惠的商品"),
         ", ".join(config.rules.excluded) or localize("none stated", "未写明")],
    ]  # fmt: skip
    lead = localize(
        "A program chooses who gets which offer; customers who refused that get what is for everybody.",
        "由程序决定谁获得何种优惠；拒绝个性化决策者享受面向所有人的优惠。",
    )
    return Chapter(
        "decisions", localize("Decisions", "决策"), localize("How does a decision come about?", "决策如何产生？"), lead,
        [table(
            localize("Rules in force", "现行规则"), [localize("rule", "规则"), localize("value", "取值")],
            rows, words=(1,),
        )],
    )  # fmt: skip


def _risks(config: Config) -> Chapter:
    files = config.data.files
    read = sorted({role for file in files.values() for role in file.mapping.columns} & {*GUARDED})
    blocks: list[Figure | Block] = []
    if read:
        names = ", ".join(read)
        blocks.append(note(localize(
            f"Read and usable in segments and models: {names}. Say below why they are needed, or take them out of the "
            "mapping.",
            f"以下列被读取，可用于分群与模型：{names}。请在下文说明必要性，或从映射中去掉。"), "warn"))  # fmt: skip
    named = [localize(words.en, words.zh) for matter, words in SENSITIVE_TOPIC_NAMES.items()
             if matter not in config.privacy.sensitive_allowed]  # fmt: skip
    closed = join_list(named) or localize("nothing: all are allowed by settings", "无：设置已全部允许")
    least, whole = count(config.privacy.printed_cell), config.privacy.printed_cell == 1
    rows = [
        [localize("offers on a private matter (health, alcohol)", "涉及隐私的商品（健康、酒类）"),
         localize("left out of menus and messages by a list", "按清单排除在菜单与消息之外")],
        [localize("profiles that tell of a sensitive matter", "画像透露敏感信息"),
         localize(f"products and columns that tell of these are left out by a list of words: {closed}",
              f"按词表排除涉及以下内容的商品与列：{closed}")],
        [localize("a printed group so small that it tells of somebody", "统计分组过小而暴露个人"),
         localize("all groups are printed, since the shop alone reads them (privacy.least_cell)",
              "所有分组照实显示，只供店铺自己查看（privacy.least_cell）") if whole else
         localize(f"groups below {least} are not printed, nor what would give them away",
              f"少于{least}人的分组及可推算出它的数字不予显示")],
        [localize("a message that tells what somebody did", "消息透露他人行为"),
         localize("facts are filled by code and read again before sending", "内容由程序填写，发送前再次核对")],
        [localize("minors", "未成年人"),
         localize("nobody known to be below the least age", "已知低于最低年龄者不发放")],
        [localize("pressure by too many messages", "消息过多"),
         localize("days of rest, caps by channel, quiet hours", "间隔天数、渠道上限、免打扰时段")],
        [localize("loyal customers worse off than new ones", "老客户待遇差于新客户"),
         localize("compared by `promolift fairness`, judged by people: question 3",
              "由promolift fairness比较，再由人工判断：见问题3")],
        [localize("a wrong decision nobody can explain", "无法解释的错误决策"),
         localize("every decision is kept with its candidates and can be made again",
                  "每个决策连同候选项保存，可重现")],
    ]  # fmt: skip
    heads = [localize("risk", "风险"), localize("what is done against it", "应对措施")]
    blocks.append(table(localize("Risks to customers", "对客户的风险"), heads, rows, words=(1,)))
    title = localize("What could go wrong for a customer?", "客户可能受到什么影响？")
    lead = localize("What the software does against it; the rest is for people.", "软件已采取的措施；其余由人工负责。")
    return Chapter("risks", localize("Risks", "风险"), title, lead, blocks)


def _private(config: Config, spent: BudgetUse | None) -> list[Chapter]:
    if spent is None:
        return []
    zone = config.shop.zone
    rows = [[spent.labels[purpose], f"{epsilon:.2f}"] for purpose, epsilon in spent.purposes.items()]
    rows.append([localize("together", "合计"), f"{spent.spent:.2f}"])
    when = [
        [date(each.at_ms, zone), spent.labels[each.purpose], f"{each.noise:.2f}", count(each.steps)]
        for each in spent.releases
    ]
    heads = [localize("day", "日期"), localize("what for", "用途"), localize("noise over clip", "噪声与截断之比"),
             localize("steps", "步数")]  # fmt: skip
    title = localize("What can anybody else learn of a customer?", "他人能从结果中得知某位客户的什么？")
    lead = localize(
        "With or without any one customer, what others get is as good as the same: no odds move by more than e to the "
        f"epsilon, but for a probability of {config.privacy.delta:g}.",
        f"无论有无某一位客户，其他人得到的结果几乎相同：除{config.privacy.delta:g}的概率外，任何胜算变化不超过e的epsilon次方。",
    )
    return [Chapter("private", localize("Privacy budget", "隐私预算"), title, lead, [
        note(spent.text),
        table(localize("Epsilon by purpose", "各用途的epsilon"), [localize("what for", "用途"), "epsilon"], rows),
        table(localize("Releases", "发布记录"), heads, when, words=(1,)),
        sentences(localize("Not private", "不受此保护"), [*spent.exact]),
        sentences(localize("Left out, for there is no private form", "因无私密形式而不使用"), [*spent.left_out]),
    ])]  # fmt: skip


def _questions() -> Sequence[str]:
    return (
        localize("Was the balance of interests written down, where a legitimate interest is the basis?",
             "以正当利益为依据的，是否已书面权衡各方利益？"),
        localize("Are data sent to another country, and by which safeguard?", "数据是否出境，依据何种保障措施？"),
        localize("Were the offers compared between groups of customers, and is nobody worse off without a reason?",
             "是否比较过不同客户群体所得的优惠，有无人群无故受到不利对待？"),
        localize("Who looks at a decision when a customer asks, and within how many days?",
             "客户提出异议时，由谁复核决策，几日内答复？"),
        localize("Who was asked: the data protection officer, the people concerned, the works council?",
             "征求过谁的意见：数据保护负责人、客户代表、员工代表？"),
    )  # fmt: skip


def _open() -> Chapter:
    asked = [[f"{number}. {each}", ""] for number, each in enumerate(_questions(), start=1)]
    answers = table("", [localize("question", "问题"), localize("answer", "回答")], asked, words=(1,))
    sign = localize(
        "Name, date and signature of who answers for the data: ____________", "负责人姓名、日期与签字：____________"
    )
    return Chapter(
        "open", localize("To sign", "签字"), localize("What must people still state?", "还有哪些须由人工写明？"),
        localize("Nothing below can be read from settings.", "以下内容无法由设置得出。"), [answers, note(sign)],
    )  # fmt: skip
