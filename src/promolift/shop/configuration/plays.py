"""A play: an audience, the benefits to try on it, and the reason that its messages give.

[[plays]]
id = "tea-lovers"
audience = "select customer_id from customers where top_category_1 = 'tea' and recency_days > 40"
benefits = ["10 %", "reminder"]
reason = "The new teas have arrived."
"""

import re
from decimal import Decimal

from pydantic import Field, model_validator

from promolift.core.customers.audience_query import check_query
from promolift.core.customers.named_audiences import named_audiences
from promolift.core.messages.drafts import lint_reason
from promolift.core.offers.menu import MenuItem
from promolift.foundation.errors import ConfigError, SettingError
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.i18n.suggestion import did_you_mean
from promolift.foundation.localized_text import LANGUAGES, Language
from promolift.foundation.money import currency_digits
from promolift.foundation.settings import Settings

QUERY = re.compile(r"^\s*(select|with|from)\b", re.IGNORECASE)
SUM = r"(\d+(?:\.\d+)?)"
INLINE = re.compile(rf"^(?:(reminder)|(\d+) ?%|(free delivery)(?: from {SUM})?|{SUM} off from {SUM})$")
INLINE_HELP = '"reminder", "10 %", "5 off from 50", "free delivery" or "free delivery from 30"'


class Play(Settings):
    """An audience, a reason, and benefits to try. Customers belong to the first play that takes them."""

    id: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]*$", description="Name of the play; no two are the same.", examples=["tea-lovers"]
    )
    audience: str = Field(
        min_length=1,
        max_length=4000,
        description="Who it is for: a named audience of [plays](plays.md), or a SELECT of customer_id over the views "
        "customers, orders, events and products. It sees only customers who may be written to, at the moment of the "
        "plan.",
        examples=["select customer_id from customers where top_category_1 = 'tea' and recency_days > 40"],
    )
    benefits: tuple[str, ...] = Field(
        default=(),
        description="What is tried, the first discount first: ids of menu lines, or "
        f"{INLINE_HELP} in the shop's currency. Left out: those of the named audience.",
        examples=[["10 %", "reminder"]],
    )
    reason: str | None = Field(
        default=None,
        min_length=1,
        description="Why the message comes, as one English sentence that stands before the offer; no numbers.",
        examples=["The new teas have arrived."],
    )
    reason_zh: str | None = Field(
        default=None, min_length=1, description="The same in Chinese.", examples=["新茶到了。"]
    )

    def reason_in(self, language: Language) -> str | None:
        """Return the reason in a language, None where the play states none in it."""
        return self.reason_zh if language == "zh" else self.reason

    @property
    def query(self) -> str | None:
        """Its SELECT; None for an audience that the log tells."""
        return self.audience if QUERY.match(self.audience) else named_audiences()[self.audience].query

    @property
    def group(self) -> str:
        """The name of its audience in draws: what was learned of an audience that the log tells goes on."""
        return self.id if self.query else self.audience

    def stated(self) -> tuple[str, ...]:
        """The benefits as they stand, or those of the named audience."""
        named = None if QUERY.match(self.audience) else named_audiences()[self.audience]
        return self.benefits or (named.benefits if named else ())

    def lines(self, menu: tuple[MenuItem, ...], currency: str) -> tuple[MenuItem, ...]:
        """The menu lines of its benefits, in order: the menu's own, and those stated here, for its customers alone."""
        known = {item.id: item for item in menu}
        return tuple(known.get(each) or self._inline(each, currency) for each in self.stated())

    def _inline(self, text: str, currency: str) -> MenuItem:
        found = INLINE.match(text)
        if found is None:
            raise SettingError(
                "benefit_unknown",
                gettext_lazy(
                    "play {id}: {text} is no benefit; write {inline_help}",
                    id=repr(self.id),
                    text=repr(text),
                    inline_help=INLINE_HELP,
                ),
            )
        reminder, percent, delivery, least, amount, spend = found.groups()
        unit = Decimal(10) ** currency_digits(currency)

        def cents(value: str | None) -> int:
            return int(Decimal(value or 0) * unit)

        if reminder:
            benefit: dict[str, object] = {"type": "reminder"}
        elif percent:
            benefit = {"type": "percent_off", "percent": int(percent)}
        elif delivery:
            benefit = {"type": "free_shipping"}
        else:
            benefit = {"type": "amount_off", "amount_cents": cents(amount)}
        name = re.sub(r"[^a-z0-9]+", "-", text.replace("%", "").lower()).strip("-")
        line = {"id": f"{self.id}-{name}", "benefit": benefit, "min_spend_cents": cents(least or spend)}
        try:
            return MenuItem.parse(line | {"segments": (self.id,)}, f"play {self.id!r}: {text!r}")
        except ConfigError as error:
            raise SettingError(error.code, error.message) from None

    @model_validator(mode="after")
    def _can_be_read(self) -> "Play":
        if QUERY.match(self.audience):
            check_query(self.audience)
        elif self.audience not in named_audiences():
            hint = did_you_mean(
                self.audience,
                named_audiences(),
                gettext_lazy("there are {known}", known=", ".join(named_audiences())),
            )
            raise SettingError(
                "audience_unknown",
                gettext_lazy(
                    "play {id}: no audience {audience}; {hint}, or SQL",
                    id=repr(self.id),
                    audience=repr(self.audience),
                    hint=hint,
                ),
            )
        if self.query and self.id in named_audiences():
            raise SettingError(
                "settings_conflict",
                gettext_lazy("play {id}: this is the name of an audience; give the play another id", id=repr(self.id)),
            )
        if not self.stated():
            raise SettingError(
                "setting_missing",
                gettext_lazy(
                    "play {id}: benefits is missing; write {inline_help}", id=repr(self.id), inline_help=INLINE_HELP
                ),
            )
        for language in LANGUAGES:
            text = self.reason_in(language)
            for wrong in lint_reason(text, language) if text else ():
                key = "reason_zh" if language == "zh" else "reason"
                raise SettingError(
                    "reason_unfit",
                    gettext_lazy(
                        "play {id}: {key}: {span}: {why}",
                        id=repr(self.id),
                        key=key,
                        span=repr(wrong.span),
                        why=wrong.why,
                    ),
                )
        return self
