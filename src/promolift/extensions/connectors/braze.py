"""A message in; an API-triggered campaign of Braze out: customers by `external_user_id`, words as properties.

As documented for `POST /campaigns/trigger/send`. Braze looks at its own subscriptions, too.
"""

import os

from promolift.server.delivery.sender import OfferMessage, Post


def send(message: OfferMessage, post: Post) -> str | None:
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
