// Signs and verifies requests with the official libraries. One JSON object per line in, one per line out; see independent.rs.

import { createInterface } from "node:readline";
import * as octokit from "@octokit/webhooks-methods";
import { Webhook as StandardWebhook } from "standardwebhooks";
import Stripe from "stripe";
import { Webhook as SvixWebhook } from "svix";
import twilio from "twilio";

const stripe = new Stripe("sk_test_unused");
const fields = (body) => {
  const form = new URLSearchParams(body.toString());
  return Object.fromEntries([...new Set(form.keys())].map((name) => {
    const values = form.getAll(name);
    return [name, values.length > 1 ? values : values[0]];
  }));
};
const timed = (Webhook, prefix) => ({
  sign: ({ secret, time, body }) => ({
    [`${prefix}-id`]: "msg_1",
    [`${prefix}-timestamp`]: String(time),
    [`${prefix}-signature`]: new Webhook(secret).sign("msg_1", new Date(time * 1000), body.toString()),
  }),
  verify: ({ secret, body, headers }) => { new Webhook(secret).verify(body.toString(), headers); return true; },
});

const schemes = {
  github: {
    sign: async ({ secret, body }) => ({ "x-hub-signature-256": await octokit.sign(secret, body.toString()) }),
    verify: ({ secret, body, headers }) => octokit.verify(secret, body.toString(), headers["x-hub-signature-256"]),
  },
  stripe: {
    sign: ({ secret, time, body }) => ({
      "stripe-signature": stripe.webhooks.generateTestHeaderString({ payload: body.toString(), secret, timestamp: time }),
    }),
    verify: ({ secret, body, headers }) =>
      stripe.webhooks.signature.verifyHeader(body, headers["stripe-signature"], secret, Stripe.webhooks?.DEFAULT_TOLERANCE ?? 300),
  },
  "standard-webhooks": timed(StandardWebhook, "webhook"),
  svix: timed(SvixWebhook, "svix"),
  twilio: {
    sign: ({ secret, url, body }) => ({
      "x-twilio-signature": twilio.getExpectedTwilioSignature(secret, url, fields(body)),
    }),
    verify: ({ secret, url, body, headers }) =>
      twilio.validateRequest(secret, headers["x-twilio-signature"], url, fields(body)),
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  const request = { ...asked, body: Buffer.from(asked.body, "base64") };
  let answer;
  try {
    const result = await schemes[asked.scheme][asked.operation](request);
    answer = asked.operation === "sign" ? { headers: result } : { accepted: result === true };
  } catch (error) {
    answer = asked.operation === "sign" ? { error: String(error) } : { accepted: false, reason: String(error) };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
