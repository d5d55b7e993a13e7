"""Show a refused form again: the page that it came from, with what was typed and why it was refused.

Works on the rendered page, so that no template and no screen must know of it. Passwords and files are never kept.
"""

from collections.abc import Mapping, Sequence
from html import escape
from html.parser import HTMLParser
from typing import NamedTuple

from markupsafe import Markup

HIDDEN_NAMES = ("token", "back")  # of the page, never of what was sent
TYPED_KINDS = ("submit", "button", "password", "file", "hidden", "image", "reset")  # inputs that keep their own value
CONTROLS = ("input", "select", "textarea")


Attributes = Sequence[Sequence[str | None]]  # name and value of each, as html.parser has them


class Remedy(NamedTuple):
    """What can be done about an error: a page of the console, and what its link says."""

    path: str
    name: str


class RefusedForm(NamedTuple):
    """A form that was refused: where it was sent, its values, why, and what can be done."""

    action: str
    values: Mapping[str, str]
    why: str
    remedy: Remedy | None = None


def values_by_name(attributes: Attributes) -> dict[str, str]:
    """Return the attributes of a tag by name; those without a value are empty."""
    return {str(name): value or "" for name, value in attributes}


def alert(refused: RefusedForm) -> Markup:
    """Return why a form was refused, as HTML."""
    more = Markup(' <a href="/console{}">{}</a>').format(*refused.remedy) if refused.remedy else ""
    return Markup('<p class="said bad" role="alert" id="refused"><bdi>{}</bdi>{}</p>').format(refused.why, more)


def refill(html: str, refused: RefusedForm) -> str:
    """Return the page with the form filled in as it was sent, the error at its head and its details open.

    Where the page no longer has the form, the error stands at the head of the page.
    """
    known = _FormNames(html)
    place = known.place_of(refused)
    writer = _Refill(refused, place)
    writer.feed(html)
    writer.close()
    text = "".join(writer.out)
    if place is None:
        head, mark, rest = text.partition('<main id="main">')
        return f"{head}{mark}{alert(refused)}{rest}"
    return text


class _FormNames(HTMLParser):
    """Of each form of a page its action, the names of its fields, and the values that cannot be typed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.forms: list[tuple[str, set[str], dict[str, str]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        given = values_by_name(attrs)
        if tag == "form":
            self.forms.append((given.get("action", ""), set(), {}))
        elif self.forms and (tag in CONTROLS or tag == "button") and (name := given.get("name")):
            self.forms[-1][1].add(name)
            if given.get("type") == "hidden" and name not in HIDDEN_NAMES:
                self.forms[-1][2][name] = given.get("value", "")

    def place_of(self, refused: RefusedForm) -> int | None:
        """Which form was sent: of its action, with its hidden values, the one that shares the most names."""
        fitting = [
            (len(names & refused.values.keys()) - len(names - refused.values.keys()), -place)
            for place, (action, names, hidden) in enumerate(self.forms)
            if action == refused.action and all(refused.values.get(name) == each for name, each in hidden.items())
        ]
        return -max(fitting)[1] if fitting else None


class _Refill(HTMLParser):
    """Copies a page and changes one of its forms."""

    def __init__(self, refused: RefusedForm, place: int | None) -> None:
        super().__init__(convert_charrefs=False)
        self.refused, self.place = refused, place
        self.out: list[str] = []
        self._forms, self._details = 0, list[int]()
        self._inside = self._focused = False
        self._select = ""
        self._silent = False  # the text of a control is replaced
        self._chosen = False

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        text = self.get_starttag_text() or ""
        given = values_by_name(attrs)
        if tag == "details":
            self._details.append(len(self.out))
        elif tag == "form":
            self._inside = self._forms == self.place
            self._forms += 1
        if self._inside and tag in (*CONTROLS, "option"):
            text = self._control(tag, text, given)
        self.out.append(text)
        if self._inside and tag == "form":
            for place in self._details:
                if " open" not in self.out[place]:
                    self.out[place] = self.out[place].replace("<details", "<details open", 1)
            self.out.append(alert(self.refused))
        elif self._silent and tag == "textarea":
            self.out.append(escape(self.refused.values.get(given.get("name", ""), "")))

    def _control(self, tag: str, text: str, given: Mapping[str, str]) -> str:
        name, kind, values = given.get("name", ""), given.get("type", "text"), self.refused.values
        more: dict[str, str | None] = {}
        if tag == "option":
            if self._select and "value" in given:
                return _with(text, {"selected": "" if values[self._select] == given["value"] else None})
            self._chosen = bool(self._select)
            return text
        if tag == "select":
            self._select = name if name in values else ""
        elif tag == "textarea":
            self._silent = name in values
        elif kind in ("radio", "checkbox"):
            if kind == "checkbox" or name in values:
                more = {"checked": "" if values.get(name) == given.get("value", "on") else None}
        elif kind not in TYPED_KINDS and name in values:
            more = {"value": values[name]}
        if not self._focused and kind != "hidden" and "disabled" not in given:
            self._focused = True
            more |= {"autofocus": "", "aria-describedby": "refused"}
        return _with(text, more)

    def handle_startendtag(self, tag: str, attrs: Attributes) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag == "details" and self._details:
            self._details.pop()
        elif tag == "form":
            self._inside = False
        elif tag == "select":
            self._select = ""
        elif tag == "textarea":
            self._silent = False
        self.out.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        if self._chosen:  # an option without a value: its text is its value
            same = self.refused.values[self._select] == data.strip()
            self.out[-1] = _with(self.out[-1], {"selected": "" if same else None})
            self._chosen = False
        self.out.append(data)

    def handle_entityref(self, name: str) -> None:
        if not self._silent:
            self.out.append(f"&{name};")

    def handle_charref(self, name: str) -> None:
        if not self._silent:
            self.out.append(f"&#{name};")

    def handle_comment(self, data: str) -> None:
        self.out.append(f"<!--{data}-->")

    def handle_decl(self, decl: str) -> None:
        self.out.append(f"<!{decl}>")


def _with(text: str, attributes: Mapping[str, str | None]) -> str:
    """A start tag with other attributes; None takes one away."""
    if not attributes:
        return text
    parser = _Attributes()
    parser.feed(text)
    known = {**parser.found, **attributes}
    said = "".join(
        f" {name}" if value == "" and name != "value" else f' {name}="{escape(value)}"'
        for name, value in known.items()
        if value is not None
    )
    return f"<{parser.tag}{said}>"


class _Attributes(HTMLParser):
    """The attributes of one tag; those without a value are empty."""

    def __init__(self) -> None:
        super().__init__()
        self.tag, self.found = "", dict[str, str | None]()

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        self.tag, self.found = tag, dict[str, str | None](values_by_name(attrs))
