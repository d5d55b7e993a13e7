"""The stages of the inference: proposing and scoring change nothing, and each stage says what goes in and comes out."""

import ast
import random
from copy import deepcopy
from pathlib import Path

import polars as pl
import pytest

import promolift.shop.ingest.schema_matching as stages
from promolift.foundation.files.column_names import COLUMN_SYNONYMS
from promolift.shop.configuration.column_mapping import OPTIONAL_ROLES, REQUIRED_ROLES
from promolift.shop.ingest.schema_matching.role_matching.mapping_draft import MappingDraft
from promolift.shop.ingest.schema_matching.role_matching.role_candidates import propose
from promolift.shop.ingest.schema_matching.role_matching.role_scores import find, score

FOLDER = Path(stages.__path__[0])
STAGES = (
    *(f"role_matching/{name}" for name in ("mapping_draft", "role_candidates", "role_scores", "time_columns")),
    "role_matching/mapping_explanation",
    *(f"event_mapping/{name}" for name in ("mapping_inference", "event_columns", "money_columns", "order_lines")),
    *(f"event_mapping/{name}" for name in ("amount_meaning", "table_columns")),
)
ROLES = (*REQUIRED_ROLES["events"], *OPTIONAL_ROLES["events"])


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_has_at_most_410_lines_and_says_what_goes_in_and_comes_out(stage: str) -> None:
    text = (FOLDER / f"{stage}.py").read_text("utf-8")
    said = ast.get_docstring(ast.parse(text)) or ""
    assert len(text.splitlines()) <= 410
    assert "In: " in said
    assert "Out: " in said


def drawn(seed: int) -> MappingDraft:
    """A file of columns that are called as some roles are, with made-up values, some of them missing."""
    draw = random.Random(seed)
    names = {draw.choice(names) for role in draw.sample(ROLES, 8) if (names := COLUMN_SYNONYMS.get(role))}
    forms = (lambda: f"{draw.uniform(1, 90):.2f}", lambda: f"c{draw.randrange(9)}", lambda: "", lambda: "2026-05-03")
    cells = {name: [draw.choice(forms)() for _ in range(30)] for name in sorted(names)}
    return MappingDraft("events", pl.DataFrame(cells), "UTC", None, (), {}, {})


@pytest.mark.parametrize("seed", range(20))
def test_proposing_and_scoring_leave_the_draft_as_it_is_and_finding_takes_what_scored_best(seed: int) -> None:
    draft = drawn(seed)
    for role in ROLES:
        before = deepcopy((draft.columns, draft.free, draft.settings, draft.notes, draft.sure))
        candidates = propose(draft, role)
        best = score(draft, role, candidates)
        assert before == (draft.columns, draft.free, draft.settings, draft.notes, draft.sure)
        assert {each.column for each in candidates} <= {*draft.free}
        assert (best is None) == (not candidates)
        find(draft, role)
        assert draft.columns.get(role) == (best and best.column)
        assert best is None or best.column not in draft.free
