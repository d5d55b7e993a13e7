"""Send a message by a marketing service: an API-triggered Braze campaign, or a Klaviyo event that starts a flow.

Customers are found there by their id: Braze's `external_user_id`, Klaviyo's `external_id`. The requests follow Braze's
documentation of `POST /campaigns/trigger/send` and Klaviyo's of `POST /api/events`, revision 2024-10-15. Braze also
applies its own subscription state. Klaviyo's `unique_id` is the decision, so a message that is sent twice counts once.
"""

import os

from promolift.server.delivery.sender import HttpPost, OfferMessage

KLAVIYO_URL, KLAVIYO_REVISION = "https://a.klaviyo.com/api/events", "2024-10-15"
KLAVIYO_METRIC = "Promolift Offer"


def send_by_braze(message: OfferMessage, post: HttpPost) -> str | None:
    """Return None if Braze took it, else why not."""
    env = os.environ
    said = post(
        f"{env['PROMOLIFT_BRAZE_URL'].rstrip('/')}/campaigns/trigger/send",
        {"authorization": f"Bearer {env['PROMOLIFT_BRAZE_KEY']}"},
        {
            "campaign_id": env["PROMOLIFT_BRAZE_CAMPAIGN"],
            "recipients": [{"external_user_id": message.customer_id, "trigger_properties": message.facts}],
        },
    )
    return None if said.status == 201 else f"braze: status {said.status}"


def send_by_klaviyo(message: OfferMessage, post: HttpPost) -> str | None:
    """Return None if Klaviyo took it, else why not."""
    profile = {"external_id": message.customer_id} | ({"email": message.to} if message.to else {})
    attributes = {
        "properties": message.facts, "unique_id": message.decision_id,
        "metric": {"data": {"type": "metric", "attributes": {"name": KLAVIYO_METRIC}}},
        "profile": {"data": {"type": "profile", "attributes": profile}},
    }  # fmt: skip
    headers = {
        "authorization": f"Klaviyo-API-Key {os.environ['PROMOLIFT_KLAVIYO_KEY']}", "revision": KLAVIYO_REVISION,
        "accept": "application/vnd.api+json", "content-type": "application/vnd.api+json",
    }  # fmt: skip
    said = post(KLAVIYO_URL, headers, {"data": {"type": "event", "attributes": attributes}})
    return None if said.status == 202 else f"klaviyo: status {said.status}"
