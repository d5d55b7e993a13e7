// A typed client of the server. Every path, body and answer is as the server's OpenAPI document says: `npm run generate` makes
// api.ts from it. Changes carry an Idempotency-Key, so that a lost connection or a busy server is tried again.
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

export type Schemas = components["schemas"];
const TRIES = 3;
const AGAIN = new Set([429, 502, 503, 504]);

/** The server said no: its status, stable `code`, and the whole problem (RFC 9457). */
export class ServerRefused extends Error {
  constructor(readonly status: number, readonly problem: Partial<Schemas["Problem"]>) {
    super(`${status} ${problem.code ?? "unknown"}: ${problem.detail ?? ""}`);
  }
  get code(): string {
    return this.problem.code ?? "unknown";
  }
}

type Answered<T> = { data?: T; error?: unknown; response: Response };

/** What an operation answers; ServerRefused where the server said no. */
export async function answer<T>(asked: Promise<Answered<T>>): Promise<NonNullable<T>> {
  const { data, error, response } = await asked;
  if (data === undefined || data === null) throw new ServerRefused(response.status, (error ?? {}) as Partial<Schemas["Problem"]>);
  return data;
}

async function patient(request: Request): Promise<Response> {
  if (request.method === "POST" && !request.headers.has("idempotency-key"))
    request.headers.set("idempotency-key", crypto.randomUUID());
  for (let tried = 1; ; tried++) {
    let wait = 100 * 2 ** (tried - 1);
    try {
      const reply = await fetch(request.clone());
      if (!AGAIN.has(reply.status) || tried === TRIES) return reply;
      wait = Math.min(1000 * Number(reply.headers.get("retry-after") ?? wait / 1000), 5000);
    } catch (lost) {
      if (tried === TRIES) throw lost;
    }
    await new Promise((done) => setTimeout(done, wait));
  }
}

/** Each operation of the API by its path: `answer(operations(url, key).GET("/v1/campaigns/{campaign_id}", ...))`. */
export const operations = (url: string, key: string) =>
  createClient<paths>({ baseUrl: url, headers: { authorization: `Bearer ${key}` }, fetch: patient });

/** The operations of every day, with one key. */
export class Client {
  readonly http: ReturnType<typeof operations>;
  constructor(url: string, key: string) {
    this.http = operations(url, key);
  }
  decide = (body: Schemas["DecisionIn"]) => answer(this.http.POST("/v1/decisions", { body }));
  track = (...batch: Schemas["EventIn"][]) =>
    answer(this.http.POST("/v1/batch", {
      body: { batch: batch.map((event) => ({ messageId: crypto.randomUUID(), type: "track" as const, ...event })) },
    }));
  priceCart = (body: Schemas["CartIn"]) => answer(this.http.POST("/v1/carts:price", { body }));
  prices = (body: Schemas["PricesIn"]) => answer(this.http.POST("/v1/prices", { body }));
  reserve = (body: Schemas["ReserveIn"]) => answer(this.http.POST("/v1/redemptions:reserve", { body }));
  confirm = (body: Schemas["ConfirmIn"]) => answer(this.http.POST("/v1/redemptions:confirm", { body }));
  rollback = (body: Schemas["RollbackIn"]) => answer(this.http.POST("/v1/redemptions:rollback", { body }));
  feedback = (body: Schemas["FeedbackIn"]) => answer(this.http.POST("/v1/feedback", { body }));
}
