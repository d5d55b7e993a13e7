"""Send a message through an API-triggered Braze campaign; customers are found by `external_user_id`.

The request follows Braze's documentation of `POST /campaigns/trigger/send`. Braze also applies its own subscription
state.
"""

import os

from promolift.server.delivery.sender import HttpPost, OfferMessage


def send(message: OfferMessage, post: HttpPost) -> str | None:
    """None if Braze took it, else why not."""
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
