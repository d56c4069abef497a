//! No level of the log has a credential or a body in it, whoever writes the line: the functions, the runtime or the SDK.

use local::runtime::LogFormat;
use serde_json::{Value, json};
use testkit::attached::Attached;

use super::{LIST, NOTE, invoke};
use crate::support::Api;

/// As verbose as it gets, by every variable that is known to matter, and with credentials that are found again.
const VARIABLES: [(&str, &str); 5] = [
    ("AWS_LAMBDA_LOG_LEVEL", "TRACE"),
    ("RUST_LOG", "trace"),
    ("AWS_ACCESS_KEY_ID", "AKIATOLOOKFOR"),
    ("AWS_SECRET_ACCESS_KEY", "secret-key-to-look-for"),
    ("AWS_SESSION_TOKEN", "session-token-to-look-for"),
];
/// In every body that is sent.
const BODY: &str = "body-to-look-for";
const IDEMPOTENCY_KEY: &str = "idempotency-key-of-32-letters-to-look-for";

/// Texts that no line may contain, in lower case: headers of requests, signatures, and requests and responses of DynamoDB.
const NEVER: [&str; 14] = [
    "bearer",
    "authorization:",
    "\"authorization\"",
    "authorizationtoken",
    "aws4-hmac-sha256",
    "signature=",
    "x-amz-security-token",
    "akiatolookfor",
    "secret-key-to-look-for",
    "session-token-to-look-for",
    "tablename",
    "expressionattribute",
    "t#01k0",
    "ada@acme.example",
];

/// Uses every function, well and badly, and gives the secrets that went to and fro.
async fn use_everything(api: &Api) -> Vec<String> {
    let globex = api.caller("globex").await;
    let body = json!({"data": {"text": BODY}});
    globex.get("/health").await.expect(200);
    globex.put(NOTE, &body).await.expect(201);
    globex.call("POST", LIST).json(&body).header("idempotency-key", IDEMPOTENCY_KEY).send().await.expect(201);
    globex.get(NOTE).await.expect(200);
    globex.get(LIST).await.expect(200);
    globex.patch(NOTE, &body).await.expect(200);
    globex.put(NOTE, &json!({"data": BODY})).await.expect(400);
    let operations = json!({"operations": [{"op": "create", "collection": "notes", "data": {"text": BODY}}]});
    globex.post("/transactions", &operations).await.expect(200);
    globex.get("/usage").await.expect(200);
    let made = globex.post("/tokens", &json!({"name": BODY, "scopes": ["records:read"]})).await.expect(201).json();
    let machine_token = made["token"].as_str().unwrap().to_owned();
    api.caller_of(Some(&machine_token)).get(NOTE).await.expect(200);
    globex.delete(&format!("/tokens/{}", made["id"].as_str().unwrap())).await.expect(204);

    let operator = api.caller(local::seed::OPERATOR).await;
    let tenant = json!({"name": "Initech", "plan": "free", "labels": {"note": BODY}});
    let id = operator.post("/admin/tenants", &tenant).await.expect(201).json()["id"].as_str().unwrap().to_owned();
    let keys = format!("/admin/tenants/{id}/keys");
    let key = operator.post(&keys, &json!({})).await.expect(201).json()["key"].as_str().unwrap().to_owned();

    let expired = api.caller_with("globex", &[("expires_in", "-60")]).await;
    expired.get(NOTE).await.expect_problem(401, "unauthorized");
    assert!(serde_json::from_slice::<Value>(&invoke(api, "claims", "claims-user.json").await).is_ok());
    assert!(serde_json::from_slice::<Value>(&invoke(api, "claims", "claims-machine.json").await).is_ok());

    let mut secrets = vec![BODY.to_owned(), IDEMPOTENCY_KEY.to_owned(), machine_token, key];
    for caller in [&globex, &operator, &expired] {
        let token = caller.token.clone().unwrap();
        // A part of a token is a secret as well: its claims, and least of all its signature.
        secrets.extend(token.split('.').skip(1).map(ToOwned::to_owned));
    }
    secrets
}

#[tokio::test]
async fn no_level_writes_credentials_or_bodies() {
    for format in [LogFormat::Json, LogFormat::Text] {
        let api = Api::start_with_parameter("UserPool", "true").await;
        let mut functions = Vec::new();
        for statistics in api.local.functions().stats() {
            let attached = Attached::start_with(&api, &statistics.name, format, &VARIABLES).await;
            functions.push((statistics.name, attached));
        }
        assert_eq!(functions.len(), 8);
        let secrets = use_everything(&api).await;
        for (function, attached) in functions {
            let all = attached.everything().await;
            assert!(all.contains("INFO"), "{function} has handled nothing: {all}");
            let lower = all.to_lowercase();
            for never in NEVER {
                assert!(!lower.contains(never), "{function} wrote {never}: {all}");
            }
            for secret in &secrets {
                assert!(!all.contains(secret), "{function} wrote {secret}: {all}");
            }
        }
        api.shutdown().await;
    }
}
