"""How the budget is allocated: Lagrangian relaxation, exact repair and compiled loops."""
