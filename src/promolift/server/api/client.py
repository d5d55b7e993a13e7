"""A Python client of the server: `Client("http://127.0.0.1:8080", key).decide("customer-7")`.

Every change is sent with an Idempotency-Key, so a retry after a lost connection is safe.
"""

from collections.abc import Mapping, Sequence
from time import sleep
from types import TracebackType
from typing import Any, Self, cast
from uuid import uuid4

import httpx

from promolift.foundation.errors import PromoError
from promolift.foundation.i18n.lazy_message import LazyMessage
from promolift.server.ledger.event_rows import EventsTaken
from promolift.server.response_models import CartAnswer, DecisionAnswer, FeedbackTaken, PricesAnswer, Redeemed

MAX_TRIES = 3
RETRY_STATUSES = frozenset({429, 502, 503, 504})


class ServerRefusedError(PromoError):
    """The server said no: `status`, `code`, and the whole problem in `body`."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        """From the answer."""
        code = str(body.get("code", "unknown"))
        super().__init__(code, LazyMessage.untranslated(f"{status} {code}: {body.get('detail', '')}"))
        self.status, self.body = status, dict(body)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.status, self.body)


class Client:
    """A connection to one server with one key. Use it in a `with`."""

    def __init__(
        self, url: str, key: str, timeout_s: float = 5.0, transport: httpx.BaseTransport | None = None
    ) -> None:
        """`transport` replaces the network, for tests."""
        headers = {"authorization": f"Bearer {key}"}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout_s, transport=transport)

    def __enter__(self) -> Self:
        """The client itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        self._http.close()

    def decide(
        self, customer_id: str, campaign_id: str | Sequence[str] | None = None, **context: Any
    ) -> DecisionAnswer:
        """The offer and message for this customer now, or `offer_id` none with its `reason`; `context`: see the API.

        Of several campaigns one decides; None: of all that are live.
        """
        asked = {"customer_id": customer_id, "campaign_id": campaign_id} | context
        body = {name: value for name, value in asked.items() if value is not None}
        return cast(DecisionAnswer, self.call("POST", "/v1/decisions", body))

    def track(self, events: Sequence[Mapping[str, Any]]) -> EventsTaken:
        """Send events in the Segment shape; each gets a messageId, so that a retry counts once."""
        batch = [{"messageId": str(uuid4()), "type": "track"} | dict(event) for event in events]
        return cast(EventsTaken, self.call("POST", "/v1/batch", {"batch": batch}))

    def reserve(self, customer_id: str, amount_cents: int, **more: Any) -> Redeemed:
        """Hold an offer's money for an order; name the `decision_id`, or `campaign_id` and `offer_id`."""
        asked = {"customer_id": customer_id, "amount_cents": amount_cents} | more
        return cast(Redeemed, self._change("/v1/redemptions:reserve", asked))

    def confirm(self, redemption_id: str, amount_cents: int | None = None) -> Redeemed:
        """The order is paid."""
        asked = {"redemption_id": redemption_id, "amount_cents": amount_cents}
        return cast(Redeemed, self._change("/v1/redemptions:confirm", asked))

    def rollback(self, redemption_id: str, amount_cents: int | None = None) -> Redeemed:
        """The order is cancelled; with an amount, a line of it that was paid is returned."""
        asked = {"redemption_id": redemption_id, "amount_cents": amount_cents}
        return cast(Redeemed, self._change("/v1/redemptions:rollback", asked))

    def price_cart(self, customer_id: str, lines: Sequence[Mapping[str, Any]], **more: Any) -> CartAnswer:
        """What a cart costs, which promotions apply and why others do not; `hold=True` reserves their money."""
        asked = {"customer_id": customer_id, "lines": list(lines)} | more
        return cast(CartAnswer, self._change("/v1/carts:price", asked))

    def prices(self, customer_id: str, items: Sequence[Mapping[str, Any]], **more: Any) -> PricesAnswer:
        """What the products of a page cost this customer."""
        return cast(PricesAnswer, self.call("POST", "/v1/prices", {"customer_id": customer_id, "items": items} | more))

    def decide_all(self, customer_ids: Sequence[str], **more: Any) -> list[DecisionAnswer]:
        """Decisions for up to 10,000 customers, in their order."""
        answer = self._change("/v1/decisions:batch", {"customer_ids": list(customer_ids)} | more)
        return cast(list[DecisionAnswer], answer["data"])

    def feedback(self, decision_id: str, value_cents: int, name: str = "Conversion") -> FeedbackTaken:
        """What came of a decision."""
        body = {"decision_id": decision_id, "value_cents": value_cents, "name": name, "message_id": str(uuid4())}
        return cast(FeedbackTaken, self._change("/v1/feedback", body))

    def explain(self, decision_id: str) -> Mapping[str, Any]:
        """Why a decision was made; needs an admin key."""
        return self.call("GET", f"/v1/decisions/{decision_id}:explain")

    def _change(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        return self.call("POST", path, body, {"idempotency-key": str(uuid4())})

    def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> Mapping[str, Any]:  # fmt: skip
        """The answer's JSON of any operation. A lost connection or a busy server is tried again, with the same key."""
        for attempt in range(MAX_TRIES):
            last = attempt == MAX_TRIES - 1
            try:
                reply = self._http.request(method, path, json=body, headers=headers)
            except httpx.TransportError:
                if last:
                    raise
                sleep(0.1 * 2**attempt)
                continue
            if reply.status_code not in RETRY_STATUSES or last:
                break
            sleep(min(float(reply.headers.get("retry-after", 0.1 * 2**attempt)), 5.0))
        answer = reply.json() if "json" in reply.headers.get("content-type", "") else {"detail": reply.text[:200]}
        if reply.is_error:
            raise ServerRefusedError(reply.status_code, answer)
        return dict(answer)
