"""Build the record of processing and the impact assessment from the settings, for people to complete and sign.

Anything that the settings do not say appears as a named open question.
"""

from collections.abc import Sequence

from promolift.core.customers.sensitive_topics import SENSITIVE_TOPIC_NAMES
from promolift.foundation.i18n.catalogue import gettext, gettext_noop, pgettext
from promolift.foundation.i18n.formatting import count, date, join_list
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
        what
        for what, said in (
            (gettext("who answers for the data (privacy.controller)"), privacy.controller),
            (gettext("where customers write (privacy.contact)"), privacy.contact),
        )
        if not said
    ]
    todo = [ActionItem(gettext("State {what} in promolift.toml.", what=what)) for what in missing]
    if not any(getattr(privacy, name).keep_days for name in SOURCES):
        todo.append(
            ActionItem(gettext("Say how long the work folder keeps rows (privacy.events.keep_days and its like)."))
        )
    todo.append(
        ActionItem(gettext("Answer the questions of the last chapter, sign, and keep the page with the release."))
    )
    return Page(
        name=config.shop.name,
        eyebrow=gettext("Record of processing and impact assessment"),
        facts={
            gettext("Who answers for the data"): privacy.controller or config.shop.name,
            gettext("Contact"): privacy.contact or gettext("not stated"),
            gettext("Campaign"): config.plan.campaign,
        },
        head=KeyFigure(
            gettext("Left for people to state"),
            count(len(missing) + len(_questions())),
            gettext("Generated from promolift.toml: a draft for people to complete, no legal advice."),
        ),
        chapters=[_record(config, kept), _decisions(config), _risks(config), *_private(config, spent), _open()],
        actions=todo,
    )


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
        gettext("source"),
        gettext("columns read"),
        gettext("what for"),
        gettext("allowed by"),
    ]
    blocks: list[Figure | Block] = [
        table(gettext("Personal data"), heads, rows, words=(1, 2, 3)),
        table(
            gettext("Who hears of them"),
            [gettext("receiver"), gettext("what")],
            _receivers(config),
            words=(1,),
        ),
        table(
            gettext("How long they are kept"),
            [gettext("what"), gettext("until")],
            _periods(config, kept),
            words=(1,),
        ),
        sentences(gettext("How they are protected"), _measures()),
    ]
    return Chapter(
        "record",
        gettext("Record"),
        gettext("Which data are used, and what for?"),
        gettext("By the sources that promolift.toml names; other columns of these files are not read into profiles."),
        blocks,
    )


def _receivers(config: Config) -> list[list[str]]:
    rows = []
    if config.message.writer == "remote":
        rows.append(
            [config.llm.remote.base_url, gettext("facts of offers and products, for texts; no customer's data")]
        )
    if "warehouse" in config.model_fields_set:
        rows.append(
            [
                gettext("the warehouse of [warehouse]"),
                gettext("plan, decisions and verdicts, where `promolift export` is used"),
            ]
        )
    rows.append(
        [gettext("webhooks of the server"), gettext("decisions and redemptions, at the addresses an admin entered")]
    )
    return rows


def _periods(config: Config, kept: RetentionDays | None) -> list[list[str]]:
    def period_text(days: float | None) -> str:
        return gettext("no end is set") if days is None else whole_days(days)

    title = gettext("work folder: ")
    work = [[title + gettext(SOURCES[name]), period_text(getattr(config.privacy, name).keep_days)] for name in SOURCES]
    set_aside = gettext("rows that could not be read")
    work.append([title + set_aside, period_text(config.privacy.rejected_days)])
    work.append([title + gettext("what was computed from them"), gettext("the next run, or an erasure")])
    if kept is None:
        unknown = gettext("not known: give the server's settings by --settings")
        return [*work, [gettext("the server's ledger"), unknown]]
    return [
        *work,
        [gettext("events of the server"), period_text(kept.events)],
        [gettext("decisions of the server"), period_text(kept.decisions)],
    ]


def _measures() -> list[str]:
    return [
        gettext("Ledger and work folder are readable by their owner alone; secrets of webhooks are kept encrypted."),
        gettext("Logs name no customer; what was erased stands under a pseudonym made with the shop's secret key."),
        gettext("Every change by a person stands in a chain of hashes that shows what was altered."),
        gettext("A customer's export, erasure, pseudonym and explanation are requests of the API."),
    ]


def _decisions(config: Config) -> Chapter:
    plan, consent = config.plan, config.consent
    silence = gettext("yes") if consent.default else gettext("no")
    rows = [
        [gettext("who may be sent an offer without having said yes or no"), silence],
        [gettext("least age"), count(consent.minimum_age)],
        [gettext("held back at random, so that the effect can be measured"), f"{plan.holdout_share:.0%}"],
        [gettext("days without another offer after one"), count(config.rules.rest_days)],
        [
            gettext("groups that get none"),
            ", ".join(config.rules.excluded_segments) or pgettext("processing_record", "none"),
        ],
        [gettext("goods without offers"), ", ".join(config.rules.excluded) or gettext("none stated")],
    ]
    lead = gettext("A program chooses who gets which offer; customers who refused that get what is for everybody.")
    return Chapter(
        "decisions",
        gettext("Decisions"),
        gettext("How does a decision come about?"),
        lead,
        [
            table(
                gettext("Rules in force"),
                [gettext("rule"), pgettext("processing_record", "value")],
                rows,
                words=(1,),
            )
        ],
    )


def _risks(config: Config) -> Chapter:
    files = config.data.files
    read = sorted({role for file in files.values() for role in file.mapping.columns} & {*GUARDED})
    blocks: list[Figure | Block] = []
    if read:
        names = ", ".join(read)
        blocks.append(
            note(
                gettext(
                    "Read and usable in segments and models: {names}. Say below why they are needed, or "
                    "take them out of the mapping.",
                    names=names,
                ),
                "warn",
            )
        )
    named = [gettext(words) for matter, words in SENSITIVE_TOPIC_NAMES.items()
             if matter not in config.privacy.sensitive_allowed]  # fmt: skip
    closed = join_list(named) or gettext("nothing: all are allowed by settings")
    least, whole = count(config.privacy.printed_cell), config.privacy.printed_cell == 1
    rows = [
        [gettext("offers on a private matter (health, alcohol)"), gettext("left out of menus and messages by a list")],
        [
            gettext("profiles that tell of a sensitive matter"),
            gettext("products and columns that tell of these are left out by a list of words: {closed}", closed=closed),
        ],
        [
            gettext("a printed group so small that it tells of somebody"),
            gettext("all groups are printed, since the shop alone reads them (privacy.least_cell)")
            if whole
            else gettext("groups below {least} are not printed, nor what would give them away", least=least),
        ],
        [
            gettext("a message that tells what somebody did"),
            gettext("facts are filled by code and read again before sending"),
        ],
        [gettext("minors"), gettext("nobody known to be below the least age")],
        [gettext("pressure by too many messages"), gettext("days of rest, caps by channel, quiet hours")],
        [
            gettext("loyal customers worse off than new ones"),
            gettext("compared by `promolift fairness`, judged by people: question 3"),
        ],
        [
            gettext("a wrong decision nobody can explain"),
            gettext("every decision is kept with its candidates and can be made again"),
        ],
    ]
    heads = [gettext("risk"), gettext("what is done against it")]
    blocks.append(table(gettext("Risks to customers"), heads, rows, words=(1,)))
    title = gettext("What could go wrong for a customer?")
    lead = gettext("What the software does against it; the rest is for people.")
    return Chapter("risks", gettext("Risks"), title, lead, blocks)


def _private(config: Config, spent: BudgetUse | None) -> list[Chapter]:
    if spent is None:
        return []
    zone = config.shop.zone
    rows = [[spent.labels[purpose], f"{epsilon:.2f}"] for purpose, epsilon in spent.purposes.items()]
    rows.append([gettext("together"), f"{spent.spent:.2f}"])
    when = [
        [date(each.at_ms, zone), spent.labels[each.purpose], f"{each.noise:.2f}", count(each.steps)]
        for each in spent.releases
    ]
    heads = [gettext("day"), gettext("what for"), gettext("noise over clip"), gettext("steps")]
    title = gettext("What can anybody else learn of a customer?")
    lead = gettext(
        "With or without any one customer, what others get is as good as the same: no odds "
        "move by more than e to the epsilon, but for a probability of {delta}.",
        delta=f"{config.privacy.delta:g}",
    )
    return [
        Chapter(
            "private",
            gettext("Privacy budget"),
            title,
            lead,
            [
                note(spent.text),
                table(gettext("Epsilon by purpose"), [gettext("what for"), "epsilon"], rows),
                table(pgettext("processing_record", "Releases"), heads, when, words=(1,)),
                sentences(gettext("Not private"), [*spent.exact]),
                sentences(gettext("Left out, for there is no private form"), [*spent.left_out]),
            ],
        )
    ]


def _questions() -> Sequence[str]:
    return (
        gettext("Was the balance of interests written down, where a legitimate interest is the basis?"),
        gettext("Are data sent to another country, and by which safeguard?"),
        gettext("Were the offers compared between groups of customers, and is nobody worse off without a reason?"),
        gettext("Who looks at a decision when a customer asks, and within how many days?"),
        gettext("Who was asked: the data protection officer, the people concerned, the works council?"),
    )


def _open() -> Chapter:
    asked = [[f"{number}. {each}", ""] for number, each in enumerate(_questions(), start=1)]
    answers = table("", [gettext("question"), gettext("answer")], asked, words=(1,))
    sign = gettext("Name, date and signature of who answers for the data: ____________")
    return Chapter(
        "open",
        gettext("To sign"),
        gettext("What must people still state?"),
        gettext("Nothing below can be read from settings."),
        [answers, note(sign)],
    )
