"""A message in; an e-mail by any SMTP server out, which a click unsubscribes from (RFC 8058)."""

import os
import smtplib
from email.message import EmailMessage

from promolift.server.delivery.sender import OfferMessage
from promolift.server.settings import MailSettings


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
    kind = smtplib.SMTP_SSL if settings.tls == "tls" else smtplib.SMTP
    with kind(settings.host, settings.port, timeout=settings.timeout_s) as server:
        if settings.tls == "starttls":
            server.starttls()
        if settings.username:
            server.login(settings.username, os.environ.get("PROMOLIFT_SMTP_PASSWORD", ""))
        server.send_message(message)
    return None
