"""The chapters, in the order they are read: each is a function from the story to a `Chapter`."""

from promolift.report.chapters import budget, customers, discount, health, messages, models, people, policies, unknowns

TELLERS = (
    health.tell,
    customers.tell,
    discount.tell,
    models.tell,
    budget.tell,
    policies.tell,
    people.tell,
    messages.tell,
    unknowns.tell,
)

__all__ = ["TELLERS"]
