"""Say which command produces each table, note and model of a work folder, and where its runs wrote files outside of it.

Errors name the command; an erasure finds the files again.
"""

from pathlib import Path

OUTPUTS_FILE = "outputs.txt"  # in the work folder: a path per line
PRODUCED_BY: dict[str, str] = {
    **dict.fromkeys(
        ("events", "customers", "products", "exposures", "redemptions", "coupons", "shelf", "words", "rejected",
         "health", "span", "pulled_", "senses", "pictures"),
        "ingest",
    ),
    **dict.fromkeys(
        ("profiles", "affinities", "interests", "unknown_attributes", "purchase_members", "outlook", "outlook_items",
         "encoder", "encoder_basket", "encoder_shared", "encoder_unfinished", "stand_in", "private_",
         "privacy_ledger"),
        "profile",
    ),
    **dict.fromkeys(("response", "halves", "no_model", "depths", "redemption_features", "redemption_odds"), "effect"),
    **dict.fromkeys(
        ("plan", "candidates", "chosen", "decisions", "frontier", "arms", "draws", "plays", "test", "heard"), "plan"
    ),
    **dict.fromkeys(("creative_plan", "creatives"), "run"),
    "transcripts": "transcribe",
    **dict.fromkeys(("messages", "withheld", "offers", "wording"), "message"),
    **dict.fromkeys(("predictions", "policies", "uplift_check", "unchecked", "believed"), "evaluate"),
    "fairness": "fairness",
    "history": "history",
    "release": "learn approve",
    **dict.fromkeys(
        ("trial", "trial_effects", "trial_pairs", "trial_balance", "trial_placebos", "trial_dose"), "effect fit"
    ),
    **dict.fromkeys(
        ("trial_judged", "trial_qini", "trial_curves", "trial_deciles", "trial_policies"), "effect evaluate"
    ),
    **dict.fromkeys(("trial_planned", "trial_plan", "trial_frontier"), "effect report"),
}  # fmt: skip


def remember_output(root: Path, path: Path) -> None:
    """Remember a file or folder that was written for this work folder, unless it lies in the folder itself."""
    place = path.absolute()
    if not place.is_relative_to(root.absolute()) and place not in remembered_outputs(root):
        with (root / OUTPUTS_FILE).open("a", encoding="utf-8") as file:
            file.write(f"{place}\n")


def remembered_outputs(root: Path) -> list[Path]:
    """Return what was remembered, whether it is still there or not."""
    file = root / OUTPUTS_FILE
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return [Path(line) for line in dict.fromkeys(lines) if line]
