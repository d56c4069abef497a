//! The base for business functions: kinds of items, as a function serves them over HTTP.

mod function;
mod model;
mod numbers;

use aws_sdk_dynamodb::types::AttributeValue::{N, S};
use serde_json::json;

use crate::support::overwrite;
use function::{ACME, Function, Request};

const OTHER: &str = "01K0P0THER0000000000000000";

fn ticket(owner: &str) -> Request {
    Request::new("POST", "/tickets").body(json!({ "owner": owner }))
}

fn label(id: &str, color: &str, weight: i64) -> Request {
    Request::new("PUT", "/labels/{id}").id(id).body(json!({ "color": color, "weight": weight }))
}

#[tokio::test]
async fn an_item_is_created_read_changed_and_deleted() {
    let function = Function::start().await;
    let created = function.send(&ticket("ann")).await;
    let body = created.expect(201);
    assert_eq!((&body["id"], &body["owner"], &body["closed"]), (&json!(1), &json!("ann"), &json!(false)));
    assert_eq!(created.header("location"), "/probe/tickets/1");
    assert_eq!(created.header("etag"), format!("\"{}\"", body["version"]));

    let get = Request::new("GET", "/tickets/{id}").id(1);
    assert_eq!(function.send(&get).await.expect(200), body);
    let unchanged = function.send(&get.clone().header("If-None-Match", created.header("etag"))).await;
    assert_eq!((unchanged.status, unchanged.body.as_str()), (304, ""));
    assert_eq!(function.send(&get.clone().query("consistent", true)).await.expect(200), body);

    let close = Request::new("POST", "/tickets/{id}/close").id(1);
    function.send(&close.clone().header("If-Match", "\"1\"")).await.expect_problem(412, "precondition_failed");
    let closed = function.send(&close.clone().header("If-Match", created.header("etag"))).await;
    assert_eq!(closed.expect(200)["closed"], true);
    assert_eq!(closed.expect(200)["createdAt"], body["createdAt"]);
    assert_ne!(closed.header("etag"), created.header("etag"));
    function.send(&close).await.expect_problem(409, "probe_closed");

    let delete = Request::new("DELETE", "/tickets/{id}").id(1);
    function
        .send(&delete.clone().header("If-Match", created.header("etag")))
        .await
        .expect_problem(412, "precondition_failed");
    assert_eq!(function.send(&delete).await.status, 204);
    for gone in [&get, &delete, &close] {
        function.send(gone).await.expect_problem(404, "probe_not_found");
    }
    // The number of a deleted item is not used again.
    assert_eq!(function.send(&ticket("ben")).await.expect(201)["id"], 2);
    function.0.shutdown().await;
}

#[tokio::test]
async fn an_item_belongs_to_its_tenant_and_needs_the_scope_of_its_kind() {
    let function = Function::start().await;
    function.send(&ticket("ann")).await.expect(201);
    let get = Request::new("GET", "/tickets/{id}").id(1);
    let absent = function.send(&get.clone().id(2)).await;
    let other = function.send(&get.clone().tenant(OTHER)).await;
    assert_eq!(other, absent);
    assert_eq!(function.list(&Request::new("GET", "/tickets").tenant(OTHER)).await.0, [json!(null); 0]);
    // Each tenant has numbers of its own.
    assert_eq!(function.send(&ticket("zoe").tenant(OTHER)).await.expect(201)["id"], 1);
    for (request, scopes) in
        [(get, "probe:write"), (ticket("ann"), "probe:read"), (Request::new("GET", "/tickets"), "records:read")]
    {
        function.send(&request.scopes(scopes)).await.expect_problem(403, "insufficient_scope");
    }
    function.0.shutdown().await;
}

#[tokio::test]
async fn an_invalid_request_is_rejected_before_anything_is_written() {
    let function = Function::start().await;
    let problem = function.send(&ticket("")).await.expect_problem(400, "invalid_body");
    assert_eq!(problem["errors"], json!([{ "pointer": "#/owner", "detail": "expected 1 to 20 characters" }]));
    function.send(&ticket("ann").query("x", 1)).await.expect_problem(400, "invalid_parameter");
    for id in ["0", "01", "x", "9007199254740992"] {
        let get = Request::new("GET", "/tickets/{id}").id(id);
        function.send(&get).await.expect_problem(400, "invalid_parameter");
    }
    let both = Request::new("GET", "/tickets").query("owner", "ann").query("color", "red");
    function.send(&both).await.expect_problem(400, "invalid_parameter");
    assert_eq!(function.list(&Request::new("GET", "/tickets")).await.0, [json!(null); 0]);
    function.0.shutdown().await;
}

#[tokio::test]
async fn a_cursor_belongs_to_a_kind_an_index_key_and_a_tenant() {
    let function = Function::start().await;
    for n in 0..3 {
        function.send(&ticket("ann")).await.expect(201);
        function.send(&ticket("ann").tenant(OTHER)).await.expect(201);
        function.send(&label(&format!("l{n}"), "ann", 1)).await.expect(201);
    }
    let tickets = Request::new("GET", "/tickets").query("limit", 1);
    let page = function.send(&tickets).await.expect(200);
    let cursor = page["next"].as_str().unwrap();
    function.send(&tickets.clone().query("cursor", cursor)).await.expect(200);
    for list in [
        tickets.clone().tenant(OTHER),
        tickets.clone().query("order", "desc"),
        tickets.query("owner", "ann"),
        Request::new("GET", "/labels"),
    ] {
        function.send(&list.query("cursor", cursor)).await.expect_problem(400, "invalid_cursor");
    }
    function.0.shutdown().await;
}

#[tokio::test]
async fn the_key_of_an_index_is_a_whole_key() {
    let function = Function::start().await;
    for (n, color) in ["red", "red#1", "re", "r%d", "r%25d", "red\u{7f}", "rot ü"].into_iter().enumerate() {
        function.send(&label(&format!("l{n}"), color, 1)).await.expect(201);
    }
    for (n, color) in ["red", "red#1", "re", "r%d", "r%25d", "red\u{7f}", "rot ü"].into_iter().enumerate() {
        let list = Request::new("GET", "/labels").query("color", color).query("limit", 1);
        let (found, pages) = function.list(&list).await;
        let ids: Vec<_> = found.iter().map(|label| label["id"].as_str().unwrap()).collect();
        assert_eq!((ids, pages), (vec![format!("l{n}").as_str()], 1), "{color}");
    }
    function.0.shutdown().await;
}

#[tokio::test]
async fn a_key_that_no_sort_key_can_contain_is_rejected_in_a_write_and_lists_nothing() {
    let function = Function::start().await;
    for (color, status) in
        [("x".repeat(512), 201), ("x".repeat(513), 400), ("#".repeat(171), 400), ("x".repeat(2000), 400)]
    {
        let id = format!("l{}", color.len());
        assert_eq!(function.send(&label(&id, &color, 1)).await.status, status, "{}", color.len());
        let listed = function.list(&Request::new("GET", "/labels").query("color", &color)).await.0;
        assert_eq!(listed.len(), usize::from(status == 201), "{}", color.len());
    }
    function.0.shutdown().await;
}

#[tokio::test]
async fn the_link_to_the_next_page_of_an_index_has_its_key_encoded() {
    let function = Function::start().await;
    for id in ["a", "b"] {
        function.send(&label(id, "Söhne & Co=%", 1)).await.expect(201);
    }
    let list = Request::new("GET", "/labels").query("color", "Söhne & Co=%").query("limit", 1);
    let page = function.send(&list).await;
    let next = page.expect(200)["next"].as_str().unwrap().to_owned();
    let link = format!("</probe/labels?color=S%C3%B6hne%20%26%20Co%3D%25&limit=1&cursor={next}>; rel=\"next\"");
    assert_eq!(page.header("link"), link);
    function.0.shutdown().await;
}

#[tokio::test]
async fn an_expired_item_counts_as_absent_whether_dynamodb_has_removed_it_or_not() {
    let function = Function::start().await;
    let mut body = json!({ "color": "red", "weight": 1, "endsAt": "2099-12-31T23:59:59Z" });
    let put = Request::new("PUT", "/labels/{id}").id("a");
    let created = function.send(&put.clone().body(body.clone())).await.expect(201);
    assert_eq!(created["expiresAt"], "2099-12-31T23:59:59Z");
    // A value that has expired when it is written is never seen.
    body["endsAt"] = "2020-01-01T00:00:00Z".into();
    function.send(&put.clone().body(body.clone())).await.expect(200);
    function.send(&Request::new("GET", "/labels/{id}").id("a")).await.expect_problem(404, "probe_not_found");
    for list in [Request::new("GET", "/labels"), Request::new("GET", "/labels").query("color", "red")] {
        assert_eq!(function.list(&list).await.0, [json!(null); 0]);
    }
    // Its id can be used again, and the entry of its index that is left over leads nowhere.
    let reused = label("a", "blue", 2).header("If-None-Match", "*");
    let reused = function.send(&reused).await.expect(201);
    assert!(reused["version"].as_u64() > created["version"].as_u64());
    assert_eq!(function.list(&Request::new("GET", "/labels").query("color", "red")).await.0, [json!(null); 0]);
    assert_eq!(function.list(&Request::new("GET", "/labels").query("color", "blue")).await.0, [reused]);
    function.0.shutdown().await;
}

#[tokio::test]
async fn several_items_change_together_or_not_at_all() {
    let function = Function::start().await;
    for id in ["a", "b"] {
        function.send(&label(id, "red", 10)).await.expect(201);
    }
    let shift = |from: &str, to: &str, weight: i64| {
        Request::new("POST", "/labels/{id}/move").id(from).body(json!({ "to": to, "weight": weight }))
    };
    function.send(&shift("a", "b", 11)).await.expect_problem(409, "probe_too_light");
    function.send(&shift("a", "c", 1)).await.expect_problem(404, "probe_not_found");
    let keyed = shift("a", "b", 4).header("Idempotency-Key", "move-1");
    let first = function.send(&keyed).await;
    assert_eq!(first.expect(200)["id"], 1);
    let replay = function.send(&keyed).await;
    assert_eq!((replay.body.as_str(), replay.header("idempotent-replayed")), (first.body.as_str(), "true"));
    let (labels, _) = function.list(&Request::new("GET", "/labels")).await;
    assert_eq!(labels.iter().map(|label| label["weight"].as_i64().unwrap()).collect::<Vec<_>>(), [6, 14]);

    // Many moves at once lose no weight, and each that succeeds has one ticket.
    let shifts: Vec<_> = (0..24).map(|n| if n % 3 == 0 { shift("a", "b", 1) } else { shift("b", "a", 1) }).collect();
    let moves = futures_util::future::join_all(shifts.iter().map(|shift| function.send(shift))).await;
    let done = moves.iter().filter(|response| response.status == 200).count();
    assert!(moves.iter().all(|response| [200, 409].contains(&response.status)), "{moves:?}");
    assert!(done > 0);
    let (labels, _) = function.list(&Request::new("GET", "/labels")).await;
    assert_eq!(labels.iter().map(|label| label["weight"].as_i64().unwrap()).sum::<i64>(), 20);
    let (tickets, _) = function.list(&Request::new("GET", "/tickets")).await;
    let numbers: Vec<_> = tickets.iter().map(|ticket| ticket["id"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=u64::try_from(done).unwrap() + 1).collect::<Vec<_>>());
    function.0.shutdown().await;
}

#[tokio::test]
async fn no_change_is_lost_among_others_of_the_same_item() {
    let function = Function::start_with(|options| options.environments = 8).await;
    function.send(&label("a", "red", 0)).await.expect(201);
    let grow = Request::new("POST", "/labels/{id}/grow").id("a");
    let grown = futures_util::future::join_all((0..40).map(|_| function.send(&grow))).await;
    assert!(grown.iter().all(|response| [200, 409].contains(&response.status)), "{grown:?}");
    let done = grown.iter().filter(|response| response.status == 200).count();
    let grown = function.send(&Request::new("GET", "/labels/{id}").id("a").query("consistent", true)).await.expect(200);
    assert_eq!(grown["weight"], done);

    // An id is given to one of those that create an item under it.
    let create = label("b", "red", 0).header("If-None-Match", "*");
    let created = futures_util::future::join_all((0..16).map(|_| function.send(&create))).await;
    assert_eq!(created.iter().filter(|response| response.status == 201).count(), 1, "{created:?}");
    assert!(created.iter().all(|response| [201, 409, 412].contains(&response.status)), "{created:?}");
    function.0.shutdown().await;
}

#[tokio::test]
async fn an_item_of_an_older_schema_is_read_through_the_upgrade_and_one_of_a_later_schema_is_not() {
    let function = Function::start().await;
    let body = Request::new("POST", "/notes").body(json!({ "text": "new" }));
    let note = function.send(&body).await.expect(201);
    let id = note["id"].as_str().unwrap();
    let get = Request::new("GET", "/notes/{id}").id(id);
    let write = async |attribute: &str, value| {
        let key = (format!("T#{ACME}#I#notes"), format!("I#{id}"));
        overwrite(&function.0, (&key.0, &key.1), attribute, value).await;
    };
    write("data", S(r#"{"body":"old"}"#.into())).await;
    write("schema", N("1".into())).await;
    assert_eq!(function.send(&get).await.expect(200)["text"], "old");
    write("schema", N("3".into())).await;
    function.send(&get).await.expect_problem(500, "internal_error");
    function.0.shutdown().await;
}
