//! An authorizer that does what the token tells it to: `Bearer <what>.<key>`, with the API key to return.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), Error> {
    lambda_runtime::run(service_fn(authorize)).await
}

async fn authorize(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let token = event.payload["authorizationToken"].as_str().unwrap_or_default();
    let (what, key) = token.trim_start_matches("Bearer ").split_once('.').unwrap_or_default();
    // `arn:aws:execute-api:<region>:<account>:<api>/<stage>/<method>/<path>`
    let arn = event.payload["methodArn"].as_str().unwrap_or_default();
    let stage = arn.splitn(3, '/').take(2).collect::<Vec<_>>().join("/");
    let statement = |effect: &str, resource: &str| {
        let resource = format!("{stage}/{resource}");
        json!({ "Action": "execute-api:Invoke", "Effect": effect, "Resource": resource })
    };
    let policy = |statements: Value| {
        json!({
            "principalId": what,
            "policyDocument": { "Version": "2012-10-17", "Statement": statements },
            "context": { "reason": "told_so" },
            "usageIdentifierKey": key,
        })
    };
    let allow = || policy(json!([statement("Allow", "*")]));
    let with = |member: &str, value: Value| {
        let mut response = allow();
        response[member] = value;
        response
    };
    match what {
        "allow" => Ok(allow()),
        "allow-get" => Ok(policy(json!([statement("Allow", "GET/guarded/*")]))),
        "deny-delete" => Ok(policy(json!([statement("Allow", "*"), statement("Deny", "DELETE/*")]))),
        "no-key" => Ok(with("usageIdentifierKey", Value::Null)),
        "context" => Ok(with("context", json!({ "text": "a", "number": 1.5, "truth": true }))),
        "nested-context" => Ok(with("context", json!({ "nested": { "a": 1 } }))),
        "condition" => {
            let mut conditional = statement("Allow", "*");
            conditional["Condition"] = json!({ "IpAddress": { "aws:SourceIp": "10.0.0.0/8" } });
            Ok(policy(json!([conditional])))
        }
        "nonsense" => Ok(json!("yes")),
        "unauthorized" => Err("Unauthorized".into()),
        "exit" => std::process::exit(3),
        "hang" => std::future::pending().await,
        unknown => Err(format!("cannot {unknown}").into()),
    }
}
