"""Put an alert into words in the reader's language, and into the form that Slack, Teams, e-mail and webhooks take.

An alert holds names of tests, limits and campaigns, and counts. It never holds anything of a customer.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from promolift.foundation.i18n.catalogue import gettext, gettext_noop, ngettext
from promolift.foundation.i18n.formatting import count, percent, use_locale
from promolift.server.delivery.sender import OfferMessage
from promolift.server.ledger.alert_records import AlertValues
from promolift.server.translations import translate_group, translate_key

SLACK_HEADER, SLACK_SECTION = 150, 3000  # characters that Slack takes
CARD_SCHEMA = "http://adaptivecards.io/schemas/adaptive-card.json"
TRY_KIND = "try"  # a message that a person asked for, to see whether it arrives
CLEARED_KIND = "cleared"  # an alert that a person was told of, and that has cleared: its kind is the value `of`
LINE_ENDS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
STATUS = re.compile(r"status (\d+)")
SUBSCRIPTION_REMOVED = gettext_noop("the subscription was removed")
NOT_POSTED = gettext_noop("Teams took the message and could not post it")
SECRET_UNREADABLE = gettext_noop("its secret in the ledger cannot be read, so nothing was sent")


class AlertText(NamedTuple):
    """An alert in words: what it is about, and what follows from it."""

    title: str
    text: str


class AlertMessage(NamedTuple):
    """A message of the outbox that tells one person of an alert; `link` opens the screen that acts on it."""

    kind: str
    values: AlertValues
    link: str
    shop: str
    language: str
    account: str  # link to the page where the person takes the subscription back

    def to_body(self) -> dict[str, Any]:
        """Return it as the outbox stores it."""
        return self._asdict()

    @classmethod
    def from_body(cls, body: str) -> Self:
        """Return what `to_body` stored. TypeError or ValueError where it is no such message."""
        return cls(**json.loads(body))

    def to_mail(self, address: str) -> OfferMessage:
        """Return the e-mail."""
        with use_locale(self.language):
            said = describe_alert(self.kind, self.values)
            stop = gettext("You asked for this message. Change or end it here: {link}", link=self.account)
        text = f"{said.title}\n\n{said.text}\n\n{self.link}\n\n--\n{stop}\n"
        return OfferMessage(address, f"{self.shop}: {said.title}", text)

    def to_slack(self) -> dict[str, Any]:
        """Return the message for an incoming webhook of Slack (Block Kit)."""
        with use_locale(self.language):
            said, label = describe_alert(self.kind, self.values), gettext("Open the page")
        link = f"<{_slack_text(self.link)}|{_slack_text(label)}>"
        return {
            "text": _slack_text(f"{self.shop}: {said.title}"),
            "blocks": [
                {"type": "header", "text": _plain_text(said.title[:SLACK_HEADER])},
                {"type": "section", "text": _plain_text(said.text[:SLACK_SECTION])},
                {"type": "section", "text": {"type": "mrkdwn", "text": link}},
                {"type": "context", "elements": [_plain_text(self.shop[:SLACK_HEADER])]},
            ],
        }

    def to_teams(self) -> dict[str, Any]:
        """Return the message for a workflow or incoming webhook of Teams: an Adaptive Card.

        Text stands in TextRuns, which read no Markdown: a name cannot become a link.
        """
        with use_locale(self.language):
            said, label = describe_alert(self.kind, self.values), gettext("Open the page")
        body = [
            _text_runs(said.title, weight="Bolder", size="Medium"),
            _text_runs(said.text),
            _text_runs(self.shop, isSubtle=True, size="Small"),
        ]
        action = {"type": "Action.OpenUrl", "title": label, "url": self.link}
        card = {"$schema": CARD_SCHEMA, "type": "AdaptiveCard", "version": "1.4", "body": body, "actions": [action]}
        content = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
        return {"type": "message", "summary": f"{self.shop}: {said.title}", "attachments": [content]}

    def to_event(self) -> dict[str, Any]:
        """Return the data of an event for the shop's own webhook: codes and values for programs, words for people."""
        with use_locale(self.language):
            said = describe_alert(self.kind, self.values)
        values = {name: value for name, value in self.values.items() if name != "of"}
        kind = self.values.get("of", self.kind)
        return {"kind": kind, "values": values, "title": said.title, "text": said.text, "url": self.link}


def describe_alert(kind: str, values: Mapping[str, Any]) -> AlertText:
    """Return an alert in words, in the language that is in use. A title is one line, whatever a name in it holds."""
    found = DESCRIBED[kind](values)
    return AlertText(LINE_ENDS.sub(" ", found.title), found.text)


def kind_names() -> dict[str, str]:
    """Return what each kind of alert tells of, in the order in which a person chooses."""
    return translate_group("alert")


def describe_missing_data(values: Mapping[str, Any]) -> str:
    """Return why a test has no data: nobody was assigned, or nothing came in of those who were."""
    if values["customers"] == 0:
        return gettext(
            "No customer has been assigned to it in {hours} hours. Check whether the shop asks for decisions.",
            hours=count(values["hours"]),
        )
    return ngettext(
        "{customers} customer was assigned, and no order or feedback came in since. Check whether events arrive.",
        "{customers} customers were assigned, and no order or feedback came in since. Check whether events arrive.",
        values["customers"],
        customers=count(values["customers"]),
    )


def describe_fault(error: str) -> str:
    """Return why a message did not arrive, in the language that is in use."""
    if status := STATUS.fullmatch(error):
        return gettext("the address answered with status {status}", status=status[1])
    text = gettext(error)
    return text if " " in error else gettext("the address could not be reached ({error})", error=text)


def _no_data(values: Mapping[str, Any]) -> AlertText:
    return AlertText(gettext("No data for the test “{test}”", test=values["test"]), describe_missing_data(values))


def _sample_ratio(values: Mapping[str, Any]) -> AlertText:
    if "test" in values:
        why = gettext("The test “{test}” shows no effect until the reason is found.", test=values["test"])
    else:
        why = gettext(
            "This is about the customers held out of the campaign {campaign}. "
            "What the offers added cannot be trusted until the reason is found.",
            campaign=values["campaign"],
        )
    return AlertText(translate_key("say", "ratio"), why)


def _limit(values: Mapping[str, Any]) -> AlertText:
    title = translate_key("say", "limit_near").format(name=values["limit"], share=percent(values["share"]))
    return AlertText(title, translate_key("say", "limit_full"))


def _texts(values: Mapping[str, Any]) -> AlertText:
    return AlertText(describe_waiting_texts(values["texts"]), translate_key("say", "texts_not_sent"))


def describe_waiting_texts(texts: int) -> str:
    """Return how many texts wait for a person."""
    return ngettext(
        "{texts} text for messages wait for a person",
        "{texts} texts for messages wait for a person",
        texts,
        texts=count(texts),
    )


def _drift(values: Mapping[str, Any]) -> AlertText:
    why = ngettext(
        "The last learning run found drift in {findings} place. The page says where, and what to do.",
        "The last learning run found drift in {findings} places. The page says where, and what to do.",
        values["findings"],
        findings=count(values["findings"]),
    )
    return AlertText(gettext("Drift in the campaign {campaign}", campaign=values["campaign"]), why)


def _job(values: Mapping[str, Any]) -> AlertText:
    name = translate_key("job", str(values["job"]))
    return AlertText(
        gettext("A job failed: {job}", job=name), gettext("The page says why. Correct it, then start the job again.")
    )


def _try(_: Mapping[str, Any]) -> AlertText:
    return AlertText(gettext("This is a test message"), gettext("Alerts from the console arrive here."))


def _cleared(values: Mapping[str, Any]) -> AlertText:
    before = describe_alert(values["of"], values)
    return AlertText(
        gettext("Over: {alert}", alert=before.title), gettext("This is no longer so. The alert has cleared by itself.")
    )


DESCRIBED = {
    "no_data": _no_data, "sample_ratio": _sample_ratio, "limit": _limit, "texts": _texts, "drift": _drift, "job": _job,
    TRY_KIND: _try, CLEARED_KIND: _cleared,
}  # fmt: skip


def _plain_text(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}


def _slack_text(text: str) -> str:
    """Escape the three characters that Slack reads as markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _text_runs(text: str, **style: Any) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **style}]}
