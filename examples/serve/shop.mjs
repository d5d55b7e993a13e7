// The same from JavaScript (Node 18 or newer), without a library.
//   PROMOLIFT_KEY=... node examples/serve/shop.mjs http://127.0.0.1:8080 customer-7 product-1
const [url, customer, product = "p1"] = process.argv.slice(2);

async function call(path, body) {
  const reply = await fetch(url + path, {
    method: "POST",
    headers: {
      authorization: `Bearer ${process.env.PROMOLIFT_KEY}`,
      "content-type": "application/json",
      "idempotency-key": crypto.randomUUID(),
    },
    body: JSON.stringify(body),
  });
  const answer = await reply.json();
  if (!reply.ok) throw new Error(`${answer.code}: ${answer.detail}`);
  return answer;
}

const made = await call("/v1/decisions", { customer_id: customer, language: "en" });
if (made.offer_id === "none") {
  console.log(`no offer: ${made.reason}`);
} else {
  console.log(made.message, made.code);
  const cart = await call("/v1/carts:price", {
    customer_id: customer, decision_ids: [made.decision_id], hold: true,
    lines: [{ line_id: "1", product_id: product, quantity: 2, price_cents: 500 }],
  });
  console.log(`${cart.subtotal_cents} before, ${cart.total_cents} after`);
  for (const { redemption_id, discount_cents } of cart.applied) {
    await call("/v1/redemptions:confirm", { redemption_id });
    await call("/v1/redemptions:rollback", { redemption_id, amount_cents: Math.floor(discount_cents / 2) });
  }
  await call("/v1/feedback", { decision_id: made.decision_id, value_cents: 1800 });
}
