// A session with the client that openapi-typescript and openapi-fetch make, in TypeScript at its strictest: what a program
// does, from a record to the usage. The types come from the contract alone, so what the contract forgets does not compile.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { env } from "node:process";
import createClient from "openapi-fetch";
import type { components, paths } from "./contract.js";

type Record = components["schemas"]["Record"];
type NewRecord = components["schemas"]["NewRecord"];
type Operation = components["schemas"]["Operation"];

const globex = "01K0G10BEX0000000000000000";

function variable(name: string): string {
  const value = env[name];
  assert(value !== undefined, `${name} is not set`);
  return value;
}

function clientWith(token: string) {
  return createClient<paths>({ baseUrl: variable("API_URL"), headers: { Authorization: `Bearer ${token}` } });
}

type Client = ReturnType<typeof clientWith>;

/** The data of a response, which has to be of this status. */
function expect<T>(result: { data?: T; error?: unknown; response: Response }, status: number): T {
  assert.equal(result.response.status, status, JSON.stringify(result.error ?? result.data));
  assert(result.data !== undefined);
  return result.data;
}

/** The problem of a response, which has to be of this status. */
function expectProblem<P>(result: { error?: P; response: Response }, status: number): P {
  assert.equal(result.response.status, status);
  assert(result.error !== undefined);
  return result.error;
}

async function records(client: Client): Promise<void> {
  // A write with a key happens once, and its repeat gets the first reply.
  const key = `"${randomUUID()}"`;
  const body: NewRecord = { data: { title: "Zoë", price: 12.5, tags: ["a"], inner: { a: 1 } }, expiresAt: null };
  const create = (body: NewRecord) =>
    client.POST("/collections/{collection}/records", {
      params: { path: { collection: "notes" }, header: { "Idempotency-Key": key } },
      body,
    });
  const first = await create(body);
  const created: Record = expect(first, 201);
  const again = await create(body);
  assert.deepEqual(expect(again, 201), created);
  assert.equal(again.response.headers.get("Idempotent-Replayed"), "true");
  assert.deepEqual(created.data, body.data);
  assert(created.version > 2 ** 32 && Number.isSafeInteger(created.version));
  const etag = first.response.headers.get("ETag") ?? "";
  assert.equal(etag, `"${created.version}"`);
  assert.equal(expectProblem(await create({ data: {} }), 422).code, "idempotency_key_reused");

  const path = { collection: "notes", id: created.id };
  const read = await client.GET("/collections/{collection}/records/{id}", {
    params: { path, query: { consistent: true } },
  });
  assert.deepEqual(expect(read, 200), created);

  // A merge patch under a condition: the second one comes too late.
  const patch = () =>
    client.PATCH("/collections/{collection}/records/{id}", {
      params: { path, header: { "If-Match": etag } },
      headers: { "Content-Type": "application/merge-patch+json" },
      body: { data: { title: "Zoë!", price: null } },
    });
  const patched = expect(await patch(), 200);
  assert.deepEqual(patched.data, { title: "Zoë!", tags: ["a"], inner: { a: 1 } });
  assert(patched.version > created.version);
  assert.equal(expectProblem(await patch(), 412).code, "precondition_failed");

  for (let n = 0; n < 5; n++) {
    const put = await client.PUT("/collections/{collection}/records/{id}", {
      params: { path: { collection: "pages", id: `p${n}` }, header: { "If-None-Match": "*" } },
      body: { data: { n }, expiresAt: "2099-12-31T00:00:00Z" },
    });
    assert.equal(expect(put, 201).expiresAt, "2099-12-31T00:00:00Z");
  }
  const seen: string[] = [];
  let cursor: string | null | undefined;
  do {
    const page = expect(
      await client.GET("/collections/{collection}/records", {
        params: { path: { collection: "pages" }, query: { limit: 2, ...(cursor ? { cursor } : {}) } },
      }),
      200,
    );
    seen.push(...page.items.map((record) => record.id));
    cursor = page.next;
  } while (cursor !== null);
  assert.deepEqual(seen, ["p0", "p1", "p2", "p3", "p4"]);

  const gone = await client.DELETE("/collections/{collection}/records/{id}", { params: { path } });
  assert.equal(gone.response.status, 204);
  const missing = await client.GET("/collections/{collection}/records/{id}", { params: { path } });
  assert.equal(expectProblem(missing, 404).code, "record_not_found");
}

async function transactions(client: Client): Promise<void> {
  const run = (operations: Operation[]) => client.POST("/transactions", { body: { operations } });
  const put = await run([{ op: "put", collection: "accounts", id: "alice", data: { balance: 100 } }]);
  const version = expect(put, 200).operations[0]?.version;
  assert(version !== undefined);
  const transfer: Operation[] = [
    { op: "create", collection: "transfers", data: { amount: 5 } },
    { op: "patch", collection: "accounts", id: "alice", data: { balance: 95 }, ifVersion: version },
    { op: "check", collection: "pages", id: "p0" },
    { op: "delete", collection: "pages", id: "p4" },
  ];
  const moved = expect(await run(transfer), 200).operations.map((operation) => operation.op);
  assert.deepEqual(moved, ["create", "patch", "check", "delete"]);
  const failed = expectProblem(await run(transfer), 412);
  assert("failures" in failed);
  // The first that fails; others are not always told.
  const [failure] = failed.failures;
  assert.deepEqual([failure?.operation, failure?.code], [1, "precondition_failed"]);
}

async function tokens(client: Client): Promise<void> {
  const issued = expect(await client.POST("/tokens", { body: { name: "build server", scopes: ["records:read"] } }), 201);
  const machine = clientWith(issued.token);
  expect(await machine.GET("/collections"), 200);
  const denied = await machine.DELETE("/collections/{collection}/records/{id}", {
    params: { path: { collection: "pages", id: "p0" } },
  });
  assert.equal(expectProblem(denied, 403).code, "insufficient_scope");
  assert.deepEqual(expect(await client.GET("/tokens"), 200).items.map((token) => token.id), [issued.id]);
  const revoked = await client.DELETE("/tokens/{id}", { params: { path: { id: issued.id } } });
  assert.equal(revoked.response.status, 204);
}

async function usage(client: Client): Promise<void> {
  const figures = expect(await client.GET("/usage"), 200);
  assert.equal(figures.limit, 10_000_000);
  assert(figures.remaining !== null && figures.remaining < 10_000_000);
}

async function operator(client: Client): Promise<void> {
  const created = await client.POST("/admin/tenants", {
    body: { name: "Initech", plan: "free", labels: { region: "eu", trial: "yes" } },
  });
  const params = { path: { tenant: expect(created, 201).id } };
  const changed = await client.PATCH("/admin/tenants/{tenant}", {
    params,
    headers: { "Content-Type": "application/merge-patch+json" },
    body: { plan: "standard", labels: { trial: null, owner: "Zoë" }, quota: { requests: 25_000 } },
  });
  const tenant = expect(changed, 200);
  assert.deepEqual(tenant.labels, { region: "eu", owner: "Zoë" });
  assert.deepEqual([tenant.plan, tenant.quota?.requests], ["standard", 25_000]);
  const suspended = await client.POST("/admin/tenants/{tenant}/suspend", { params, body: { reason: "unpaid" } });
  assert.equal(expect(suspended, 200).status, "suspended");
  const rotated = await client.POST("/admin/tenants/{tenant}/keys", { params, body: { overlap: 0 } });
  assert.equal(expect(rotated, 201).tenantKeys.length, 1);
  assert(expect(await client.GET("/admin/tenants"), 200).items.some((one) => one.id === tenant.id));
  const month = expect(await client.GET("/admin/usage"), 200);
  // The operation has a representation as CSV as well, which is a string.
  assert(typeof month !== "string" && month.items.some((one) => one.name === "globex"));
  const table = await client.GET("/admin/usage", {
    params: { query: { bom: true } },
    headers: { Accept: "text/csv" },
    parseAs: "arrayBuffer",
  });
  const bytes = new Uint8Array(expect(table, 200));
  assert.deepEqual([...bytes.slice(0, 3)], [0xef, 0xbb, 0xbf]);
  const exported: Record[] = [];
  let cursor: string | undefined;
  do {
    const page = await client.GET("/admin/tenants/{tenant}/export", {
      params: { path: { tenant: globex }, query: cursor === undefined ? {} : { cursor } },
      parseAs: "text",
    });
    // A page may be empty while there is more, and openapi-fetch has no data of an empty body.
    assert.equal(page.response.status, 200);
    const lines = (page.data ?? "").split("\n").filter((line) => line !== "");
    exported.push(...lines.map((line) => JSON.parse(line) as Record));
    cursor = /[?&]cursor=([^&>]+)/.exec(page.response.headers.get("Link") ?? "")?.[1];
  } while (cursor !== undefined);
  assert(exported.some((record) => record.id === "p0"));
  const offboarded = await client.DELETE("/admin/tenants/{tenant}", { params });
  assert.match(expect(offboarded, 202).status, /^offboard/);
}

const tenant = clientWith(variable("TENANT_TOKEN"));
await records(tenant);
await transactions(tenant);
await tokens(tenant);
await usage(tenant);
await operator(clientWith(variable("OPERATOR_TOKEN")));
console.log("The client in TypeScript did its session.");
