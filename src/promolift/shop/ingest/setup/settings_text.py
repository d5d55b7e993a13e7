"""The text of a new promolift.toml, as far as it does not depend on the columns of the files."""

import json
from collections.abc import Sequence
from typing import NamedTuple

from promolift.foundation.localized_text import Language
from promolift.foundation.money import currency_digits

USUAL_MARGIN = 0.30  # of what customers pay, until the shop says its own
HEAD = """\
# promolift's settings for this shop. Every key is explained in docs/configuration.md; what is left out has a default.

[shop]
name = "My shop"
currency = {currency}
zone = {zone}            # what a local day is; a name such as Asia/Shanghai or America/New_York
languages = {languages}       # the shop's own first: messages, files and pages exist in these alone; en, zh or both

[value]
margin_rate = {margin:.2f}       # of undiscounted value: {margin_why}; please set yours
{sending}      # what one message costs you, in minor units: an e-mail little, a letter a lot more

[encoder]
depth = 0                # 2 learns what each customer will do next; needs pip install 'promolift[deep]'

[consent]
default = {consent}          # {consent_why}
{not_consent}
[plan]
campaign = "cmp_1"
window_days = 28
budget_share = 0.02      # of the revenue of the last window; budget_cents = 100000 states an amount instead
holdout_share = 0.10     # these customers get nothing, so that what the plan earns can be measured
min_evidence = "auto"
test_share = 0.1         # of the budget, for customers who draw an offer or nothing at random; 0: nobody draws

[data]
source = "files"
"""


WORDS = """
[words]
unasked = false          # NO COLUMN SAYS WHO AGREED to have their words read, so none are. If all did, say true
"""


class ShopFacts(NamedTuple):
    """What the files say of a shop."""

    languages: tuple[Language, ...]
    currency: str
    zone: str


def usual_margin(shelf_share: float) -> float:
    """The margin on undiscounted value of a shop whose prices are reduced by `shelf_share` on average, if the usual
    part of what is paid is margin.
    """
    return round(1 - (1 - USUAL_MARGIN) * (1 - shelf_share), 2)


def settings_head(
    shop: ShopFacts,
    consent: bool | None,
    why: str,
    not_consent: Sequence[str],
    message_cost: float | None,
    shelf_share: float,
) -> str:
    """The sections that every shop has. `why` explains what is done without a consent on record; `message_cost` is in
    the shop's currency, None where nobody was asked; prices are reduced by `shelf_share` on average."""
    margin_why = f"{USUAL_MARGIN:.0%} of what is paid is assumed where products carry no cost"
    if shelf_share >= 0.005:
        margin_why += f", and prices were reduced by {shelf_share:.0%}"
    sending = "# send_cost_cents = 0"
    if message_cost is not None:
        sending = f"send_cost_cents = {message_cost * 10 ** currency_digits(shop.currency):g}"
    refused = f"not_consent = {json.dumps(list(not_consent), ensure_ascii=False)}\n" if not_consent else ""
    return HEAD.format(
        languages=json.dumps(shop.languages), currency=json.dumps(shop.currency), zone=json.dumps(shop.zone),
        margin=usual_margin(shelf_share), margin_why=margin_why, sending=sending,
        consent="true " if consent else "false", consent_why=why, not_consent=refused,
    )  # fmt: skip
