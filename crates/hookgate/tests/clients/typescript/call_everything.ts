// Drives the management API: call_everything.js <openapi.json> <plan.json> <URL> <URL of a receiver>. The steps are those that
// the Python client takes. Every answer must have a status that the document tells of: a success, unless the step says otherwise.
// Prints the operations that were called, one on each line.

import createClient from "openapi-fetch";

import type { paths } from "./schema.js";

declare const process: { argv: string[] };

type Json = any;

// Node's own modules, without their types.
const { readFileSync } = (await import("node:fs" as string)) as Json;
const [documentPath = "", planPath = "", baseUrl = "", receiver = ""] = process.argv.slice(2);
const read = (path: string): Json => JSON.parse(readFileSync(path, "utf8"));

const PATIENCE_MS = 30_000;
const POLL_MS = 50;

const operations = new Map<string, Json>();
for (const [path, item] of Object.entries<Json>(read(documentPath).paths)) {
  for (const [method, operation] of Object.entries<Json>(item)) {
    operations.set(operation.operationId, { path, method, ...operation });
  }
}
const known = new Map<string, string>([
  ["receiver", receiver],
  ["email", `grace-${crypto.randomUUID()}@example.com`],
]);
let token = "none yet";

/** A value with what `$name` stands for. */
function filled(value: Json): Json {
  if (typeof value === "string") {
    return value.startsWith("$") ? known.get(value.slice(1)) : value;
  }
  if (Array.isArray(value)) {
    return value.map(filled);
  }
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, filled(item)]));
  }
  return value;
}

function at(value: Json, pointer: string): Json {
  return pointer
    .split("/")
    .slice(1)
    .reduce((inside, part) => inside?.[part], value);
}

async function call(step: Json): Promise<Json> {
  const operation = operations.get(step.operation);
  const client = createClient<paths>({ baseUrl, headers: { authorization: `Bearer ${token}` } });
  const parameters = filled({ path: step.path ?? {}, query: step.query ?? {} });
  const successes = Object.entries<Json>(operation.responses).filter(([status]) => status.startsWith("2"));
  const isJson = successes.some(([, response]) => "application/json" in (response.content ?? {}));
  const answer: Json = await (client as Json).request(operation.method, operation.path, {
    params: parameters,
    body: filled(step.body),
    parseAs: isJson ? "json" : "text",
  });
  const status: number = answer.response.status;
  const content = JSON.stringify(answer.data ?? answer.error);
  if (!(status in operation.responses)) {
    throw new Error(`${step.operation} was answered ${status}, which is not in the document: ${content}`);
  }
  if (step.status ? status !== step.status : status < 200 || status > 299) {
    throw new Error(`${step.operation} was answered ${status}: ${content}`);
  }
  return answer.data;
}

async function send(step: Json): Promise<void> {
  const request = filled(step.send);
  const answer = await fetch(request.url.replace("{order_id}", "42"), {
    method: request.method,
    headers: { "content-type": "application/json", ...request.headers },
    body: JSON.stringify(request.json),
  });
  if (answer.status !== step.status) {
    throw new Error(`${request.url} was answered ${answer.status}: ${await answer.text()}`);
  }
  for (const [name, place] of Object.entries<string>(step.save ?? {})) {
    known.set(name, answer.headers.get(place.replace("header:", "")) ?? "");
  }
}

for (const step of read(planPath)) {
  if (step.use) {
    token = filled(step.use);
  } else if (step.segment) {
    known.set(step.segment.save, filled(step.segment.of).split("/")[step.segment.at]);
  } else if (step.send) {
    await send(step);
  } else {
    const deadline = Date.now() + PATIENCE_MS;
    let value = await call(step);
    const holds = () => {
      const found = step.until && at(value, step.until.pointer);
      return !step.until || (found != null && (step.until.equals === undefined || found === step.until.equals));
    };
    while (!holds()) {
      if (Date.now() > deadline) {
        throw new Error(`${step.operation}: ${JSON.stringify(step.until)} did not come: ${JSON.stringify(value)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      value = await call(step);
    }
    for (const [name, pointer] of Object.entries<string>(step.save ?? {})) {
      known.set(name, at(value, pointer));
    }
    console.log(step.operation);
  }
}
