"""What the steps keep in a work folder, be it table, note or model, and the verb that makes each: errors name it."""

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
    **dict.fromkeys(
        ("response", "halves", "no_model", "depths", "redemption_features",
         "redemption_odds"),
        "effect",
    ),
    **dict.fromkeys(
        ("plan", "candidates", "chosen", "decisions", "frontier", "arms", "draws", "test", "heard"), "plan"
    ),
    **dict.fromkeys(("creative_plan", "creatives"), "run"),
    "transcripts": "transcribe",
    **dict.fromkeys(("messages", "offers", "wording"), "message"),
    **dict.fromkeys(("predictions", "policies", "unchecked", "believed"), "evaluate"),
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
