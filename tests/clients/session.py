"""A session with the client that openapi-python-client generates: what a program does, from a record to the usage."""

import datetime
import json
import os
import re
import uuid
from typing import Any, TypeVar

from tenantry_client import AuthenticatedClient
from tenantry_client.api.records import (
    create_record,
    create_transaction,
    delete_record,
    get_record,
    list_records,
    patch_record,
    put_record,
)
from tenantry_client.api.tenants import (
    create_tenant,
    export_tenant,
    get_tenant,
    list_tenants,
    list_usage,
    offboard_tenant,
    patch_tenant,
    rotate_tenant_keys,
    suspend_tenant,
)
from tenantry_client.api.tokens import create_token, delete_token, list_tokens
from tenantry_client.api.usage import get_usage
from tenantry_client.models import (
    CheckOperation,
    CreateOperation,
    Data,
    DataPatch,
    IssuedToken,
    KeyRotation,
    Labels,
    LabelsPatchType0,
    NewRecord,
    NewTenant,
    NewToken,
    NewTransaction,
    PatchOperation,
    Problem,
    PutOperation,
    Quota,
    Record,
    RecordPage,
    RecordPatch,
    StatusChange,
    Tenant,
    TenantPatch,
    TenantStatus,
    Transaction,
    TransactionProblem,
    Usage,
)

GLOBEX = "01K0G10BEX0000000000000000"

T = TypeVar("T")


def data(**members: object) -> Data:
    return Data.from_dict(members)


def client_with(token: str) -> AuthenticatedClient:
    return AuthenticatedClient(base_url=os.environ["API_URL"], token=token, raise_on_unexpected_status=True)


def expect(response: Any, status: int, kind: type[T]) -> T:
    assert response.status_code == status, (response.status_code, response.content)
    assert isinstance(response.parsed, kind), response.parsed
    return response.parsed


def records(client: AuthenticatedClient) -> None:
    # A write with a key happens once, and its repeat gets the first reply.
    key = f'"{uuid.uuid4()}"'
    new = NewRecord(data=data(title="Zoë", price=12.5, tags=["a"], inner={"a": 1}), expires_at=None)
    first = create_record.sync_detailed("notes", client=client, body=new, idempotency_key=key)
    again = create_record.sync_detailed("notes", client=client, body=new, idempotency_key=key)
    created = expect(first, 201, Record)
    assert expect(again, 201, Record) == created
    assert again.headers["Idempotent-Replayed"] == "true"
    assert first.headers["Location"].endswith(f"/collections/notes/records/{created.id}")
    assert created.version > 2**32 and first.headers["ETag"] == f'"{created.version}"'
    assert created.data.to_dict() == new.data.to_dict()
    reused = create_record.sync_detailed("notes", client=client, body=NewRecord(data=data()), idempotency_key=key)
    assert expect(reused, 422, Problem).code == "idempotency_key_reused"

    read = get_record.sync_detailed("notes", created.id, client=client, consistent=True)
    assert expect(read, 200, Record) == created
    unchanged = get_record.sync_detailed("notes", created.id, client=client, if_none_match=read.headers["ETag"])
    assert unchanged.status_code == 304 and unchanged.content == b""

    # A merge patch under a condition: the second one comes too late.
    patch = RecordPatch(data=DataPatch.from_dict({"title": "Zoë!", "price": None}))
    etag = first.headers["ETag"]
    patched = expect(patch_record.sync_detailed("notes", created.id, client=client, body=patch, if_match=etag), 200, Record)
    assert patched.data.to_dict() == {"title": "Zoë!", "tags": ["a"], "inner": {"a": 1}}
    assert patched.version > created.version
    late = patch_record.sync_detailed("notes", created.id, client=client, body=patch, if_match=etag)
    assert expect(late, 412, Problem).code == "precondition_failed"

    ends = datetime.datetime(2099, 12, 31, tzinfo=datetime.UTC)
    expiring = put_record.sync_detailed(
        "notes", "welcome", client=client, body=NewRecord(data=data(), expires_at=ends), if_none_match="*"
    )
    assert expect(expiring, 201, Record).expires_at == ends

    for n in range(5):
        put = put_record.sync_detailed("pages", f"p{n}", client=client, body=NewRecord(data=data(n=n)))
        expect(put, 201, Record)
    seen: list[str] = []
    page = expect(list_records.sync_detailed("pages", client=client, limit=2), 200, RecordPage)
    while True:
        seen += [record.id for record in page.items]
        if page.next_ is None:
            break
        page = expect(list_records.sync_detailed("pages", client=client, limit=2, cursor=page.next_), 200, RecordPage)
    assert seen == [f"p{n}" for n in range(5)]

    gone = delete_record.sync_detailed("notes", created.id, client=client)
    assert gone.status_code == 204 and gone.content == b""
    missing = expect(get_record.sync_detailed("notes", created.id, client=client), 404, Problem)
    assert missing.code == "record_not_found" and missing.request_id


def transactions(client: AuthenticatedClient) -> None:
    put = PutOperation(op="put", collection="accounts", id="alice", data=data(balance=100))
    done = create_transaction.sync_detailed(client=client, body=NewTransaction(operations=[put]))
    version = expect(done, 200, Transaction).operations[0].version
    transfer = NewTransaction(
        operations=[
            CreateOperation(op="create", collection="transfers", data=data(amount=5)),
            PatchOperation(
                op="patch",
                collection="accounts",
                id="alice",
                data=DataPatch.from_dict({"balance": 95}),
                if_version=version,
            ),
            CheckOperation(op="check", collection="pages", id="p0"),
        ]
    )
    key = str(uuid.uuid4())
    moved = create_transaction.sync_detailed(client=client, body=transfer, idempotency_key=key)
    create, patch, check = expect(moved, 200, Transaction).operations
    assert create.version and patch.version > version and not check.version
    failed = expect(create_transaction.sync_detailed(client=client, body=transfer), 412, TransactionProblem)
    assert [(failure.operation, failure.code) for failure in failed.failures] == [(1, "precondition_failed")]


def tokens(client: AuthenticatedClient) -> None:
    new = NewToken(name="build server", scopes=["records:read"], expires_at=None)
    issued = expect(create_token.sync_detailed(client=client, body=new), 201, IssuedToken)
    machine = client_with(issued.token)
    expect(list_records.sync_detailed("pages", client=machine), 200, RecordPage)
    denied = put_record.sync_detailed("pages", "p9", client=machine, body=NewRecord(data=data()))
    assert expect(denied, 403, Problem).code == "insufficient_scope"
    assert [token.id for token in list_tokens.sync(client=client).items] == [issued.id]
    assert delete_token.sync_detailed(issued.id, client=client).status_code == 204


def usage(client: AuthenticatedClient) -> None:
    figures = expect(get_usage.sync_detailed(client=client), 200, Usage)
    assert figures.plan == "pro" and figures.limit == 10_000_000 and 0 < figures.remaining < figures.limit


def operator(client: AuthenticatedClient) -> None:
    new = NewTenant(name="Initech", plan="free", labels=Labels.from_dict({"region": "eu", "trial": "yes"}))
    created = create_tenant.sync_detailed(client=client, body=new)
    tenant = expect(created, 201, Tenant)
    patch = TenantPatch(
        plan="standard", labels=LabelsPatchType0.from_dict({"trial": None, "owner": "Zoë"}), quota=Quota(requests=25_000)
    )
    changed = expect(patch_tenant.sync_detailed(tenant.id, client=client, body=patch), 200, Tenant)
    assert changed.labels.to_dict() == {"region": "eu", "owner": "Zoë"}
    assert changed.plan == "standard" and changed.quota == patch.quota
    unlimited = patch_tenant.sync_detailed(tenant.id, client=client, body=TenantPatch(quota=None))
    assert expect(unlimited, 200, Tenant).quota is None
    suspended = suspend_tenant.sync_detailed(tenant.id, client=client, body=StatusChange(reason="unpaid"))
    assert expect(suspended, 200, Tenant).status == TenantStatus.SUSPENDED
    rotated = rotate_tenant_keys.sync_detailed(tenant.id, client=client, body=KeyRotation(overlap=0))
    assert rotated.status_code == 201 and len(rotated.parsed.tenant_keys) == 1

    assert tenant.id in [one.id for one in list_tenants.sync(client=client, limit=100).items]
    assert {one.name for one in list_usage.sync(client=client).items} >= {"globex", "Initech"}
    lines: list[str] = []
    exported = export_tenant.sync_detailed(GLOBEX, client=client)
    while True:
        lines += expect(exported, 200, str).splitlines()
        following = re.search(r"[?&]cursor=([^&>]+)", exported.headers.get("Link", ""))
        if not following:
            break
        exported = export_tenant.sync_detailed(GLOBEX, client=client, cursor=following[1])
    assert "p0" in [json.loads(line)["id"] for line in lines], lines

    expect(offboard_tenant.sync_detailed(tenant.id, client=client), 202, Tenant)
    left = expect(get_tenant.sync_detailed(tenant.id, client=client), 200, Tenant)
    assert left.status in (TenantStatus.OFFBOARDING, TenantStatus.OFFBOARDED)


def main() -> None:
    tenant = client_with(os.environ["TENANT_TOKEN"])
    records(tenant)
    transactions(tenant)
    tokens(tenant)
    usage(tenant)
    operator(client_with(os.environ["OPERATOR_TOKEN"]))
    print("The client in Python did its session.")


main()
