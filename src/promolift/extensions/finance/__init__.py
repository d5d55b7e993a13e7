"""Lending: plan which bank customers are offered which credit terms within a budget of capital."""

from promolift.foundation.extension import Extension, Project

EXTENSION = Extension(
    "finance",
    projects=(
        Project(
            "finance",
            row="customer or application",
            settings="promolift.extensions.finance.results:FinanceFile",
            init="promolift.extensions.finance.setup:write_finance_settings",
            run="promolift.extensions.finance.run:run_finance",
        ),
    ),
)
