// The same from JavaScript (Node 18 or newer), without a library.
//   PROMOLIFT_KEY=... node examples/serve/shop.mjs http://127.0.0.1:8080 customer-7
const [url, customer] = process.argv.slice(2);

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
  const held = await call("/v1/redemptions:reserve", {
    customer_id: customer, amount_cents: 250, decision_id: made.decision_id, code: made.code,
  });
  await call("/v1/redemptions:confirm", { redemption_id: held.redemption_id, amount_cents: 200 });
  await call("/v1/feedback", { decision_id: made.decision_id, value_cents: 1800 });
}
