"""A decided offer in words in; handed to who sends it (SMTP, Braze, Klaviyo, WeChat), or why it was not taken, out.

One file each, one function `send`. Credentials come from the environment and stand in no error or log.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import httpx

By = Literal["email", "braze", "klaviyo", "wechat"]
NEEDED: dict[By, tuple[str, ...]] = {
    "email": (),  # stands in the server's settings
    "braze": ("PROMOLIFT_BRAZE_URL", "PROMOLIFT_BRAZE_KEY", "PROMOLIFT_BRAZE_CAMPAIGN"),
    "klaviyo": ("PROMOLIFT_KLAVIYO_KEY",),
    "wechat": ("PROMOLIFT_WECHAT_APPID", "PROMOLIFT_WECHAT_SECRET", "PROMOLIFT_WECHAT_TEMPLATE"),
}
TIMEOUT_S = 10.0


class OfferMessage(NamedTuple):
    """What is sent, and to whom: an address, an openid, or nobody but the customer's id. `unsubscribe` is a URL.

    `channel` and `zone` are for quiet hours.
    """

    to: str
    subject: str
    text: str
    unsubscribe: str = ""
    by: By = "email"
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


class ServiceAnswer(NamedTuple):
    """A service's answer: its status, and its JSON where it is some."""

    status: int
    body: Any


Post = Callable[[str, Mapping[str, str], Any], ServiceAnswer]


def post_json(url: str, headers: Mapping[str, str], body: Any) -> ServiceAnswer:
    """POST a JSON body. httpx.HTTPError where nobody answers."""
    reply = httpx.post(url, headers=dict(headers), json=body, timeout=TIMEOUT_S)
    try:
        return ServiceAnswer(reply.status_code, reply.json())
    except ValueError:
        return ServiceAnswer(reply.status_code, None)


def missing(by: By) -> list[str]:
    """Variables that a sender needs and the environment lacks."""
    return [name for name in NEEDED[by] if not os.environ.get(name)]
