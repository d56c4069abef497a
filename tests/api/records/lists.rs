//! Lists, page by page.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{GLOBEX_ID, globex};
use crate::support::{Api, Caller, Response};

const LIST: &str = "/collections/notes/records";

fn ids(page: &Response) -> Vec<String> {
    let page = page.json();
    page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

/// The pages from this one on, by their links.
async fn follow(caller: &Caller<'_>, first: Response) -> Vec<Response> {
    let mut pages = vec![first];
    loop {
        let last = pages.last().unwrap();
        let link = last.header("link").to_owned();
        let next = last.json()["next"].clone();
        assert_eq!(link.is_empty(), next.is_null());
        let Some(target) = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")) else {
            return pages;
        };
        assert!(target.contains(&format!("cursor={}", next.as_str().unwrap())));
        pages.push(caller.follow(target).await.expect(200));
        assert!(pages.len() < 100, "the list does not end");
    }
}

async fn fill(caller: &Caller<'_>, count: usize) -> Vec<String> {
    let mut ids: Vec<String> = (0..count).map(|n| format!("r{n:02}")).collect();
    ids.push("A".into());
    ids.push("~".into());
    for id in &ids {
        caller.put(&format!("{LIST}/{id}"), &json!({"data": {"id": id}})).await.expect(201);
    }
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn pages_hold_every_record_once_in_both_directions() {
    let api = Api::start().await;
    let globex = globex(&api).await;
    assert_eq!(globex.get(LIST).await.expect(200).json(), json!({"items": [], "next": null}));
    let mut expected = fill(&globex, 28).await;
    assert_eq!(ids(&globex.get(LIST).await.expect(200)).len(), 25, "the default");
    for order in ["asc", "desc"] {
        for limit in [1, 7, 10, 15, 29, 30, 31, 100] {
            let first = globex.get(&format!("{LIST}?limit={limit}&order={order}&consistent=true")).await.expect(200);
            let pages = follow(&globex, first).await;
            assert_eq!(pages.len(), expected.len().div_ceil(limit), "no page is empty");
            assert!(pages.iter().all(|page| ids(page).len() <= limit));
            let found: Vec<String> = pages.iter().flat_map(ids).collect();
            assert_eq!(found, expected, "{order}, {limit} a page");
        }
        expected.reverse();
    }
    api.shutdown().await;
}

#[tokio::test]
async fn a_page_ends_where_the_table_stops_reading() {
    let api = Api::start().await;
    let globex = globex(&api).await;
    let text = "x".repeat(340 * 1024);
    for n in 0..7 {
        globex.put(&format!("{LIST}/r{n}"), &json!({"data": {"text": text}})).await.expect(201);
    }
    let pages = follow(&globex, globex.get(&format!("{LIST}?limit=100")).await.expect(200)).await;
    assert!(pages.len() > 2, "a megabyte a page");
    let found: Vec<String> = pages.iter().flat_map(ids).collect();
    assert_eq!(found, ["r0", "r1", "r2", "r3", "r4", "r5", "r6"]);
    api.shutdown().await;
}

#[tokio::test]
async fn a_cursor_is_good_for_its_list_only() {
    let api = Api::start().await;
    let globex = globex(&api).await;
    fill(&globex, 3).await;
    globex.put("/collections/other/records/r00", &json!({"data": {}})).await.expect(201);
    let cursor = globex.get(&format!("{LIST}?limit=1")).await.json()["next"].as_str().unwrap().to_owned();
    globex.get(&format!("{LIST}?limit=2&cursor={cursor}")).await.expect(200);
    let acme = api.caller("acme").await;
    for response in [
        acme.get(&format!("{LIST}?cursor={cursor}")).await,
        globex.get(&format!("{LIST}?cursor={cursor}&order=desc")).await,
        globex.get(&format!("/collections/other/records?cursor={cursor}")).await,
        globex.get(&format!("/collections?cursor={cursor}")).await,
        globex.get(&format!("{LIST}?cursor={}", &cursor[1..])).await,
        globex.get(&format!("{LIST}?cursor={cursor}A")).await,
    ] {
        response.expect_problem(400, "invalid_cursor");
    }
    api.shutdown().await;
}

/// A cursor for the page after this key, made by somebody who has read the source.
fn forged(partition: &str, last: &str) -> String {
    let mut hash = Sha256::new();
    for part in [partition, "asc", last] {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    URL_SAFE_NO_PAD.encode([&hash.finalize()[..9], last.as_bytes()].concat())
}

/// DynamoDB rejects a primary key that is empty or too long as malformed, which is not a fault of the service.
#[tokio::test]
async fn a_forged_cursor_is_rejected_unless_its_primary_key_can_exist() {
    let api = Api::start().await;
    let (globex, operator) = (globex(&api).await, api.caller("operator").await);
    let mine = |rest: &str| format!("T#{GLOBEX_ID}#{rest}");
    let export = format!("/admin/tenants/{GLOBEX_ID}/export");
    globex.put(&format!("{LIST}/a"), &json!({"data": {}})).await.expect(201);
    for (caller, path, partition, end) in [
        (&globex, LIST, mine("R#notes"), ""),
        (&globex, "/collections", mine("COLLECTIONS"), ""),
        (&globex, "/tokens", mine("TOKENS"), ""),
        (&operator, "/admin/tenants", "TENANT".to_owned(), ""),
        (&operator, "/admin/usage", "TENANT".to_owned(), ""),
        (&operator, &export, mine("COLLECTIONS"), "."),
    ] {
        let get = |last: &str| {
            let cursor = forged(&partition, last);
            caller.call("GET", &format!("{path}?cursor={cursor}{end}")).send()
        };
        get("x").await.expect(200);
        get(&"x".repeat(1024)).await.expect(200);
        get("").await.expect_problem(400, "invalid_cursor");
        get(&"x".repeat(1025)).await.expect_problem(400, "invalid_cursor");
    }
    let after = format!(".{}", forged(&mine("R#notes"), ""));
    operator.get(&format!("{export}?cursor={after}")).await.expect_problem(400, "invalid_cursor");
    api.shutdown().await;
}

#[tokio::test]
async fn a_list_holds_whole_records() {
    let api = Api::start().await;
    let globex = globex(&api).await;
    let created = globex.put(&format!("{LIST}/one"), &json!({"data": {"a": 1}})).await.expect(201);
    let listed = globex.get(LIST).await.expect(200).json();
    assert_eq!(listed, json!({"items": [created.json()], "next": Value::Null}));
    api.shutdown().await;
}
