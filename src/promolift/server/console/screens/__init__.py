"""The screens of the console, one module of handlers each.

The navigation shows them in the order of `nav` in server/translations.tsv.
"""

from importlib import import_module

from promolift.foundation.extension import listed
from promolift.foundation.i18n.catalogue import current_locale
from promolift.server.console.pages.context import ROUTES, PageRoute

for _screen in ("overview", "data", "data_setup", "plan", "texts", "customers", "offers",
                "experiments", "monitoring", "earnings", "trials", "governance", "developer", "account",
                "alerts"):  # fmt: skip
    import_module(f"{__name__}.{_screen}")
SCREENS = tuple(ROUTES)  # promolift's own


def load_screens() -> list[PageRoute]:
    """Import the screens that extensions register; return all pages and forms, those without a name in the path first.

    A module of an extension decorates its handlers with `page` and `form`, as promolift's own do, and names its place
    in the navigation by `NAVIGATION = {"/path": {"en": "Label", "zh": "名称"}}`.
    """
    for module in listed("screens"):
        import_module(module)
    return sorted(ROUTES, key=lambda each: "{" in each.path)


def extension_navigation() -> dict[str, str]:
    """Return the labels of the extensions' screens by path, in the reader's language."""
    modules = (import_module(module) for module in listed("screens"))
    labels = {path: each for module in modules for path, each in getattr(module, "NAVIGATION", {}).items()}
    return {path: each.get(current_locale()) or each["en"] for path, each in labels.items()}
