//! `/collections`.

use serde_json::json;

use crate::support::{Api, Response};

fn names(page: &Response) -> Vec<String> {
    let page = page.json();
    page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_collection_is_listed_from_its_first_record_on() {
    let api = Api::start().await;
    let globex = api.caller("globex").await;
    assert_eq!(globex.get("/collections").await.expect(200).json(), json!({"items": [], "next": null}));
    for name in ["notes", "a", "z-9_"] {
        globex.put(&format!("/collections/{name}/records/x"), &json!({"data": {}})).await.expect(201);
    }
    globex.post("/collections/posted/records", &json!({"data": {}})).await.expect(201);
    assert_eq!(names(&globex.get("/collections").await.expect(200)), ["a", "notes", "posted", "z-9_"]);
    assert_eq!(names(&globex.get("/collections?order=desc").await), ["z-9_", "posted", "notes", "a"]);

    globex.delete("/collections/a/records/x").await.expect(204);
    assert_eq!(names(&globex.get("/collections").await).len(), 4, "it stays when it is emptied");

    let first = globex.get("/collections?limit=3").await.expect(200);
    let next = first.json()["next"].as_str().unwrap().to_owned();
    let second = globex.get(&format!("/collections?limit=3&cursor={next}")).await.expect(200);
    assert_eq!((names(&first).len(), names(&second)), (3, vec!["z-9_".to_owned()]));
    assert_eq!(second.json()["next"], json!(null));
    api.caller("acme").await.get(&format!("/collections?cursor={next}")).await.expect_problem(400, "invalid_cursor");
    api.shutdown().await;
}

#[tokio::test]
async fn a_rejected_write_creates_no_collection() {
    let api = Api::start().await;
    let globex = api.caller("globex").await;
    let path = "/collections/never/records/x";
    globex.put(path, &json!({"data": []})).await.expect(400);
    globex.patch(path, &json!({"data": {}})).await.expect(404);
    globex.delete(path).await.expect(404);
    globex.call("PUT", path).json(&json!({"data": {}})).header("if-match", "*").send().await.expect(412);
    assert_eq!(names(&globex.get("/collections?consistent=true").await), [""; 0]);
    api.shutdown().await;
}
