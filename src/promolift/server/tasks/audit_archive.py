"""Write an archive that an auditor can replay from a work folder and ledger, and verify such an archive.

The archive is a ZIP of plain files (JSON, Parquet) in sorted order with one fixed time, so the same state gives
the same bytes. Its claims are computed from its files; `check_archive` computes them again. Customers are pseudonyms
under a key that stays in the work folder; erased customers are left out.
"""

import io
import json
import math
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from pydantic import ValidationError

from promolift.core import allocation
from promolift.core.allocation import strategic_rules
from promolift.core.allocation.settings import Limit
from promolift.core.decisions.decision_rule import (
    EXPLORATION_REASON,
    NONE,
    OpenOffers,
    RecordedDraws,
    ReleaseTerms,
    choose_offers,
)
from promolift.core.experiments.arm_sums import OutlierCap, sum_by_group
from promolift.core.experiments.experiment_design import HOLDOUT, Design, analyse
from promolift.core.experiments.lift import Metric
from promolift.foundation.errors import InputError, PromoError
from promolift.foundation.hashing import find_chain_break, sha256_of, sha256_of_file
from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.i18n.lazy_message import gettext_lazy, load_messages
from promolift.foundation.privacy.redaction import pseudonym
from promolift.foundation.progress import StepSummary
from promolift.foundation.settings import Settings
from promolift.foundation.storage.artifacts import remember_output
from promolift.foundation.storage.local_store import Store
from promolift.foundation.version import __version__
from promolift.server.settings import ServeSettings
from promolift.server.tasks.archive_privacy import (
    KnownCustomers,
    find_audit_faults,
    find_names,
    mask_audit_row,
    mask_health,
    pseudonym_key,
    pseudonymise_ids,
    pseudonymise_rows,
)
from promolift.shop.feedback.decision_outcomes import LearnSettings
from promolift.shop.feedback.learning import Request, load_evidence
from promolift.shop.feedback.policy_verdict import design_of, metric_of
from promolift.shop.pipeline.planning.open_offers import limits_of
from promolift.shop.results.fairness import FairnessNote
from promolift.shop.results.ingest import Health
from promolift.shop.results.messages import PoolWords
from promolift.shop.results.plan import Plan
from promolift.shop.results.plan_note import FairPlan
from promolift.shop.results.work_folder.run_context import Job

VERDICT_FILE = "verdict.json"  # of the plan over its holdout, in the form of a test
ARCHIVE_FORM, MANIFEST_FILE = 1, "manifest.json"
ZIP_TIMESTAMP = (1980, 1, 1, 0, 0, 0)
RELATIVE_TOLERANCE = 1e-9  # of a figure that another machine computes again
CANDIDATE_COLUMNS = (
    "customer_id", "offer_id", "menu_id", "scope", "target", "kind", "benefit", "depth", "eligible", "why_not",
    "gain_cents", "gain_se_cents", "cost_cents", "subsidy_cents", "evidence", "caution_cents", "boost_cents",
    "charge_cents", "open", "prob", "segments", "groups", "units",
)  # fmt: skip


class ArchiveNote(Settings):
    """What the archive says of itself: the code that wrote it, the hash of every file in it and of every table, note
    and model of the work folder it was made from; the last hash of the audit log, to be kept elsewhere, too.

    `left_out`: customers whom the plan decided on and who were erased since.
    """

    form: int
    version: str
    code: str
    campaign: str
    left_out: int
    audit_rows: int
    audit_head: str | None
    files: dict[str, str]
    work: dict[str, str]


class Certificate(Settings):
    """What was decided for and the most that any plan for these customers can gain within budget and limits, by the
    gains that the choice was made by; `why` there is none.
    """

    budget_cents: float
    seed: int
    limits: tuple[Limit, ...] = ()
    fairness: FairPlan | None = None
    gain_cents: float | None = None
    cost_cents: float | None = None
    bound_cents: float | None = None
    why: str | None = None


class Protocol(Settings):
    """A test as it was registered, when that was, and what it showed by the rows of its customers beside it. Of a plan
    over its holdout too, which is registered with it: outcomes are those of `window_days` after the decision.
    """

    name: str
    registered_ms: int
    begun_ms: int | None
    first_ms: int | None
    design: Design
    metrics: tuple[Metric, ...]
    caps: dict[str, dict[str, Any]]
    window_days: float | None = None
    verdicts: tuple[dict[str, Any], ...] = ()


class LedgerPart(NamedTuple):
    """The ids of erased customers, those of all customers of the server, and the rows of the audit log."""

    erased: set[str]
    people: set[str]
    chain: list[dict[str, Any]]


class Archive(NamedTuple):
    """What is said of the archive, and its files by name."""

    manifest: ArchiveNote
    files: dict[str, bytes]

    @property
    def mark(self) -> str:
        """A hash of all of it: whoever knows it from elsewhere knows that nothing was changed."""
        return f"ev_{sha256_of(self.manifest.model_dump_json())[:32]}"


def write_archive(
    job: Job, campaign: str, server: ServeSettings | None, to: Path, learned: Path = Path("learn-report")
) -> StepSummary:
    """Write the archive of a campaign; `learned` is where `promolift learn` wrote its verdict, if it did."""
    found = collect_archive(job, campaign, server, learned)
    draft = to.with_name(f".{to.name}.draft")
    to.parent.mkdir(parents=True, exist_ok=True)
    draft.write_bytes(pack_archive(found))
    draft.replace(to)
    remember_output(job.store.root, to)
    faults = list(check_archive(found))
    if faults:
        raise InputError(
            "results_inconsistent",
            gettext_lazy(
                "{file}: what the work folder holds does not agree with itself: {faults}",
                file=to, faults="; ".join(faults),
            ),
        )  # fmt: skip
    said = gettext(
        "{file}: {files} files, {mark}. Keep this mark elsewhere; promolift evidence --verify {file}",
        file=to, files=len(found.files), mark=found.mark,
    )  # fmt: skip
    if VERDICT_FILE not in found.files and (learned / "learn.json").is_file():
        said = gettext(
            "{file}: {files} files, {mark}. Keep this mark elsewhere; promolift evidence --verify {file}. {verdict} is "
            "not in it: it is not of this plan and the work folder's own events",
            file=to, files=len(found.files), mark=found.mark, verdict=learned / "learn.json",
        )  # fmt: skip
    return StepSummary(said, {"step": "evidence", "file": str(to), "mark": found.mark, "files": [*found.files]})


def verify_archive(path: Path) -> StepSummary:
    """Replay an archive. InputError names the file with a mismatch."""
    found = read_archive(path)
    if faults := list(check_archive(found)):
        raise InputError("evidence_invalid", gettext_lazy("{path}: {faults}", path=path, faults="; ".join(faults)))
    made, tests = found.manifest, protocol_files(found)
    masked = sum("masked" in json.loads(line) for line in found.files["audit.jsonl"].decode().splitlines())
    hidden = "" if not masked else gettext(
        ", {masked} of them masked: their place in the chain is checked, not their content", masked=f"{masked:,}"
    )  # fmt: skip
    text = gettext(
        "{path}: {files} files are as they were written, and everything recomputed agrees ({verdicts} verdicts, {rows} "
        "audit rows up to {head}{hidden}). Mark: {mark}",
        path=path, files=len(found.files), verdicts=len(tests), rows=f"{made.audit_rows:,}",
        head=made.audit_head or gettext("none"), hidden=hidden, mark=found.mark,
    )  # fmt: skip
    figures = {"step": "evidence verify", "mark": found.mark, "sound": True, "tests": len(tests), "masked": masked}
    return StepSummary(text, figures)


def collect_archive(job: Job, campaign: str, server: ServeSettings | None, learned: Path) -> Archive:
    """Collect all files about a campaign, under pseudonyms."""
    store, plan = job.store, Plan.load(job.store)
    if campaign != plan.note.terms.campaign_id:
        raise InputError(
            "campaign_differs",
            gettext_lazy(
                "evidence: the work folder plans campaign {campaign_id}, not {campaign}",
                campaign_id=repr(plan.note.terms.campaign_id), campaign=repr(campaign),
            ),
        )  # fmt: skip
    named = partial(pseudonym, key=pseudonym_key(store))
    kept: dict[str, bytes] = {}
    erased, people, chain = LedgerPart(set(), set(), [])
    url = server.ledger_url if server else ""
    if server and (not url.startswith("sqlite:///") or Path(url.removeprefix("sqlite:///")).is_file()):
        erased, people, chain = ledger_files(server, campaign, plan.note.shop.currency, named, kept)
    known = KnownCustomers.of(store, people | set(plan.candidates["customer_id"].unique()))
    chain = [mask_audit_row(row, known) for row in chain]
    learning_files(job, plan, learned, partial(pseudonymise_rows, named=named, erased=erased), kept)
    left = [name for name in CANDIDATE_COLUMNS if name in plan.candidates.columns]
    rows = pseudonymise_rows(plan.candidates.select(left), named, erased)
    decided = pseudonymise_rows(plan.decisions, named, erased)
    decided = decided.with_columns(decision_id=pseudonymise_ids(decided["decision_id"], named))
    kept |= {
        "candidates.parquet": to_parquet(rows), "decisions.parquet": to_parquet(decided),
        "plan.json": to_json_bytes(plan.note.model_dump(mode="json")),
        "certificate.json": to_json_bytes(plan_certificate(job, plan, rows, decided).model_dump(mode="json")),
        "audit.jsonl": "".join(f"{json.dumps(row, ensure_ascii=False, sort_keys=True)}\n" for row in chain).encode(),
    }  # fmt: skip
    for note in (Health, PoolWords, FairnessNote):
        if note.has(store):
            said = note.load(store).model_dump(mode="json")
            kept[f"{note.NAME}.json"] = to_json_bytes(mask_health(said, known) if note is Health else said)
    if places := [*find_names(kept, known)]:
        raise InputError(
            "evidence_names_customers",
            gettext_lazy(
                "evidence: {places} would name customers by id, e-mail or phone, and nothing was written; "
                "rename there what the shop named after a customer, then write the archive again",
                places="; ".join(places),
            ),
        )
    return Archive(
        ArchiveNote(
            form=ARCHIVE_FORM, version=__version__, code=code_hash(), campaign=campaign,
            left_out=plan.note.customers - decided.height,
            audit_rows=len(chain), audit_head=chain[-1]["hash"] if chain else None,
            files={name: sha256_of(kept[name]) for name in sorted(kept)}, work=work_hashes(store),
        ),
        kept,
    )  # fmt: skip


def ledger_files(
    server: ServeSettings, campaign: str, currency: str, named: Callable[[str], str], kept: dict[str, bytes]
) -> LedgerPart:
    """Who was erased, and the audit log; into `kept` go decisions that were served and every test with its verdict."""
    from sqlalchemy import select

    from promolift.server.decisions.experiment_results import (
        BOUGHT_METRIC,
        VALUE_METRIC,
        load_experiment_rows,
        with_known_outcome,
    )
    from promolift.server.ledger.audit_log import audit_rows
    from promolift.server.ledger.ledger import Ledger
    from promolift.server.ledger.migrations import open_tables
    from promolift.server.ledger.records import StoredExperiment
    from promolift.server.ledger.schema import CUSTOMERS, DECISIONS, EVENTS

    with Ledger(server.ledger_url, open_tables) as ledger, ledger.read() as db:
        chain = [*audit_rows(db)]
        erased = set(db.execute(select(CUSTOMERS.c.customer_id).where(CUSTOMERS.c.erased == 1)).scalars())
        erased |= {
            row["subject"] for row in chain if row["action"] == "privacy.erase"
        }  # what stays of them is under it
        people = {who for table in (CUSTOMERS, DECISIONS, EVENTS)
                  for who in db.execute(select(table.c.customer_id).distinct()).scalars()}  # fmt: skip
        mine = select(DECISIONS).where(DECISIONS.c.campaign_id == campaign).order_by(DECISIONS.c.decision_id)
        served = [dict(row) for row in db.execute(mine).mappings()]
        for name, test in StoredExperiment.all(db).items():
            if test.campaign_id != campaign:
                continue
            design = with_known_outcome(test.experiment.design)
            found = load_experiment_rows(db, design.name, currency)
            last = max([test.ended_ms or 0, *found.people["since_ms"], *found.money["ts_ms"]])
            rows = pseudonymise_rows(found.rows(test.ended_ms or last), named, erased)
            put = [
                row["ts_ms"] for row in chain
                if row["action"] == "experiment.put" and row["subject"] == campaign and design.name in row["new"]
            ]  # fmt: skip
            begun = test.begun_ms or (put[0] if put else 0)
            protocol = Protocol(
                name=name, registered_ms=min(put, default=begun), begun_ms=test.begun_ms, design=design,
                first_ms=found.people["since_ms"].min(), metrics=(VALUE_METRIC, BOUGHT_METRIC),
                caps={column: asdict(cap) for column, cap in found.caps.items()},
            )  # fmt: skip
            protocol = protocol.model_copy(update={"verdicts": verdicts_of(protocol, rows)})
            slug = name.replace("/", "_")
            kept[f"tests/{slug}.json"] = to_json_bytes(protocol.model_dump(mode="json"))
            kept[f"tests/{slug}.parquet"] = to_parquet(rows)
    if served:
        rows = pseudonymise_rows(pl.DataFrame(served, infer_schema_length=None).drop("code"), named, erased)
        rows = rows.with_columns(decision_id=pseudonymise_ids(rows["decision_id"], named))
        kept["served.parquet"] = to_parquet(rows.sort("decision_id"))
    return LedgerPart(erased, people, chain)


def learning_files(
    job: Job, plan: Plan, learned: Path, hide: Callable[[pl.DataFrame], pl.DataFrame], kept: dict[str, bytes]
) -> None:
    """Into `kept` goes what `promolift learn` said of this plan, with a row per customer; nothing where it was another
    plan, or other decisions and events than those of the work folder.
    """
    try:
        said: dict[str, Any] = load_messages((learned / "learn.json").read_text(encoding="utf-8"))
        settings = LearnSettings(window_days=said["window_days"])
        asked = Request(None, None, Path(), learned, job.config, settings)
        evidence = load_evidence(asked, job.store, job.config)
    except (OSError, ValueError, KeyError, PromoError):
        return
    metric, release = metric_of(evidence), evidence.release
    design = design_of(evidence, evidence.customers, metric)
    if (said["campaign"], said["policy_version"]) != (release.campaign_id, release.policy_version):
        return
    rows = hide(evidence.customers.select("customer_id", "arm", "value", "value_before", "orders"))
    first = int(evidence.slots.start_N.min())
    protocol = Protocol(
        name=design.name, registered_ms=int(plan.decided("ts_ms")["ts_ms"].min()), begun_ms=first, first_ms=first,  # type: ignore[arg-type]
        design=design, metrics=(metric,), caps={}, window_days=settings.window_days,
    )  # fmt: skip
    verdicts = verdicts_of(protocol, rows)
    mine = next((each for each in verdicts if each.get("arm") == release.policy_id), {})
    if rows.height == evidence.customers.height and list(json_differences(said["gain_per_customer"], mine.get("lift"))):
        return
    kept[VERDICT_FILE] = to_json_bytes(protocol.model_copy(update={"verdicts": verdicts}).model_dump(mode="json"))
    kept[VERDICT_FILE.replace("json", "parquet")] = to_parquet(rows)


def protocol_files(found: Archive) -> list[str]:
    """The files that hold a test, or the plan over its holdout."""
    tests = [name for name in found.files if name.startswith("tests/") and name.endswith(".json")]
    return sorted(tests) + [VERDICT_FILE] * (VERDICT_FILE in found.files)


def wrong_arms(rows: pl.DataFrame, decided: pl.DataFrame) -> Iterator[str]:
    """Customers of a verdict who are in another arm than was decided, and whether any was held out by it."""
    both = rows.join(decided.select("customer_id", "holdout").unique("customer_id"), on="customer_id", how="left")
    wrong = both.filter((pl.col("arm") == HOLDOUT) != pl.col("holdout").fill_null(False))
    yield from (f"{who} was not decided on so" for who in wrong["customer_id"][:1])


def plan_certificate(job: Job, plan: Plan, rows: pl.DataFrame, decided: pl.DataFrame) -> Certificate:
    """The certificate of the plan, worked out on what lies in the archive."""
    note, seed = plan.note, job.config.plan.seed
    if note.draws or note.terms.explore or note.terms.effects:
        why = "offers were drawn at random to learn from, so that no plan of them is the best"
        return Certificate(budget_cents=note.budget_cents, seed=seed, fairness=note.fairness, why=why)
    fair = note.fairness.limits if note.fairness else ()
    free = eligible_candidates(rows, decided)
    limits = tuple(limits_of(job, fair=fair).at(free, note.budget_cents))
    bare = Certificate(budget_cents=note.budget_cents, seed=seed, limits=limits, fairness=note.fairness)
    return compute_certificate(bare, rows, decided)


def compute_certificate(asked: Certificate, rows: pl.DataFrame, decided: pl.DataFrame) -> Certificate:
    """The certificate with its figures."""
    given = chosen_candidates(rows, decided)
    best = allocation.plan(
        strategic_rules.with_decision_gains(eligible_candidates(rows, decided)),
        asked.budget_cents,
        asked.limits,
        seed=asked.seed,
    )
    gain = float(strategic_rules.with_decision_gains(given)["gain_cents"].sum())
    return asked.model_copy(
        update={"gain_cents": gain, "cost_cents": float(given["cost_cents"].sum()),
                "bound_cents": max(float(best.allocation.bound), gain)}
    )  # fmt: skip


def eligible_candidates(rows: pl.DataFrame, decided: pl.DataFrame) -> pl.DataFrame:
    """Return the candidates of customers who may be contacted and are not in the holdout."""
    able = decided.filter(pl.col("holdout").eq(False)).select("customer_id")
    free = rows.filter("eligible", pl.col("offer_id") != NONE)
    return free.join(able, on="customer_id", how="semi").sort("customer_id", "offer_id")


def chosen_candidates(rows: pl.DataFrame, decided: pl.DataFrame) -> pl.DataFrame:
    """The candidates that were decided for."""
    given = decided.filter(pl.col("offer_id") != NONE).select("customer_id", "offer_id")
    return rows.join(given, on=["customer_id", "offer_id"], how="semi").sort("customer_id")


def verdicts_of(protocol: Protocol, rows: pl.DataFrame) -> tuple[dict[str, Any], ...]:
    """What a test shows, by its protocol."""
    columns = [*dict.fromkeys(name for each in protocol.metrics for name in (each.value, *each.covariates))]
    caps = {column: OutlierCap(**cap) for column, cap in protocol.caps.items()}
    try:
        found = analyse(sum_by_group(rows, columns, caps=caps), list(protocol.metrics), protocol.design)
    except PromoError as error:
        return ({"why": str(error)},)
    return tuple({name: value for name, value in row.items() if value is not None} for row in found.frame().to_dicts())


def check_archive(found: Archive) -> Iterator[str]:
    """What does not hold of an archive, by file: hashes, the audit log, decisions, certificate, limits, verdicts."""
    stated = found.manifest.files
    for name in sorted({*stated, *found.files}):
        if name not in found.files:
            yield f"{name} is missing"
        elif name not in stated:
            yield f"{name} is not in the manifest"
        elif sha256_of(found.files[name]) != stated[name]:
            yield f"{name} was changed after it was written"
    if any(name not in found.files or sha256_of(found.files[name]) != digest for name, digest in stated.items()):
        return  # what was changed is not worth computing with
    try:
        yield from check_computations(found)
    except (PromoError, ValidationError, pl.exceptions.PolarsError, KeyError, ValueError) as error:
        yield f"cannot be replayed: {type(error).__name__}: {str(error).splitlines()[0]}"


def check_computations(found: Archive) -> Iterator[str]:
    """What comes out otherwise when it is computed again."""
    chain = [json.loads(line) for line in found.files["audit.jsonl"].decode().splitlines()]
    yield from (f"audit.jsonl: {fault}" for fault in find_audit_faults(chain))
    if broken := find_chain_break(chain):
        yield f"audit.jsonl: row {broken} does not follow from the one before"
    if (chain[-1]["hash"] if chain else None) != found.manifest.audit_head:
        yield "audit.jsonl: its last hash is not the one in the manifest"
    rows, decided = (read_frame(found, f"{name}.parquet") for name in ("candidates", "decisions"))
    plan = json.loads(found.files["plan.json"])
    yield from (f"decisions.parquet: {each}" for each in wrong_decisions(decided, ReleaseTerms(**plan["terms"])))
    stated = Certificate.model_validate_json(found.files["certificate.json"])
    given = chosen_candidates(rows, decided)
    if stated.why is None:
        again = compute_certificate(stated, rows, decided)
        yield from (f"certificate.json: {each}" for each in json_differences(stated.model_dump(), again.model_dump()))
        if given["cost_cents"].sum() > stated.budget_cents * (1 + RELATIVE_TOLERANCE):
            yield "certificate.json: what was decided for costs more than the budget"
        yield from (
            f"certificate.json: limit {each.limit.name!r} is broken"
            for each in allocation.find_violations(given, stated.limits)
        )
    if stated.fairness and not found.manifest.left_out:
        yield from (f"plan.json: {each}" for each in stated.fairness.broken(given))
    if VERDICT_FILE in found.files:
        each = read_frame(found, VERDICT_FILE.replace("json", "parquet"))
        yield from (f"{VERDICT_FILE}: {fault}" for fault in wrong_arms(each, decided))
    for name in protocol_files(found):
        protocol = Protocol.model_validate_json(found.files[name])
        again_of = json.loads(json.dumps(verdicts_of(protocol, read_frame(found, name.replace(".json", ".parquet")))))
        yield from (f"{name}: verdicts: {each}" for each in json_differences(list(protocol.verdicts), again_of))
        if protocol.first_ms is not None and protocol.registered_ms > protocol.first_ms:
            yield f"{name}: it was registered after its first decision"
    for name in (each for each in sorted(found.files) if each.endswith(".parquet")):
        if not read_frame(found, name)["customer_id"].str.starts_with("cus_").all():
            yield f"{name}: names a customer without a pseudonym"


def wrong_decisions(decided: pl.DataFrame, terms: ReleaseTerms) -> Iterator[str]:
    """Decisions that do not follow from their options, price and terms, or whose probability is another.

    Who is held out and who draws is a hash of the customer's own id, which a pseudonym hides: that they did is taken
    from the record.
    """
    listed = decided.select(pl.int_range(pl.len()).alias("at"), "candidates").explode("candidates").drop_nulls()
    listed = listed.unnest("candidates").filter(pl.col("offer") != NONE)
    who_O, number = listed["at"].to_numpy(), {name: listed[name].to_numpy() for name in listed.columns[2:]}
    opened = OpenOffers(
        decided["customer_id"].to_list(),
        [reason if held is None else None for reason, held in decided.select("reason", "holdout").iter_rows()],
        np.bincount(who_O, minlength=decided.height).tolist(),
        number["gain_cents"] - number["charge_cents"],
        number["cost_cents"],
        np.stack([number["draw_start"], number["draw_share"]]),
    )
    given_O = (listed["offer"] == decided["offer_id"][who_O]).to_numpy()
    stated = np.array(opened.sizes)  # none is the last action
    stated[who_O[given_O]] = opened.slot_O[given_O]
    drawn_N = (decided["reason"] == EXPLORATION_REASON).to_numpy() | terms.by_interval
    actions = [each if drawn else None for each, drawn in zip(stated.tolist(), drawn_N.tolist(), strict=True)]
    draws = RecordedDraws(decided["holdout"].fill_null(False).to_list(), actions)
    found, offers, end = choose_offers(opened, terms, 0, draws), listed["offer"].to_list(), 0
    rows = decided.select("decision_id", "offer_id", "propensity").iter_rows()
    for choice, size, at, (id_, offer, propensity) in zip(found, opened.sizes, stated.tolist(), rows, strict=True):
        end += size
        right = offers[end - size + choice.slot] if choice.slot >= 0 else NONE
        if offer != NONE and at == size:
            yield f"{id_}: {offer!r} was not open"
        elif offer != right:
            yield f"{id_}: {offer!r} was decided, its options give {right!r}"
        elif not math.isclose(choice.propensity, propensity, rel_tol=RELATIVE_TOLERANCE):
            yield f"{id_}: propensity {propensity}, by its terms {choice.propensity}"


def json_differences(stated: Any, again: Any, at: str = "") -> Iterator[str]:
    """Where two values of JSON differ, numbers by more than NEAR."""
    if isinstance(stated, Mapping) and isinstance(again, Mapping):
        for name in sorted({*stated, *again}):
            yield from json_differences(stated.get(name), again.get(name), f"{at}.{name}" if at else str(name))
    elif isinstance(stated, list | tuple) and isinstance(again, list | tuple) and len(stated) == len(again):
        for place, (one, other) in enumerate(zip(stated, again, strict=True)):
            yield from json_differences(one, other, f"{at}[{place}]")
    elif isinstance(stated, int | float) and isinstance(again, int | float):
        if not math.isclose(stated, again, rel_tol=RELATIVE_TOLERANCE, abs_tol=RELATIVE_TOLERANCE):
            yield f"{at} is {stated}, computed again {again}"
    elif stated != again:
        yield f"{at} is {stated!r}, computed again {again!r}"


def pack_archive(found: Archive) -> bytes:
    """Return the archive's bytes: the same for the same content."""
    out = io.BytesIO()
    every = {**found.files, MANIFEST_FILE: found.manifest.model_dump_json(indent=1).encode()}
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(every):
            entry = zipfile.ZipInfo(name, ZIP_TIMESTAMP)
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archive.writestr(entry, every[name])
    return out.getvalue()


def read_archive(path: Path) -> Archive:
    """An archive as it lies there. InputError where it is none, or not exactly what its content would be written as."""
    try:
        raw = path.read_bytes()
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            if any(each.compress_type != zipfile.ZIP_STORED for each in archive.infolist()):
                raise zipfile.BadZipFile("a file in it is compressed")  # so that none unpacks to more than came
            names = archive.namelist()
            every = {name: archive.read(name) for name in names}
        manifest = ArchiveNote.model_validate_json(every.pop(MANIFEST_FILE))
    except (OSError, EOFError, KeyError, RuntimeError, ValueError, struct.error, zipfile.BadZipFile) as error:
        raise InputError(
            "file_unreadable",
            gettext_lazy(
                "{path}: is no archive of evidence, or damaged ({name}: {error})",
                path=path, name=type(error).__name__, error=error,
            ),
        ) from None  # fmt: skip
    if manifest.form != ARCHIVE_FORM:
        raise InputError(
            "file_version_unsupported",
            gettext_lazy(
                "{path}: is of form {form}; this version reads form {archive_form}",
                path=path, form=manifest.form, archive_form=ARCHIVE_FORM,
            ),
        )  # fmt: skip
    found = Archive(manifest, every)
    whole = all(sha256_of(every.get(name, b"")) == digest for name, digest in manifest.files.items())
    if whole and pack_archive(found) != raw:  # `check_archive` names a file whose hash differs
        raise InputError(
            "file_changed",
            gettext_lazy(
                "{path}: its bytes are not those that its content is written as; it was packed anew", path=path
            ),
        )
    return found


def code_hash() -> str:
    """A hash of the package's own files."""
    root = Path(str(files("promolift")))
    kinds = (".py", ".tsv", ".toml", ".csv", ".html", ".jsonl")
    every = sorted(path for path in root.rglob("*") if path.suffix in kinds)
    return sha256_of("".join(f"{path.relative_to(root).as_posix()} {sha256_of_file(path)}\n" for path in every))


def work_hashes(store: Store) -> dict[str, str]:
    """The hash of every table, note and model in the work folder."""
    every = (path for folder in ("tables", "notes", "models") for path in (store.root / folder).rglob("*"))
    return {path.relative_to(store.root).as_posix(): sha256_of_file(path) for path in sorted(every) if path.is_file()}


def to_parquet(rows: pl.DataFrame) -> bytes:
    """A table as a file."""
    out = io.BytesIO()
    rows.write_parquet(out, compression="zstd")
    return out.getvalue()


def to_json_bytes(value: Any) -> bytes:
    """A value as a file."""
    return f"{json.dumps(value, ensure_ascii=False, sort_keys=True, indent=1)}\n".encode()


def read_frame(found: Archive, name: str) -> pl.DataFrame:
    """A table of the archive."""
    return pl.read_parquet(io.BytesIO(found.files[name]))
