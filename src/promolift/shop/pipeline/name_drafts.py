"""Draft, list and approve the everyday names of a shop's goods, for `promolift words names` and the console."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from promolift.core.messages.everyday_names import (
    MAX_NAMES,
    EverydayName,
    NamelessGoods,
    names_request,
    read_names,
)
from promolift.core.offers.product_names import is_sensitive, names_in, readable_name
from promolift.core.offers.terms import covered_targets
from promolift.foundation.errors import ConfigError, InputError
from promolift.foundation.i18n.catalogue import gettext, ngettext
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.language_model import UsageMeter, remote_settings
from promolift.foundation.localized_text import LANGUAGE_NAMES, Language
from promolift.foundation.progress import StepSummary
from promolift.foundation.storage.local_store import Store
from promolift.shop.configuration.configuration import Config
from promolift.shop.configuration.goods_names import change_names, current_day, decide, load_names, shop_names
from promolift.shop.configuration.model_status import load_model
from promolift.shop.reports.text_briefs import prompts_summary, usage_text
from promolift.shop.results.messages import Messages, Offers
from promolift.shop.results.work_folder.work_tables import CleanTables

NAMES_SHOWN = 12


class NameChoices(NamedTuple):
    """What `promolift words names` is asked to do: draft, or decide on drafts by key (all of them), and who says so."""

    draft: bool = False
    dry_run: bool = False
    approve: Sequence[str] = ()
    reject: Sequence[str] = ()
    approve_all: bool = False
    by: str = ""


def find_nameless(config: Config, work: Path) -> dict[Language, list[NamelessGoods]]:
    """Return by language what the last plan offers or names of purchases, and that the language has no name for."""
    goods = dict[NamelessGoods, None]()
    if work.is_dir():
        with Store(work) as store:
            offers = Offers.load(store).offers if Offers.has(store) else ()
            clean, products = CleanTables(store), [each for each in offers if each.scope == "product"]
            named = dict(clean.catalogue.select("product_id", "name").iter_rows()) if products else {}
            for offer in offers:
                for part in covered_targets(offer.covers) if offer.scope != "all" else ():
                    single = offer.scope == "product"
                    key = named.get(part) or part if single else part
                    goods[NamelessGoods(key, "product" if single else "category")] = None
            rows = Messages.load(store).rows if Messages.has(store) else None
            if rows is not None and "bought_name" in rows.columns:
                for name in rows["bought_name"].drop_nulls().unique().sort():
                    goods[NamelessGoods(name, "product")] = None
    known = shop_names(config.message)
    return {
        language: [
            each for each in goods
            if not is_sensitive(each.key, each.kind)
            and not names_in(readable_name(each.key, each.kind, known).text_in(language), language)
        ]
        for language in config.shop.languages
    }  # fmt: skip


def names_of_goods(config: Config, work: Path, asked: NameChoices) -> StepSummary:
    """Draft names, decide on them, or list what waits; one request per language, each name asked for once."""
    if asked.draft or asked.dry_run:
        return _draft(config, work, asked)
    records = load_names(config.message)
    if asked.approve or asked.reject or asked.approve_all:
        if not asked.by.strip():
            message = gettext_lazy("words names: say who you are with --by NAME; it is kept with every name")
            raise InputError("option_missing", message)
        drafts = [each.key for each in records if each.state == "drafted"]
        if unknown := sorted({*asked.approve, *asked.reject} - {each.key for each in records}):
            raise InputError(
                "name_unknown", gettext_lazy("words names: no draft of a name for {key}", key=repr(unknown[0]))
            )
        approve = drafts if asked.approve_all else asked.approve
        records = change_names(
            config.message,
            lambda found: decide(decide(found, approve, "approved", asked.by), asked.reject, "rejected", asked.by),
        )
    return _listed(config, find_nameless(config, work), records)


def _draft(config: Config, work: Path, asked: NameChoices) -> StepSummary:
    known = {(each.key, each.language) for each in load_names(config.message)}
    missing = {
        language: [each for each in goods if (each.key, language) not in known][:MAX_NAMES]
        for language, goods in find_nameless(config, work).items()
    }
    asks = {each: names_request(goods, each, config.plan.seed) for each, goods in missing.items() if goods}
    if asked.dry_run:
        shown = [f"--- {each}\n{ask.system.strip()}\n\n{ask.user.strip()}\n" for each, ask in asks.items()]
        priced = config.message.writer == "remote"
        return prompts_summary(shown, list(asks.values()), remote_settings(config.llm), priced)
    model, made, faults = UsageMeter(load_model(config)), list[EverydayName](), list[str]()
    for language, reply in zip(asks, model(list(asks.values())), strict=True):
        found = None if reply.fault else read_names(reply.text, missing[language], language, reply.model, current_day())
        made += found or []
        if found is None:
            why = reply.fault or gettext("the answer is not the JSON that was asked for")
            faults.append(gettext("{language}: no answer ({why})", language=LANGUAGE_NAMES[language], why=why))
    records = change_names(config.message, lambda found: [*found, *made])
    if model.capped:
        message = gettext_lazy(
            "words names: the next call could take more than {setting} allows", setting=f"llm.remote.{model.capped}"
        )
        raise ConfigError("cost_cap_reached", message)
    listed = _listed(config, find_nameless(config, work), records)
    return StepSummary("\n".join([listed.text, *faults, usage_text(model.usage)]), listed.figures)


def _listed(
    config: Config, nameless: dict[Language, list[NamelessGoods]], records: Sequence[EverydayName]
) -> StepSummary:
    waiting = [each for each in records if each.state == "drafted"]
    lines = [
        ngettext("{n} name waits for a person.", "{n} names wait for a person.", len(waiting), n=len(waiting)),
        *(f"  {each.key} → {each.name} ({LANGUAGE_NAMES[each.language]})" for each in waiting[:NAMES_SHOWN]),
    ]
    for language, goods in nameless.items():
        if goods:
            lines.append(
                ngettext(
                    "{language}: {n} product or category of the plan has no name; messages say it without one.",
                    "{language}: {n} products or categories of the plan have no name; messages say them without one.",
                    len(goods), language=LANGUAGE_NAMES[language], n=len(goods),
                )
            )  # fmt: skip
            lines += [f"  {each.key}" for each in goods[:NAMES_SHOWN]]
    if any(nameless.values()) and not waiting:
        lines.append(
            gettext("`promolift words names --draft` asks the model for names; `[message.names]` takes your own.")
        )
    figures = {
        "waiting": [each.model_dump() for each in waiting],
        "approved": sum(each.state == "approved" for each in records),
        "nameless": {language: [each.key for each in goods] for language, goods in nameless.items()},
    }
    return StepSummary("\n".join(lines), figures)
