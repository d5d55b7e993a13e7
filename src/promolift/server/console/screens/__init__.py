"""The screens: each a module of handlers, which say by which paths they are opened; their place in the navigation is
the order of `nav` in server/translations.tsv.
"""

from importlib import import_module

from promolift.server.console.pages.context import ROUTES

for _screen in ("overview", "data", "plan", "texts", "customers", "offers", "experiments", "monitoring", "earnings",
                "trials", "governance", "developer", "account"):  # fmt: skip
    import_module(f"{__name__}.{_screen}")
SCREENS = tuple(sorted(ROUTES, key=lambda each: "{" in each.path))  # a path of its own goes before one with a name
