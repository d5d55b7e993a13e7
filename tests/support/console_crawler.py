"""Walk through the console as a person does: every link is followed, every form is filled in and sent."""

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from random import Random
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urljoin, urlsplit

from console_helpers import SAME, Person

FILE = b"customer,day,amount\nc-1,2026-05-01,12.50\nc-2,2026-05-02,7.00\n"
ENDS_SESSION = ("/console/sign-out", "/console/account/password")
UNTYPED = ("hidden", "password", "file", "submit", "radio", "checkbox")
TEXTS = ("spring", "20", "3.5", "a word, and another", "优惠", "", "u001", "<b>&\"'")


class Field(NamedTuple):
    """A control of a form: its name, kind and what it offers."""

    name: str
    kind: str
    value: str
    attributes: Mapping[str, str]
    options: tuple[str, ...] = ()


@dataclass
class Form:
    """A form of a page."""

    action: str
    method: str
    multipart: bool
    fields: list[Field] = field(default_factory=list)

    @property
    def key(self) -> tuple[str, str, tuple[str, ...]]:
        """Forms that differ in what they are about alone are one form."""
        names = tuple(sorted({f"{each.name}={each.value}" if each.kind == "submit" else each.name
                              for each in self.fields}))  # fmt: skip
        return self.method, re.sub(r"[a-z]+_?[0-9a-f]{6,}|\d+", "#", self.action), names


class PageReader(HTMLParser):
    """The links and forms of a page, what its text says, and the alerts that it shows."""

    def __init__(self, base: str, html: str) -> None:
        super().__init__()
        self.base, self.links, self.forms, self.text = base, list[str](), list[Form](), ""
        self.refused = False  # whether the page says what is wrong with a form
        self._form: Form | None = None
        self._silent, self._select, self._options = 0, dict[str, str](), list[str]()
        self._chosen, self._area = "", ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if given.get("role") == "alert" or given.get("class") == "findings":
            self.refused = True
        for name in ("href", "hx-get"):
            if given.get(name) and (name == "hx-get" or tag == "a") and not given[name].startswith("#"):
                self.links.append(urljoin(self.base, given[name]))
        match tag:
            case "script" | "style":
                self._silent += 1
            case "form":
                self._form = Form(urljoin(self.base, given.get("action", "")), given.get("method", "get"),
                                  "multipart" in given.get("enctype", ""))  # fmt: skip
                self.forms.append(self._form)
            case "input" | "button" if self._form is not None and given.get("name") and "disabled" not in given:
                kind = given.get("type", "submit" if tag == "button" else "text")
                self._form.fields.append(Field(given["name"], kind, given.get("value", ""), given))
            case "select":
                self._select, self._options, self._chosen = given, [], ""
            case "option":
                self._options.append(given.get("value", "\0"))
                if "selected" in given:
                    self._chosen = self._options[-1]
            case "textarea":
                self._select, self._area = given, "\0"

    def handle_endtag(self, tag: str) -> None:
        match tag:
            case "script" | "style":
                self._silent -= 1
            case "form":
                self._form = None
            case "select" if self._form is not None and self._select.get("name"):
                options = tuple(self._options)
                chosen = self._chosen or (options[0] if options else "")
                if "disabled" not in self._select:
                    self._form.fields.append(Field(self._select["name"], "select", chosen, self._select, options))
            case "textarea" if self._form is not None and self._select.get("name"):
                self._form.fields.append(Field(self._select["name"], "textarea", self._area.strip("\0"), self._select))
                self._area = ""

    def handle_data(self, data: str) -> None:
        if self._options and self._options[-1] == "\0":
            if self._chosen == "\0":
                self._chosen = data
            self._options[-1] = data
        if self._area:
            self._area += data
        if not self._silent:
            self.text += f" {data}"


def drawn_value(draw: Random, one: Field) -> str:
    """What a person might write into a field that the browser lets them send."""
    given, most = one.attributes, int(one.attributes.get("maxlength") or 60)
    match one.kind:
        case "number" | "range":
            return str(draw.randint(int(float(given.get("min") or 1)), int(float(given.get("max") or 9))))
        case "date":
            return draw.choice(("2026-05-01", "2026-05-03"))
        case "url":
            return "https://shop.example/hook"
        case "password":
            return "correct horse 8"
        case "textarea" if one.value:
            return one.value
    if given.get("inputmode") in ("decimal", "numeric"):
        return draw.choice(("5", "12.5", one.value or "1", "many"))
    if given.get("pattern"):
        return one.value or "USD"
    if one.value and draw.random() < 0.5:
        return one.value
    return (draw.choice(TEXTS) or ("word" if "required" in given else ""))[:most]


def fill(draw: Random, form: Form) -> dict[str, str]:
    """A form as it is sent: hidden fields as they are, others drawn, one of its buttons clicked."""
    sent: dict[str, str] = {}
    for name in dict.fromkeys(each.name for each in form.fields):
        several = [each for each in form.fields if each.name == name]
        one = several[0]
        match one.kind:
            case "hidden":
                sent[name] = one.value
            case "radio":
                sent[name] = draw.choice(several).value
            case "checkbox":
                if draw.random() < 0.5:
                    sent[name] = one.value or "on"
            case "select":
                sent[name] = draw.choice(one.options or ("",))
            case "file" | "submit":
                pass
            case _:
                sent[name] = drawn_value(draw, one)
    buttons = [each for each in form.fields if each.kind == "submit"]
    if buttons and (button := draw.choice(buttons)):
        sent[button.name] = button.value
    return sent


class Answer(NamedTuple):
    """What a click was answered with."""

    status: int
    what: str
    page: PageReader
    html: str
    sent: Mapping[str, str] = {}
    action: str = ""

    @property
    def shown_again(self) -> bool:
        """Whether a refused form stands on the page again as it was filled in, with what is wrong."""
        forms = [each for each in self.page.forms if each.action == self.action]
        typed = [
            {each.name: each.value for each in form.fields if each.kind not in UNTYPED and each.name in self.sent}
            for form in forms
        ]
        kept = not forms or any(all(self.sent[name] == value for name, value in each.items()) for each in typed)
        return self.status == 422 and self.page.refused and kept and "error-page" not in self.html


@dataclass
class Crawler:
    """A person who clicks everything; `answers` is what they saw."""

    person: Person
    draw: Random
    own: tuple[str, ...] = ()  # forms that end this person's own session
    answers: list[Answer] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    sent: set[Any] = field(default_factory=set)

    def walk(self, start: str = "/console/", most: int = 400) -> list[Answer]:
        """Follow links and send forms until nothing new is left; at most so many clicks."""
        waiting = deque([start])
        while waiting and len(self.answers) < most:
            path = waiting.popleft()
            if self.known(path):
                continue
            page = self.get(path)
            waiting += page.links
            for form in page.forms:
                if form.key in self.sent or form.action.endswith((*ENDS_SESSION, *self.own)):
                    continue
                self.sent.add(form.key)
                answer = self.submit(form)
                waiting += answer.links if answer else []
        return self.answers

    def known(self, path: str) -> bool:
        """Whether a page was seen, or one that differs in an id alone, or is none of the console's."""
        parts = urlsplit(path)
        if not parts.path.startswith("/console") or parts.path.startswith("/console/static/"):
            return True
        names = [name for name, _ in parse_qsl(parts.query)] if parts.query.count("=") > 1 else parts.query
        key = re.sub(r"txt_\w+|rel_\w+|u\d+", "#", f"{parts.path}?{names}")
        if key in self.seen:
            return True
        self.seen.add(key)
        return False

    def get(self, path: str) -> PageReader:
        """Open a page."""
        return self._read(f"GET {path}", path, self.person.client.get(path))

    def submit(self, form: Form) -> PageReader | None:
        """Fill in a form and send it; go on to where it leads."""
        values = fill(self.draw, form)
        what = f"{form.method} {form.action} { {k: v for k, v in values.items() if k not in ('token', 'back')} }"
        if form.method == "get":
            return self._read(what, form.action, self.person.client.get(form.action, params=values))
        files = {each.name: ("orders.csv", FILE, "text/csv") for each in form.fields if each.kind == "file"}
        reply = self.person.client.post(form.action, data=values, headers=SAME, files=files or None)
        page = self._read(what, form.action, reply, values)
        if reply.status_code == 303:
            return self.get(reply.headers["location"])
        return page

    def _read(self, what: str, base: str, reply: Any, sent: Mapping[str, str] = MappingProxyType({})) -> PageReader:
        html = reply.text if "html" in reply.headers.get("content-type", "") else ""
        page = PageReader(base, html)
        self.answers.append(Answer(reply.status_code, what, page, html, sent, base))
        return page
