"""Send a message as a Klaviyo event that starts a flow; profiles are found by `external_id`.

The request follows Klaviyo's documentation of `POST /api/events`, revision 2024-10-15. `unique_id` is the decision, so
a message that is sent twice counts once.
"""

import os

from promolift.server.delivery.sender import HttpPost, OfferMessage

URL, REVISION, METRIC = "https://a.klaviyo.com/api/events", "2024-10-15", "Promolift Offer"


def send(message: OfferMessage, post: HttpPost) -> str | None:
    """None if Klaviyo took it, else why not."""
    profile = {"external_id": message.customer_id} | ({"email": message.to} if message.to else {})
    attributes = {
        "properties": message.facts, "unique_id": message.decision_id,
        "metric": {"data": {"type": "metric", "attributes": {"name": METRIC}}},
        "profile": {"data": {"type": "profile", "attributes": profile}},
    }  # fmt: skip
    headers = {
        "authorization": f"Klaviyo-API-Key {os.environ['PROMOLIFT_KLAVIYO_KEY']}", "revision": REVISION,
        "accept": "application/vnd.api+json", "content-type": "application/vnd.api+json",
    }  # fmt: skip
    said = post(URL, headers, {"data": {"type": "event", "attributes": attributes}})
    return None if said.status == 202 else f"klaviyo: status {said.status}"
