"""Copy consent and opt-outs of personalisation from the server's ledger into the work folder, for the next plan."""

from promolift.foundation.hashing import sha256_of
from promolift.foundation.storage.local_store import Store
from promolift.shop.results.work_folder.ledger_consent import read_consent_updates
from promolift.shop.results.work_folder.run_context import Job


def load_consent_updates(job: Job) -> None:
    """Load consent updates as of `read_consent_updates` into the work folder, where there are any."""
    if (rows := read_consent_updates(job.store)) is None:
        return
    mark = sha256_of(rows.write_csv())
    if mark != consent_fingerprint(job.store) and (rows.height or job.clean.consent_updates is not None):
        job.store.save("heard", rows)
        job.store.save_json("heard", {"rows": mark})


def consent_fingerprint(store: Store) -> str:
    """Return a hash of the stored consent updates; empty if there are none."""
    return str(store.load_json("heard")["rows"]) if store.has_json("heard") else ""
