// A webhook is made, gets a flow, and is called, by a client whose every request and answer is checked by the compiler against
// the management API's document: walk.js <URL> <management key>. Prints what the caller of the webhook got.

import createClient from "openapi-fetch";

import type { components, paths } from "./schema.js";

declare const process: { argv: string[] };

const [baseUrl = "", key = ""] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl, headers: { authorization: `Bearer ${key}` } });

/** What came, or the reason why nothing did. */
function taken<Data>(answer: { data?: Data; error?: unknown }): Data {
  if (answer.data === undefined) {
    throw new Error(JSON.stringify(answer.error));
  }
  return answer.data;
}

const secret = taken(await client.POST("/v1/secrets", { body: { name: "TypeScript", generate: "hex" } }));
// The kinds of a union are told apart: a `token` without `secrets` would not compile.
const authentication: components["schemas"]["Authentication"] = {
  kind: "static_token",
  at: { in: "header", name: "x-token" },
  secrets: [secret.id],
};
const webhook = taken(
  await client.POST("/v1/webhooks", { body: { name: "TypeScript", suffix: "typed", authentication } }),
);
const params = { path: { id: webhook.id } };
const steps: components["schemas"]["FlowStep"][] = [
  { name: "order", kind: "set", on_error: "fail", values: { id: "{{ body.order.id }}" } },
  { name: "reply", kind: "respond", status: 201, body: { id: "{{ order.id }}" } },
];
taken(
  await client.PUT("/v1/webhooks/{id}/draft", {
    params,
    body: { flow: { steps }, response: { mode: "wait" } },
  }),
);
taken(await client.POST("/v1/webhooks/{id}/publish", { params }));
const refused = await client.PUT("/v1/webhooks/{id}/draft", { params, body: { flow: { only_if: "{{ nobody }}" } } });
if (refused.error?.code !== "invalid_request" || refused.error.errors[0]?.pointer !== "/flow/only_if") {
  throw new Error(`the draft was not refused: ${JSON.stringify(refused.error)}`);
}

const url = webhook.urls.find((url) => url.environment === "production")?.public_url ?? "";
const answer = await fetch(url, {
  method: "POST",
  headers: { "content-type": "application/json", "x-token": secret.value ?? "" },
  body: JSON.stringify({ order: { id: 42 } }),
});
const events = taken(await client.GET("/v1/events", { params: { query: { webhook_id: webhook.id } } }));
console.log(JSON.stringify({ status: answer.status, body: await answer.json(), events: events.data.length }));
