#!/usr/bin/env python3
"""record.py CHECKOUT FOLDER: records in FOLDER a data folder that the `local` of a built checkout wrote, and the session that
filled it with every kind of item. `tests/api/upgrade.rs` starts today's `local` from it. docs/internals/testing.md explains
when to record one.

FOLDER gets `database.sql` (the SQLite file as statements, without the records of the stream, which nothing reads),
`api-keys.json`, `issuer-key.txt` (in base64), and `session.json` (each exchange)."""

import base64
import json
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

CHECKOUT, FOLDER = (pathlib.Path(path).absolute() for path in sys.argv[1:])
DATA = pathlib.Path(tempfile.mkdtemp())
PORT = 3950
BASE = f"http://127.0.0.1:{PORT}"
# The response headers that a later version has to reproduce. `Link` has the parameters of its URL in any order; its cursor is
# in the body as well.
HEADERS = ["etag", "location", "cache-control", "content-type"]
NOTES = "/collections/notes/records"
TENANTS = "/admin/tenants"
tokens = {}
session = []


def start():
    """Starts `local` on the data folder, and waits until it listens."""
    binaries = CHECKOUT / "target/debug"
    process = subprocess.Popen([binaries / "local", "--port", str(PORT), "--data", DATA, "--binaries", binaries],
                               cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout.readline().startswith("listening"), "local did not start"
    return process


def stop(process):
    """Ends `local`, whose functions report their usage then."""
    process.send_signal(signal.SIGTERM)
    process.wait()


def open_url(request):
    try:
        response = urllib.request.urlopen(request)
    except urllib.error.HTTPError as error:
        response = error
    with response:
        return response.status, response.headers, response.read().decode()


def token(name):
    """Returns a token: a machine token of this session, or one of the local issuer for this client."""
    if name not in tokens:
        form = urllib.parse.urlencode({"grant_type": "client_credentials", "client_id": name}).encode()
        _, _, body = open_url(urllib.request.Request(f"{BASE}/_local/oauth2/token", form))
        tokens[name] = json.loads(body)["access_token"]
    return tokens[name]


def call(as_, method, path, body=None, expect=200, key=None, headers=None, kind="write"):
    """Makes a request and records it: as a `retry` with an idempotency key, else as a `read` or a `write`."""
    headers = dict(headers or {})
    if body is not None:
        headers.setdefault("Content-Type", "application/merge-patch+json" if method == "PATCH" else "application/json")
    if key:
        headers["Idempotency-Key"] = f'"{key}"'
        kind = "retry"
    text = None if body is None else json.dumps(body)
    request = urllib.request.Request(f"{BASE}/v1{path}", text and text.encode(), headers, method=method)
    request.add_header("Authorization", f"Bearer {token(as_)}")
    status, found, response = open_url(request)
    while "rate_exceeded" in response:
        time.sleep(1)
        status, found, response = open_url(request)
    assert status == expect, (method, path, status, response)
    session.append({
        "kind": kind, "as": as_, "method": method, "path": path, "headers": headers, "body": text,
        "status": status, "responseHeaders": {name: found[name] for name in HEADERS if found[name]}, "response": response,
    })
    return (json.loads(response) if response else None), found


def read(as_, path, expect=200):
    return call(as_, "GET", path, expect=expect, kind="read")


def fill():
    """Fills the data folder, and reads what a later version has to read as it is."""
    # Records of two tenants, in several collections, with and without an expiry, and with idempotency keys.
    for n, name in enumerate(["alpha", "beta", "gamma", "delta", "epsilon"]):
        call("acme", "PUT", f"{NOTES}/{name}", {"data": {"text": f"Note {n}", "n": 12345678901234567890 + n, "x": 1.50}}, 201)
    call("acme", "PUT", f"{NOTES}/beta", {"data": {"text": "Note 1, changed"}, "expiresAt": "2099-01-01T00:00:00Z"}, 200)
    call("acme", "PUT", "/collections/drafts/records/only", {"data": {"umlaut": "Grüße", "empty": {}, "list": [None, True]}}, 201)
    call("globex", "PUT", f"{NOTES}/alpha", {"data": {"text": "Another tenant's"}}, 201)
    call("acme", "POST", "/collections/orders/records", {"data": {"item": "A-7"}}, 201, key="order-1")
    call("acme", "PUT", "/collections/orders/records/o-2", {"data": {"item": "A-8"}}, 201, key="order-2")
    call("acme", "PUT", "/collections/orders/records/o-2", {"data": {"item": "A-9"}}, 200, key="order-3")
    call("acme", "PATCH", "/collections/orders/records/o-2", {"data": {"count": 2}}, 200, key="order-4")
    call("acme", "PUT", "/collections/orders/records/o-5", {"data": {"item": "B-1"}}, 201)
    call("acme", "DELETE", "/collections/orders/records/o-5", None, 204, key="order-5")
    call("globex", "POST", "/collections/orders/records", {"data": {"item": "G-1"}}, 201, key="order-1")

    # Transactions with idempotency keys.
    accounts = [{"op": "create", "collection": "accounts", "id": name, "data": {"balance": 100}} for name in ("alice", "bob")]
    call("globex", "POST", "/transactions", {"operations": accounts}, 200, key="open-accounts")
    moves = [{"op": "patch", "collection": "accounts", "id": name, "data": {"balance": balance}}
             for name, balance in (("alice", 95), ("bob", 105))]
    call("globex", "POST", "/transactions", {"operations": moves}, 200, key="move-5")

    # Machine tokens: one in use, one whose stored reply is encrypted with the idempotency key, and one that is revoked.
    made, _ = call("acme", "POST", "/tokens", {"name": "build", "scopes": ["records:read"]}, 201)
    tokens["build"] = made["token"]
    call("acme", "POST", "/tokens", {"name": "sealed", "scopes": ["records:read"], "expiresAt": "2099-01-01T00:00:00Z"}, 201,
         key="0123456789abcdef0123456789abcdef")
    revoked, _ = call("acme", "POST", "/tokens", {"name": "revoked", "scopes": ["records:read"]}, 201)
    tokens["revoked"] = revoked["token"]
    call("build", "GET", f"{NOTES}/alpha")  # A write: it records when the token was used.
    call("acme", "DELETE", f"/tokens/{revoked['id']}", None, 204)

    # Tenants that an operator made: one with issuers, labels and a quota of its own and an opaque key, one on a shared API key,
    # one that is suspended, one whose quota is used up, and one whose offboarding has begun.
    _, _, jwks = open_url(urllib.request.Request(f"{BASE}/_local/jwks.json"))
    issuer = {"issuer": "https://login.initech.example/_local", "jwks": json.loads(jwks), "audiences": ["tenantry"],
              "tenantClaim": "tenant", "tenantKeys": True}
    initech, _ = call("operator", "POST", TENANTS, {
        "name": "Initech", "plan": "standard", "issuers": [issuer], "labels": {"region": "eu", "account": "4711"},
        "quota": {"requests": 5000}}, 201)
    call("operator", "POST", f"{TENANTS}/{initech['id']}/keys", {"overlap": 3600}, 201)
    pooled, _ = call("operator", "POST", TENANTS, {"name": "Pooled", "plan": "free", "key": "pooled"}, 201)
    suspended, _ = call("operator", "POST", TENANTS, {"name": "Hooli", "plan": "pro"}, 201)
    call("operator", "POST", f"{TENANTS}/{suspended['id']}/suspend", {"reason": "unpaid"}, 200)
    used_up, _ = call("operator", "POST", TENANTS, {"name": "Umbrella", "plan": "free", "quota": {"requests": 3}}, 201)
    for n in range(3):
        call(used_up["id"], "PUT", f"{NOTES}/{n}", {"data": {"n": n}}, 201)
    call(used_up["id"], "PUT", f"{NOTES}/3", {"data": {"n": 3}}, 429)
    leaving, _ = call("operator", "POST", TENANTS, {"name": "Globodyne", "plan": "free"}, 201)
    call(leaving["id"], "PUT", f"{NOTES}/last", {"data": {}}, 201)
    call("operator", "DELETE", f"{TENANTS}/{leaving['id']}", None, 202)

    # What a later version has to read as it is.
    for path in [f"{NOTES}/{name}" for name in ("alpha", "beta", "gamma")] + [
            "/collections", "/collections/drafts/records/only", "/collections/orders/records/o-2", "/tokens"]:
        read("acme", path)
    for path in (f"{NOTES}?limit=2", f"{NOTES}?limit=2&order=desc", "/collections?limit=2"):
        _, found = read("acme", path)
        # The next page, by a cursor of this version.
        read("acme", found["link"].split(">")[0].removeprefix("</v1"))
    read("acme", "/collections/orders/records/o-5", 404)
    for path in (f"{NOTES}/alpha", "/collections/accounts/records", "/collections/orders/records"):
        read("globex", path)
    read("build", f"{NOTES}/alpha")
    read("revoked", f"{NOTES}/alpha", 401)
    read(pooled["id"], "/collections")
    read(suspended["id"], "/collections", 403)
    for tenant in (initech, pooled, suspended, used_up, leaving):
        read("operator", f"{TENANTS}/{tenant['id']}")
    read("operator", TENANTS)
    read(used_up["id"], f"{NOTES}/0", 429)
    return {"initech": initech["id"], "leaving": leaving["id"]}


def dump():
    """Writes the data folder as text."""
    database = sqlite3.connect(DATA / "dynamodb.sqlite")
    database.execute("DELETE FROM _stream_records")
    (FOLDER / "database.sql").write_text("\n".join(database.iterdump()) + "\n")
    shutil.copyfile(DATA / "api-keys.json", FOLDER / "api-keys.json")
    key = base64.encodebytes((DATA / "issuer-key.der").read_bytes()).decode()
    (FOLDER / "issuer-key.txt").write_text("# A key that signs tokens for this test data only. It is in use nowhere.\n" + key)


FOLDER.mkdir(parents=True, exist_ok=True)
running = start()
ids = fill()
stop(running)
# These are read after a restart: functions report the last of the usage when they end, and caches of the authorizer are empty.
running = start()
read(ids["leaving"], "/collections", 403)
for tenant in ("acme", "globex"):
    read(tenant, "/usage")
read("operator", "/admin/usage")
stop(running)
dump()
with (FOLDER / "session.json").open("w") as file:
    machine_tokens = {name: value for name, value in tokens.items() if value.startswith("tnt_")}
    json.dump({"ids": ids, "tokens": machine_tokens, "session": session}, file, indent=1, ensure_ascii=False)
    file.write("\n")
shutil.rmtree(DATA)
