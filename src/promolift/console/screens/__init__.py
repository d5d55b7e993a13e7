"""The screens: each a module of handlers, which say by which paths they are opened; their place in the navigation is
the order of `nav` in console/words.tsv.
"""

from importlib import import_module

from promolift.console.visit import ROUTES

for _screen in ("today", "data", "plan", "words", "customers", "offers", "experiments", "live", "results", "trials",
                "governance", "developer", "account"):  # fmt: skip
    import_module(f"{__name__}.{_screen}")
SCREENS = tuple(sorted(ROUTES, key=lambda each: "{" in each.path))  # a path of its own goes before one with a name
