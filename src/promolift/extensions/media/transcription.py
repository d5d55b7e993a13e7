"""Transcribe the recordings that the file of customer texts names, before step 1 (table TRANSCRIPTS).

A recording is not transcribed again while its bytes are the same. A recording that cannot be transcribed has a reason.
"""

from collections import Counter
from pathlib import Path
from time import time
from typing import Any

import polars as pl

from promolift.extensions.media.speech import Transcript, check_recogniser, open_recogniser, transcribe_recording
from promolift.foundation.errors import ConfigError, InputError
from promolift.foundation.files.table_files import resolve_linked_file
from promolift.foundation.hashing import sha256_of_file
from promolift.foundation.i18n.catalogue import gettext, pgettext_noop
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.language_model import LanguageModel
from promolift.foundation.progress import StepSummary
from promolift.foundation.sql import quote_identifier
from promolift.foundation.tables.schemas import TRANSCRIPTS
from promolift.shop.ingest.cleaning.table_cleaning import rows_with_consent
from promolift.shop.pipeline.steps.ingest import open_raw_source
from promolift.shop.results.work_folder.run_context import Job

SAVE_EVERY = 20  # recordings: an interruption costs no more


def transcribe(job: Job, recogniser: LanguageModel | None = None) -> StepSummary:
    """Hear every recording of the file of words whose customer lets their words be read.

    Raises ConfigError where no file of words names recordings, or the recogniser is missing.
    """
    file, speech = job.config.data.words, job.config.speech
    if file is None or not file.mapping.has("audio"):
        raise ConfigError(
            "setting_missing",
            gettext_lazy("data.words: no file of words whose mapping names recordings (columns.audio); add one first"),
        )
    recogniser = recogniser or check_recogniser(speech, job.config.llm.remote, job.config.llm.records)
    raw = open_raw_source(job.store, "words", file)
    reader = rows_with_consent(raw.table.rows, raw.mapping, job.config.words.unasked)
    who, audio = (quote_identifier(raw.mapping.sources(role)[0]) for role in ("customer_id", "audio"))
    asked = reader.project(f"{who}::varchar as customer_id, {audio}::varchar as audio").distinct().pl()
    asked = asked.drop_nulls().sort("audio", "customer_id")
    earlier = job.clean.transcripts
    known = TRANSCRIPTS.empty() if earlier is None else earlier
    folder = Path(file.path).parent
    made: list[dict[str, Any]] = []
    heard = {row["sha256"]: row for row in known.iter_rows(named=True)}
    for done, (customer, name) in enumerate(asked.iter_rows(), 1):
        mark, row = "", None
        try:
            path = resolve_linked_file(folder, name)
            mark = sha256_of_file(path) if path.is_file() else ""
            row = heard.get(mark) if mark else None
            if row is None or row["fault"]:  # a fault may be gone: another recogniser, a longer limit
                recogniser = recogniser or open_recogniser(speech, job.config.llm.remote, job.config.llm.records)
                row = transcribe_recording(path, recogniser, speech)._asdict() | {
                    "model": speech.model or speech.recogniser
                }
        except (InputError, OSError) as why:
            row = Transcript(fault=str(why))._asdict() | {"model": ""}
        made.append(row | {"customer_id": customer, "audio": name, "sha256": mark, "made_ms": round(time() * 1000)})
        heard[mark] = made[-1]
        job.tell(pgettext_noop("step", "transcribe"), done / asked.height, name)
        if done % SAVE_EVERY == 0 or done == asked.height:
            fresh = TRANSCRIPTS.conform(pl.DataFrame(made, infer_schema_length=None))
            rest = known.join(fresh, on=["customer_id", "audio"], how="anti")
            job.store.save("transcripts", pl.concat([rest, fresh]))
    job.store.undone(["ingest"])
    return _summary(made)


def _summary(made: list[dict[str, Any]]) -> StepSummary:
    faults = Counter(str(row["fault"]) for row in made if row["fault"])
    minutes = sum(row["seconds"] or 0 for row in made) / 60
    head = gettext(
        "{done} of {recordings} recordings are text now ({minutes} minutes)",
        done=f"{len(made) - faults.total():,}", recordings=f"{len(made):,}", minutes=f"{minutes:.1f}",
    )  # fmt: skip
    failed = [gettext("{file}: {fault}", file=row["audio"], fault=row["fault"]) for row in made if row["fault"]]
    lines = [head, *failed[:20]]
    figures = {"step": "transcribe", "recordings": len(made), "faults": dict(faults), "minutes": minutes}
    return StepSummary("\n".join(lines), figures)
