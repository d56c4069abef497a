//! `/admin/tenants`: operators and the lives of tenants.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Api, Caller, Response};

mod by_hand;
mod failures;
mod faults;
mod issuers;
mod kinds;
mod offboarding;
mod quota;
mod undeployed;

const TENANTS: &str = "/admin/tenants";
const NOTE: &str = "/collections/notes/records/welcome";

async fn operator(api: &Api) -> Caller<'_> {
    api.caller("operator").await
}

/// Onboards a tenant, and returns its id.
async fn onboard(operator: &Caller<'_>, body: &Value) -> String {
    let created = operator.post(TENANTS, body).await.expect(201);
    let tenant = created.json();
    assert_eq!((&tenant["status"], tenant.get("change")), (&json!("active"), None));
    let id = tenant["id"].as_str().unwrap().to_owned();
    assert_eq!(created.header("location"), format!("/v1{TENANTS}/{id}"));
    id
}

async fn act(operator: &Caller<'_>, id: &str, action: &str) -> Response {
    operator.post(&format!("{TENANTS}/{id}/{action}"), &json!({"reason": "because"})).await
}

/// Begins to offboard a tenant, which has no API key of its own then.
async fn offboard(operator: &Caller<'_>, id: &str) {
    let begun = operator.delete(&format!("{TENANTS}/{id}")).await.expect(202).json();
    assert_eq!((&begun["status"], &begun["change"]), (&json!("offboarding"), &json!("offboard")));
    assert_eq!(begun.get("failure"), None);
}

#[tokio::test]
async fn a_tenant_lives_its_whole_life() {
    let api = Api::start().await;
    let operator = operator(&api).await;
    let id = onboard(&operator, &json!({"name": "Initech", "plan": "free", "labels": {"region": "eu"}})).await;
    let path = format!("{TENANTS}/{id}");
    let initech = api.caller(&id).await;
    initech.put(NOTE, &json!({"data": {"n": 1}})).await.expect(201);

    // Another plan, with the token that is out already.
    let moved = operator.patch(&path, &json!({"plan": "pro", "labels": {"region": null}})).await.expect(200).json();
    assert_eq!((&moved["plan"], &moved["labels"]), (&json!("pro"), &json!({})));
    for _ in 0..30 {
        initech.get(NOTE).await.expect(200);
    }

    let suspended = act(&operator, &id, "suspend").await.expect(200).json();
    assert_eq!((&suspended["status"], &suspended["reason"]), (&json!("suspended"), &json!("because")));
    initech.get(NOTE).await.expect_problem(403, "plan_missing");
    act(&operator, &id, "resume").await.expect(200);
    initech.get(NOTE).await.expect(200);

    let exported = operator.get(&format!("{path}/export")).await.expect(200);
    assert_eq!(exported.header("content-type"), "text/plain; charset=utf-8");
    assert!(exported.text.contains(r#""data":{"n":1}}"#) && exported.text.ends_with('\n'), "{}", exported.text);

    offboard(&operator, &id).await;
    initech.get(NOTE).await.expect_problem(403, "plan_missing");
    api.finish_offboarding(&id).await;
    let gone = operator.get(&path).await.expect(200).json();
    assert_eq!((&gone["status"], &gone["purged"]), (&json!("offboarded"), &json!(2)), "a record and its collection");
    operator.delete(&path).await.expect(202);
    for action in ["suspend", "resume"] {
        let rejected = act(&operator, &id, action).await.expect_problem(409, "change_not_allowed");
        assert_eq!(rejected.header("retry-after"), "", "a retry is of no use");
    }
    operator.patch(&path, &json!({"name": "Other"})).await.expect_problem(409, "change_not_allowed");
    // The name may be given again, the id may not.
    operator
        .post(TENANTS, &json!({"id": id, "name": "Other", "plan": "free"}))
        .await
        .expect_problem(409, "tenant_exists");
    onboard(&operator, &json!({"name": "initech", "plan": "free"})).await;
    api.shutdown().await;
}

#[tokio::test]
async fn a_suspended_tenant_is_cut_off_within_a_second() {
    let api = Api::start().await;
    let operator = operator(&api).await;
    let id = onboard(&operator, &json!({"name": "Initech", "plan": "pro"})).await;
    let initech = api.caller(&id).await;
    initech.get(NOTE).await.expect(404);
    act(&operator, &id, "suspend").await.expect(200);
    let suspended_at = Instant::now();
    initech.get(NOTE).await.expect_problem(403, "plan_missing");
    assert!(suspended_at.elapsed() < Duration::from_secs(1), "{:?}", suspended_at.elapsed());
    assert_eq!(api.invocations("authorizer").await, 2, "its authorizer result is the cached one");
    api.shutdown().await;
}

#[tokio::test]
async fn tenants_are_listed_by_page_plan_and_status() {
    let api = Api::start_with(|options| options.seed = false).await;
    let operator = operator(&api).await;
    assert_eq!(operator.get(TENANTS).await.expect(200).json(), json!({"items": [], "next": null}));
    for n in 0..5 {
        let plan = if n % 2 == 0 { "free" } else { "pro" };
        onboard(&operator, &json!({"name": format!("Tenant {n}"), "plan": plan})).await;
    }
    let names = |page: &Response| -> Vec<String> {
        let page = page.json();
        page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    };
    let first = operator.get(&format!("{TENANTS}?limit=3")).await.expect(200);
    let next = first.header("link").split(['<', '>']).nth(1).unwrap().to_owned();
    let second = operator.follow(&next).await.expect(200);
    assert_eq!([names(&first), names(&second)].concat(), ["Tenant 0", "Tenant 1", "Tenant 2", "Tenant 3", "Tenant 4"]);
    assert_eq!(names(&operator.get(&format!("{TENANTS}?plan=pro")).await), ["Tenant 1", "Tenant 3"]);
    let id = first.json()["items"][0]["id"].as_str().unwrap().to_owned();
    act(&operator, &id, "suspend").await.expect(200);
    assert_eq!(names(&operator.get(&format!("{TENANTS}?status=suspended")).await), ["Tenant 0"]);
    assert_eq!(names(&operator.get(&format!("{TENANTS}?status=active&plan=free")).await), ["Tenant 2", "Tenant 4"]);
    operator.get(&format!("{TENANTS}?status=fine")).await.expect_problem(400, "invalid_parameter");
    operator.get(&format!("{TENANTS}?plan=gold")).await.expect_problem(400, "unknown_plan");
    api.shutdown().await;
}

#[tokio::test]
async fn bad_input_is_reported_and_leaves_nothing() {
    let api = Api::start_with(|options| options.seed = false).await;
    let operator = operator(&api).await;
    for (body, status, code) in [
        (json!({"plan": "free"}), 400, "invalid_body"),
        (json!({"name": "A"}), 400, "invalid_body"),
        (json!({"name": "", "plan": "free"}), 400, "invalid_body"),
        (json!({"name": "A\n", "plan": "free"}), 400, "invalid_body"),
        (json!({"name": "A", "plan": "gold"}), 400, "unknown_plan"),
        (json!({"name": "A", "plan": "free", "issuers": ["http://a.example"]}), 400, "invalid_issuer"),
        (json!({"name": "A", "plan": "free", "issuers": "https://a.example"}), 400, "invalid_body"),
        (json!({"name": "A", "plan": "free", "labels": {"a": 1}}), 400, "invalid_body"),
        (json!({"name": "A", "plan": "free", "key": "shared"}), 400, "invalid_body"),
        (json!({"name": "A", "plan": "free", "id": "acme"}), 400, "invalid_body"),
        (json!({"name": "A", "plan": "free", "tenant": "x"}), 400, "invalid_body"),
    ] {
        operator.post(TENANTS, &body).await.expect_problem(status, code);
    }
    assert_eq!(operator.get(TENANTS).await.json()["items"], json!([]));
    assert_eq!(api.api_gateway.calls(), []);

    onboard(&operator, &json!({"name": "Initech", "plan": "free"})).await;
    let other = onboard(&operator, &json!({"name": "Other", "plan": "free"})).await;
    operator.post(TENANTS, &json!({"name": "INITECH", "plan": "free"})).await.expect_problem(409, "tenant_exists");
    let path = format!("{TENANTS}/{other}");
    operator.patch(&path, &json!({"name": "Initech"})).await.expect_problem(409, "tenant_exists");
    operator.patch(&path, &json!({"name": "OTHER"})).await.expect(200);
    for path in ["/admin/tenants/01K0N1TECH0000000000000000", "/admin/tenants/nobody"] {
        operator.get(path).await.expect_problem(404, "tenant_not_found");
        operator.delete(path).await.expect_problem(404, "tenant_not_found");
    }
    api.shutdown().await;
}

#[tokio::test]
async fn tenants_and_operators_keep_to_their_own_routes() {
    let api = Api::start().await;
    let operator = operator(&api).await;
    operator.get("/collections").await.expect_problem(403, "insufficient_scope");
    let globex = api.caller_with("globex", &[("scope", "records:read")]).await;
    globex.get(TENANTS).await.expect_problem(403, "insufficient_scope");
    globex.post(TENANTS, &json!({"name": "A", "plan": "free"})).await.expect_problem(403, "insufficient_scope");
    api.caller_of(None).get(TENANTS).await.expect_problem(401, "unauthorized");
    api.shutdown().await;
}

#[tokio::test]
async fn pooled_tenants_share_api_keys_and_are_cut_off_by_the_authorizer() {
    let api = Api::start().await;
    let operator = operator(&api).await;
    let id = onboard(&operator, &json!({"name": "Small", "plan": "free", "key": "pooled"})).await;
    let small = api.caller(&id).await;
    small.get(NOTE).await.expect(404);
    operator.patch(&format!("{TENANTS}/{id}"), &json!({"plan": "pro"})).await.expect(200);
    act(&operator, &id, "suspend").await.expect(200);
    // A token without a cached authorizer result. A warm authorizer may cache the row for a minute.
    api.local.functions().kill("authorizer");
    api.caller_with(&id, &[("scope", "records:read")]).await.get(NOTE).await.expect_problem(403, "tenant_suspended");
    operator.delete(&format!("{TENANTS}/{id}")).await.expect(202);
    api.shutdown().await;
}

#[tokio::test]
async fn an_export_holds_every_record_of_every_collection() {
    let api = Api::start().await;
    let operator = operator(&api).await;
    let globex = api.caller("globex").await;
    let mut written = Vec::new();
    for collection in ["a", "b", "empty", "z"] {
        for n in 0..if collection == "b" { 103 } else { 2 } {
            let path = format!("/collections/{collection}/records/r{n:03}");
            let record = globex.put(&path, &json!({"data": {"n": n}})).await.expect(201);
            if collection == "empty" {
                globex.delete(&path).await.expect(204);
            } else {
                written.push(record.json());
            }
        }
    }
    let mut exported = Vec::new();
    let mut next = Some(format!("/v1{TENANTS}/{}/export", local::seed::DEMO[1].id));
    while let Some(path) = next {
        let page = operator.follow(&path).await.expect(200);
        exported.extend(page.text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
        next = page.header("link").split(['<', '>']).nth(1).map(ToOwned::to_owned);
    }
    assert_eq!(exported, written);
    operator
        .get(&format!("{TENANTS}/{}/export?cursor=junk", local::seed::DEMO[1].id))
        .await
        .expect_problem(400, "invalid_cursor");
    api.shutdown().await;
}

#[tokio::test]
async fn an_export_has_the_media_type_that_the_client_accepts() {
    let api = Api::start().await;
    let operator = operator(&api).await;
    let globex = api.caller("globex").await;
    let record = globex.put(NOTE, &json!({"data": {"name": "Zoë"}})).await.expect(201).text;
    let path = format!("{TENANTS}/{}/export", local::seed::DEMO[1].id);
    let plain = "text/plain; charset=utf-8";
    for (accept, media_type) in [
        ("*/*", plain),
        ("text/plain, application/jsonl, application/problem+json", plain),
        ("application/jsonl", "application/jsonl"),
        ("application/jsonl, */*;q=0.1", "application/jsonl"),
        // A client that accepts another type always got this.
        ("application/problem+json", plain),
        ("application/json", plain),
    ] {
        let page = operator.call("GET", &path).header("accept", accept).send().await.expect(200);
        assert_eq!((page.header("content-type"), page.header("vary")), (media_type, "Accept"), "{accept}");
        assert_eq!(page.text, format!("{record}\n"));
    }
    api.shutdown().await;
}

#[tokio::test]
async fn a_patch_merges_labels_and_removes_what_is_null() {
    let api = Api::start_with(|options| options.seed = false).await;
    let operator = operator(&api).await;
    let labels = json!({"region": "eu", "tier": "gold"});
    let issuer = json!({"issuer": "https://login.example", "audiences": ["api"]});
    let tenant = json!({"name": "Initech", "plan": "free", "labels": labels, "issuers": [issuer]});
    let path = format!("{TENANTS}/{}", onboard(&operator, &tenant).await);
    for (patch, expected) in [
        (json!({"name": "Initrode"}), labels.clone()),
        (json!({"labels": {}}), labels),
        (json!({"labels": {"region": "us"}}), json!({"region": "us", "tier": "gold"})),
        (json!({"labels": {"tier": null, "owner": "Zoë", "other": null}}), json!({"region": "us", "owner": "Zoë"})),
        (json!({"labels": null}), json!({})),
    ] {
        let changed = operator.patch(&path, &patch).await.expect(200).json();
        assert_eq!(changed["labels"], expected, "{patch}");
        assert_eq!(operator.get(&path).await.json()["labels"], expected, "{patch}");
    }
    for labels in [json!({"a": 1}), json!({"a": ""}), json!({"": "a"}), json!({"": null}), json!(["a"]), json!("a")] {
        operator.patch(&path, &json!({"labels": labels})).await.expect_problem(400, "invalid_body");
    }
    let without = operator.patch(&path, &json!({"issuers": null})).await.expect(200).json();
    assert_eq!(without["issuers"], json!([]));
    for member in ["name", "plan"] {
        operator.patch(&path, &json!({(member): null})).await.expect_problem(400, "invalid_body");
    }
    api.shutdown().await;
}

#[tokio::test]
async fn the_demo_tenants_are_onboarded_by_the_function_and_left_alone_later() {
    let folder = tempfile::tempdir().unwrap();
    let data = local::Data::Folder(folder.path().join("data"));
    let [acme, globex] = local::seed::DEMO.map(|tenant| tenant.id);
    let api = Api::start_with(|options| options.data = data.clone()).await;
    assert_eq!(api.invocations("tenants").await, 2);
    let operator = api.caller("operator").await;
    act(&operator, acme, "suspend").await.expect(200);
    operator.patch(&format!("{TENANTS}/{globex}"), &json!({"plan": "standard"})).await.expect(200);
    api.local.keys().remove(globex);
    api.shutdown().await;

    let api = Api::start_with(|options| options.data = data.clone()).await;
    assert_eq!(api.invocations("tenants").await, 0);
    api.caller("acme").await.get(NOTE).await.expect_problem(403, "tenant_suspended");
    api.caller("globex").await.get(NOTE).await.expect(404);
    let key = api.local.keys().list().into_iter().find(|key| key.value == globex).unwrap();
    assert_eq!(key.plan.as_deref(), Some("standard"), "a key that was lost is made again");
    api.shutdown().await;
}
