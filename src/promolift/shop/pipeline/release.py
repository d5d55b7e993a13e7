"""Freeze a plan as a release: files, a manifest and a hash of each."""

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from pydantic import ValidationError, model_validator

from promolift.core import decisions
from promolift.core.offers.terms import Offer
from promolift.extensions.ads.results import CreativeCatalogue
from promolift.foundation.errors import InputError, StepError
from promolift.foundation.hashing import sha256_of, sha256_of_file
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.settings import Settings
from promolift.foundation.sql import bind, fetch_frame
from promolift.foundation.storage.local_store import Store
from promolift.foundation.tables.schemas import CATEGORY_LEVEL_SQL, CATEGORY_TARGET_SQL, CUSTOMERS
from promolift.foundation.version import __version__
from promolift.shop.results.messages import Messages, Offers, PoolWords
from promolift.shop.results.plan import Plan
from promolift.shop.results.plan_note import PlanNote, PlanSummary, summarise
from promolift.shop.results.work_folder.work_tables import CleanTables

CUSTOMER_COLUMNS = ["customer_id", "name", "age", "language", "consent"]
MESSAGE_COLUMNS = ("message", "title", "text", "text_prob")  # of each language
REASON_COLUMNS = ("angle", "angle_until_ms", "bought_name")  # of planned messages
HEADLINE = ("low_cents", "high_cents", "promised_cents")  # beside gain_cents, in releases of earlier versions
# product to the target its offers stand on, as the plan counts them
PRODUCT_TARGETS = f"""
with {CATEGORY_LEVEL_SQL}
select e.product_id, {CATEGORY_TARGET_SQL} as target, p.name, p.category from products e cross join level
join products p on p.product_id = e.product_id order by e.product_id
"""


class Manifest(Settings):
    """What a release says of itself. `terms` may be later ones than the plan's: what was learned since."""

    form: Literal[2]  # 1 scored the candidates anew
    code: str
    plan: PlanNote
    summary: PlanSummary | None = None  # the plan's figures when it was frozen; None in releases of earlier versions
    terms: decisions.ReleaseTerms
    offers: tuple[Offer, ...]
    wording: PoolWords = PoolWords()  # the texts that may be sent, and how
    creatives: CreativeCatalogue | None = None  # of a plan of creatives
    files: dict[str, str]

    @property
    def expected(self) -> PlanSummary:
        """The figures of its plan, as they were printed when it was frozen."""
        return self.summary or summarise(self.plan)

    @model_validator(mode="before")
    @classmethod
    def _of_an_earlier_version(cls, values: Any) -> Any:
        if not isinstance(values, dict) or "headline" not in values:
            return values
        head, rest = values["headline"], {name: value for name, value in values.items() if name != "headline"}
        if head is None:
            return rest
        figures = {"value_cents": head["gain_cents"]} | {name: head[name] for name in HEADLINE}
        return rest | {"summary": summarise(PlanNote.model_validate(rest["plan"])).model_copy(update=figures)}

    def text(self) -> str:
        """As it stands on disk."""
        return json.dumps(self.model_dump(mode="json"), ensure_ascii=False, sort_keys=True, indent=1)


def build_release(store: Store) -> str:
    """Freeze the work folder's plan as a release; its id. Raises StepError if there is no finished plan, or it breaks a
    limit of fairness.
    """
    plan, offers, clean, said = Plan.load(store), Offers.load(store), CleanTables(store), Messages.load(store).rows
    if plan.note.fairness and (broken := plan.note.fairness.broken(plan.chosen)):
        raise StepError(
            "plan_unfair",
            gettext_lazy(
                "no release: the plan is not fair. {broken}. Run `promolift plan` again", broken="; ".join(broken)
            ),
        )
    names = (*MESSAGE_COLUMNS, "play_reason")
    spoken = [f"{name}_{language}" for name in names for language in plan.note.shop.languages]
    frames = {
        "customers": CUSTOMERS.conform(clean.people).select(CUSTOMER_COLUMNS)
        .join(clean.personal, on="customer_id", how="left").sort("customer_id"),
        "messages": said.select(
            "customer_id", "offer_id", *(n for n in (*REASON_COLUMNS, *spoken) if n in said.columns)
        ),
        "products": fetch_frame(clean.products.query("products", bind(PRODUCT_TARGETS))),
    }  # fmt: skip
    draft = new_draft(store.root)
    files = plan.freeze(draft)
    for name, frame in frames.items():
        frame.write_parquet(draft / f"{name}.parquet", compression="zstd")
        files[name] = sha256_of_file(draft / f"{name}.parquet")
    wording = PoolWords.load(store).sendable if PoolWords.has(store) else PoolWords()
    terms = plan.note.terms
    return freeze_release(draft, Manifest(
        form=2, code=__version__, plan=plan.note, summary=plan.summary, terms=terms, offers=offers.offers,
        files=files, wording=wording,
    ))  # fmt: skip


def new_draft(root: Path) -> Path:
    """An empty folder for the files of a release to be."""
    draft = root / "serve" / "releases" / f"draft.{uuid4().hex}"
    draft.mkdir(parents=True)
    return draft


def freeze_release(draft: Path, manifest: Manifest) -> str:
    """Make a draft a release; its id. It is on disk before the first decision refers to it."""
    text = manifest.text()
    (draft / "manifest.json").write_text(text, encoding="utf-8")
    for path in (*draft.iterdir(), draft):
        sync_to_disk(path)
    place = draft.parent / release_id_of(text)
    if place.exists():
        shutil.rmtree(draft)
    else:
        draft.rename(place)
        sync_to_disk(draft.parent)
    return place.name


def read_manifest(folder: Path, release_id: str) -> Manifest:
    """A release's manifest. StepError if there is none or it is of an older form, InputError if it was changed."""
    if not (folder / "manifest.json").is_file():
        raise StepError(
            "release_unknown",
            gettext_lazy(
                "no release {release_id} in {parent}; make one with POST /v1/releases",
                release_id=repr(release_id),
                parent=folder.parent,
            ),
        )
    text = (folder / "manifest.json").read_text(encoding="utf-8")
    if release_id_of(text) != release_id:
        raise InputError(
            "file_changed",
            gettext_lazy(
                "{folder}/manifest.json was changed after the release was made; make a new release", folder=folder
            ),
        )
    try:
        return Manifest.model_validate_json(text)
    except ValidationError:
        raise StepError(
            "file_version_unsupported",
            gettext_lazy(
                "release {release_id} was made by another version of promolift; run `promolift plan` and "
                "`promolift message`, make a new release with POST /v1/releases and activate it",
                release_id=repr(release_id),
            ),
        ) from None


def release_id_of(manifest: str) -> str:
    """A release's id: a hash of its manifest, which holds the hashes of its files."""
    return f"rel_{sha256_of(manifest)[:16]}"


def sync_to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on disk; folders cannot be opened on Windows."""
    with suppress(PermissionError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
