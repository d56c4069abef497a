//! Tenants are isolated from each other, and each is held to its own plan.

use serde_json::json;

use crate::support::Api;

const NOTE: &str = "/collections/notes/records/welcome";

#[tokio::test]
async fn tenants_with_the_same_names_and_ids_never_see_each_other() {
    let api = Api::start().await;
    let (acme, globex) = (api.caller("acme").await, api.caller("globex").await);
    let etag = globex.put(NOTE, &json!({"data": {"of": "globex"}})).await.expect(201).header("etag").to_owned();

    // Somebody else's record is like one that is not there, to the byte.
    let foreign = acme.get(NOTE).await.expect_problem(404, "record_not_found");
    let missing = acme.get("/collections/notes/records/missing").await;
    assert_eq!(foreign.anonymous(), missing.anonymous());
    acme.patch(NOTE, &json!({"data": {"of": "acme"}})).await.expect(404);
    acme.delete(NOTE).await.expect(404);
    assert_eq!(acme.get("/collections/notes/records").await.json()["items"], json!([]));
    assert_eq!(acme.get("/collections").await.json()["items"], json!([]));

    let own = acme.call("PUT", NOTE).json(&json!({"data": {"of": "acme"}})).header("if-none-match", "*").send().await;
    assert_ne!(own.expect(201).header("etag"), etag);
    let stale = acme.call("PUT", NOTE).json(&json!({"data": {}})).header("if-match", &etag).send().await;
    stale.expect_problem(412, "precondition_failed");
    acme.delete(NOTE).await.expect(204);
    let unchanged = globex.get(NOTE).await.expect(200);
    assert_eq!((unchanged.json()["data"].clone(), unchanged.header("etag")), (json!({"of": "globex"}), &etag[..]));
    api.shutdown().await;
}

#[tokio::test]
async fn nothing_in_a_request_but_its_token_names_the_tenant() {
    let api = Api::start().await;
    let (acme, globex) = (api.caller("acme").await, api.caller("globex").await);
    globex.put(NOTE, &json!({"data": {}})).await.expect(201);
    let id = local::seed::DEMO[1].id;
    for (name, value) in [("x-tenant", id), ("x-tenant-id", id), ("x-api-key", id), ("tenant", id)] {
        acme.call("GET", NOTE).header(name, value).send().await.expect(404);
    }
    acme.get(&format!("{NOTE}?tenant={id}")).await.expect_problem(400, "invalid_parameter");
    api.shutdown().await;
}

#[tokio::test]
async fn a_free_tenant_that_fires_is_throttled_and_a_pro_tenant_is_not_touched() {
    let api = Api::start().await;
    let (acme, globex) = (api.caller("acme").await, api.caller("globex").await);
    // The tokens are authorized, and the functions are warm.
    globex.get(NOTE).await.expect(404);
    let fire = |caller: &crate::support::Caller<'_>| {
        let calls: Vec<_> = (0..30).map(|_| tokio::spawn(caller.call("GET", NOTE).send())).collect();
        async {
            let mut responses = Vec::new();
            for call in calls {
                responses.push(call.await.unwrap());
            }
            responses
        }
    };
    let (free, pro) = tokio::join!(fire(&acme), fire(&globex));
    assert!(pro.iter().all(|response| response.status == 404), "{pro:?}");
    let served = free.iter().filter(|response| response.status == 404).count();
    // The burst of 10, and 5 more for each second that it took.
    assert!((10..=20).contains(&served), "{served} served");
    for response in free.into_iter().filter(|response| response.status != 404) {
        assert_eq!(response.header("retry-after"), "1");
        response.expect_problem(429, "rate_exceeded");
    }
    api.shutdown().await;
}

#[tokio::test]
async fn a_backstop_ends_a_month_at_the_gateway() {
    let api = Api::start_with_parameter("FreeBackstop", "3").await;
    let acme = api.caller("acme").await;
    for _ in 0..3 {
        acme.get(NOTE).await.expect(404);
    }
    let rejected = acme.get(NOTE).await.expect_problem(429, "quota_exceeded");
    assert_eq!(rejected.header("retry-after"), "3600");
    api.caller("globex").await.get(NOTE).await.expect(404);
    api.shutdown().await;
}

#[tokio::test]
async fn a_disabled_api_key_cuts_a_tenant_off_at_once() {
    let api = Api::start().await;
    let globex = api.caller("globex").await;
    globex.get(NOTE).await.expect(404);
    api.local.keys().set_enabled(local::seed::DEMO[1].id, false);
    globex.get(NOTE).await.expect_problem(403, "plan_missing");
    api.shutdown().await;
}
