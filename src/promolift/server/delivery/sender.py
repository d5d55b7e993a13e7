"""Messages of decided offers, and who sends them: an SMTP server, or a service that an extension registers.

An extension registers a function of the message and of `post`, which returns None if the service took the message, else
why not. Credentials come from the environment and stand in no error or log.
"""

import os
import smtplib
import ssl
from collections.abc import Callable, Mapping
from email.message import EmailMessage
from typing import Annotated, Any, NamedTuple

import httpx

from promolift.foundation.extension import MessageSender, RegisteredName, load_reference, registered
from promolift.server.settings import MailSettings

SenderName = Annotated[str, RegisteredName("senders", "email")]
TIMEOUT_S = 10.0


class OfferMessage(NamedTuple):
    """What is sent, and to whom: an address, an openid, or nobody but the customer's id. `unsubscribe` is a URL.

    `channel` and `zone` are for quiet hours.
    """

    to: str
    subject: str
    text: str
    unsubscribe: str = ""
    by: SenderName = "email"
    channel: str = "email"
    zone: str = "UTC"
    campaign_id: str = ""
    customer_id: str = ""
    decision_id: str = ""
    offer_id: str = ""
    code: str = ""
    expires: str = ""
    language: str = "en"

    @property
    def facts(self) -> dict[str, str]:
        """What templates of others may print."""
        named = ("decision_id", "campaign_id", "offer_id", "code", "expires", "language")
        return {"title": self.subject, "message": self.text} | {name: getattr(self, name) for name in named}


class ServiceResponse(NamedTuple):
    """A service's answer: its status, and its JSON where it is some."""

    status: int
    body: Any


HttpPost = Callable[[str, Mapping[str, str], Any], ServiceResponse]


def post_json(url: str, headers: Mapping[str, str], body: Any) -> ServiceResponse:
    """POST a JSON body. httpx.HTTPError where nobody answers."""
    reply = httpx.post(url, headers=dict(headers), json=body, timeout=TIMEOUT_S)
    try:
        return ServiceResponse(reply.status_code, reply.json())
    except ValueError:
        return ServiceResponse(reply.status_code, None)


def missing_variables(by: SenderName) -> list[str]:
    """Return the environment variables that a sender needs and the environment lacks; e-mail is set up in settings."""
    sender: MessageSender | None = registered("senders").get(by)
    return [name for name in (sender.environment if sender else ()) if not os.environ.get(name)]


def send_by_service(message: OfferMessage, post: HttpPost) -> str | None:
    """Hand a message to the service that it names; None if the service took it, else why not."""
    sender: MessageSender | None = registered("senders").get(message.by)
    if sender is None:  # the extension was uninstalled after the message was accepted
        return f"{message.by}: no extension sends by this service"
    error: str | None = load_reference(sender.send)(message, post)
    return error


def send_mail(settings: MailSettings | None, mail: OfferMessage) -> str | None:
    """Send one e-mail; None if the server took it, else why not. OSError and SMTPException where it does not answer."""
    if settings is None:
        return "no SMTP server is configured"
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = settings.sender, mail.to, mail.subject
    if mail.unsubscribe:
        message["List-Unsubscribe"] = f"<{mail.unsubscribe}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content(mail.text)
    place, trusted = (settings.host, settings.port), ssl.create_default_context()  # which looks at the certificate
    with (
        smtplib.SMTP_SSL(*place, timeout=settings.timeout_s, context=trusted)
        if settings.tls == "tls"
        else smtplib.SMTP(*place, timeout=settings.timeout_s)
    ) as server:
        if settings.tls == "starttls":
            server.starttls(context=trusted)
        if settings.username:
            server.login(settings.username, os.environ.get("PROMOLIFT_SMTP_PASSWORD", ""))
        server.send_message(message)
    return None
