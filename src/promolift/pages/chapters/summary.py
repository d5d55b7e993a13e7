"""The story in, the shop's page out, and on its first screen the headline, what to do now, and what it stands on."""

from promolift.pages.blocks import Big, Page, Stand, Todo
from promolift.pages.chapters import budget, customers, discount, forecast, health, models, people
from promolift.pages.figures import headline
from promolift.pages.render import render_page
from promolift.pages.story import Story
from promolift.results.learned import Ranged
from promolift.results.plan import Assumption
from promolift.results.predictions import COUPONS
from promolift.sql import DAY_MS
from promolift.terms import Words
from promolift.words import (
    bracket,
    clip,
    count,
    date,
    days,
    ends,
    listed,
    number,
    pick,
    share,
    speaking,
    spoken,
    upper_first,
)

TELLERS = (
    people.tell, people.tell_messages, budget.tell, budget.tell_policies, health.tell_unknowns,
    customers.tell, discount.tell, models.tell, health.tell,
    models.tell_figures, discount.tell_method, budget.tell_method, forecast.tell,
)  # fmt: skip
NAMES = {
    "margin": Words(en="The margin", zh="毛利率"),
    "supplier_share": Words(en="The suppliers' part", zh="供应商承担的比例"),
    "response": Words(en="The response to discounts", zh="客户对折扣的反应"),
    "coupon_reach": Words(en="Coupons that are noticed", zh="注意到优惠券的客户"),
    "stretch_share": Words(en="Orders filled up to a threshold", zh="为门槛凑单的订单"),
}
ASK = {
    "margin": Words(en="Ask finance for the real margin.", zh="请向财务核实真实毛利率。"),
    "supplier_share": Words(en="Have purchasing confirm it in writing.", zh="请采购部门书面确认。"),
    "response": Words(
        en="Nobody can know before the offers are sent; the customers left out will tell.",
        zh="发出之前无法确知，留出的对照客户会给出答案。",
    ),
}
ALL = 0.99  # of a budget spent, so much is all of it
MOST = 3  # offers that are named on the first screen


def render(story: Story) -> str:
    """The report of `story` as one HTML document. What the story leaves out becomes a box that says so."""
    with speaking(story.language):
        return render_page(page_of(story))


def page_of(story: Story) -> Page:
    """The report. What the story leaves out becomes a box that says so."""
    shop, window = story.plan.shop, story.window_days
    last = date(story.asof_ms + (window - 1) * DAY_MS, shop.zone)
    return Page(
        name=shop.name,
        eyebrow=pick("Promotion plan", "促销计划"),
        facts={
            pick("From", "开始"): date(story.asof_ms, shop.zone),
            pick("to", "结束"): f"{last}{bracket(days(window))}",
            pick("Currency", "币种"): shop.currency,
        },
        head=first(story),
        warning=forecast_miss(story),
        asides=[clip(text, 500) for text in (*story.why[1:], story.next) if text],
        do=todo(story),
        stands=[stand(each) for each in story.believed],
        bigs=numbers(story),
        chapters=[chapter for teller in TELLERS if (chapter := teller(story)) is not None],
        currency=shop.currency,
    )


def first(story: Story) -> Big:
    """The one number the report is about, and its interval; why nobody gets an offer, where nobody does."""
    head, plan, window, cost = story.head, story.plan, days(story.window_days), story.cash(story.plan.cost_cents)
    gain = Ranged(head.gain_cents, head.low_cents, head.high_cents) if head else None
    text = pick(
        f"What sending these offers is expected to add in {window}, beyond sending nothing, once their cost of "
        f"{cost} is "
        f"paid.{_luck(story)}",
        f"发出这些优惠，与什么都不发相比，预计{window}内多赚的钱，花费{cost}已扣除。{_luck(story)}",
    )
    if story.tests:
        label = pick("This plan is a test, expected to cost", "这个计划是一次测试，预计花费")
        return Big(label, story.cash(plan.cost_cents), story.why[0] if story.why else text)
    why = clip(story.why[0], 400) if story.why else text
    return headline(pick("Expected extra profit", "预期增加的利润"), gain, why, plan.evidence, story.cash)


def _luck(story: Story) -> str:
    """What the estimates that chose the plan promise, where the headline is another figure."""
    head, cash = story.head, story.cash
    if head is None or head.promised_cents is None:
        return ""
    promised = cash(head.promised_cents)
    if head.promised_cents <= head.gain_cents or promised == cash(head.gain_cents):
        return pick(
            f" The estimates that chose the offers promise {promised}; checked on customers who had no part in the "
            "choice, it is no less.",
            f"选优惠时的估计是{promised}；用没有参与选择的客户核对，并没有变少。",
        )
    return pick(
        f" The estimates that chose the offers promise {promised}; checked on customers who had no part in the choice, "
        "part of that was luck, which is taken off here.",
        f"选优惠时的估计是{promised}；用没有参与选择的客户核对，其中一部分只是运气，这里已经扣掉。",
    )


def forecast_miss(story: Story) -> str:
    """A warning where what was predicted of the weeks held back missed what happened by more than chance and 5 %."""
    missed = [each for each in story.predictions.missed if story.coupons or each.model != COUPONS]
    if not missed:
        return ""
    said = [
        f"{models.name_of(each.model)} {number(each.value)}{bracket(ends(each.low, each.high, number))}"
        for each in missed
    ]
    return pick(
        "Forecasts missed what happened in the weeks held back (1 would be right): "
        f"{listed(said)}. What the offers bring and cost may be off by as much.",
        f"在留出核对的几周里，预测与实际有偏差（1为完全准确）：{listed(said)}。优惠的收益和花费也可能有同样幅度的偏差。",
    )


def todo(story: Story) -> list[Todo]:
    """What to do now, in order; nothing to send where nobody gets an offer."""
    plan, cash = story.plan, story.cash
    if not plan.treated:
        return []
    steps = _to_check(story)
    often = [
        pick(
            f"{clip(row['offer'], 50)} ({count(row['treated'])})",
            f"{clip(row['offer'], 50)}（{count(row['treated'])}位）",
        )
        for row in story.offers.head(MOST).iter_rows(named=True)
    ]
    who = pick(
        f"Send one offer each to {count(plan.treated)} customers, of {count(plan.able)} who may get one",
        f"给{count(plan.treated)}位客户各发一个优惠（可发的客户共{count(plan.able)}位）",
    )
    where = pick("Who gets what, with words and codes: plan.csv.", "每人得到什么、用什么话、什么券码：见plan.csv。")
    most = pick(f"Most often {listed(often)}. ", f"最多的是{listed(often)}。") if often else ""
    steps.append(Todo(who, most + where))
    steps.append(
        Todo(
            pick(f"Set aside {cash(plan.cost_cents)}", f"准备{cash(plan.cost_cents)}"),
            pick(
                "So much the discounts and sending are expected to cost the shop, of a budget of "
                f"{cash(plan.budget_cents)}.",
                f"这是折扣和发送预计花费店铺的钱，预算为{cash(plan.budget_cents)}。",
            ),
        )
    )
    if plan.held_out:
        steps.append(
            Todo(
                pick(
                    f"Send nothing to {count(plan.held_out)} customers, and compare",
                    f"对{count(plan.held_out)}位客户不发，用来对照",
                ),
                pick(
                    "They were picked at random. When the window is over, read in the new log and run `promolift "
                    "learn`: "
                    "the difference to them is the proof.",
                    "他们是随机抽出的。活动期结束后读入新日志，运行`promolift learn`：与他们的差别才是证据。",
                ),
            )
        )
    return steps


def _to_check(story: Story) -> list[Todo]:
    """The assumption that carries the result, where another value of it would turn the plan."""
    weak = story.believed[0] if story.believed else None
    if weak is None or weak.flips_at is None:
        return []
    name, ask = NAMES.get(weak.name), ASK.get(weak.name)
    called, turn = name.in_(spoken()) if name else weak.name, share(weak.flips_at)
    what = pick(
        f"Check before you send: {called[:1].lower()}{called[1:]}, {share(weak.value)}",
        f"发送前先核实：{called}{share(weak.value)}",
    )
    why = pick(f"At {turn} nothing would be earned.", f"如果只有{turn}，就不赚钱了。")
    return [Todo(what, why + (pick(" ", "") + ask.in_(spoken()) if ask else ""))]


def stand(each: Assumption) -> Stand:
    """What the headline stands on and nobody measured."""
    name = NAMES[each.name].in_(spoken()) if each.name in NAMES else upper_first(each.name.replace("_", " "))
    text = clip(pick(each.text, each.text_zh or each.text), 400)
    if each.flips_at is None:
        return Stand(name, text)
    end = max(1.0, each.value, each.flips_at)
    place = (round(100 * min(max(x, 0.0), end) / end, 2) for x in (each.value, each.flips_at))
    return Stand(name, text, share(each.value), share(each.flips_at), *place)


def numbers(story: Story) -> list[Big]:
    """The further numbers."""
    plan, cash, read, lead = story.plan, story.cash, story.health, budget.lead_of(story)
    less = plan.spent_share is not None and plan.spent_share < ALL
    part = share(plan.spent_share)
    spent = pick(f" ({part} of it)", f"的{part}") if less else ""
    rest = (
        pick(f"; {share(plan.treated_share)} of those who could", f"，占可发客户的{share(plan.treated_share)}")
        if plan.able
        else ""
    )
    bigs = [
        Big(
            pick("Customers with an offer", "得到优惠的客户"),
            count(plan.treated),
            pick(f"Of {count(plan.customers)} customers{rest}.", f"客户共{count(plan.customers)}位{rest}。"),
        ),
        Big(
            pick("Expected cost", "预期花费"),
            cash(plan.cost_cents),
            pick(f"Of a budget of {cash(plan.budget_cents)}{spent}.", f"预算{cash(plan.budget_cents)}{spent}。"),
        ),
        Big(
            pick(f"The next {cash.unit} of budget", f"预算再加{cash.unit}"),
            cash.per_unit(plan.next_cents),
            pick(
                f"So much one more {cash.unit} would add, after its cost.",
                f"再加{cash.unit}预算，扣除花费后多赚这么多。",
            ),
            plan.evidence,
        ),
    ]
    if lead is not None and lead.shown:
        label = pick("Against the best simple rule", "比最好的简单规则")
        bigs.append(Big(label, lead.lead, lead.short, lead.evidence))
    if read.read:
        taken = pick(
            f"{count(read.accepted)} of {count(read.read)} rows could be used.",
            f"{count(read.read)}行数据中{count(read.accepted)}行可用。",
        )
        bigs.append(Big(pick("Data that could be used", "可用的数据"), share(read.accepted_share), taken))
    return bigs
