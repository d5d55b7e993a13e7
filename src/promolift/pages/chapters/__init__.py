"""The chapters, in the order they are read: each makes a `Chapter` of the story, or None to be left out."""

from promolift.pages.chapters import (
    budget,
    customers,
    discount,
    health,
    messages,
    models,
    outlook,
    people,
    policies,
    unknowns,
)

TELLERS = (
    health.tell,
    customers.tell,
    outlook.tell,
    discount.tell,
    models.tell,
    budget.tell,
    policies.tell,
    people.tell,
    messages.tell,
    unknowns.tell,
)

__all__ = ["TELLERS"]
