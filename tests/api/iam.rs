//! A function may do what its role in the template allows, and nothing else.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::json;
use service::runtime::aws;
use service::runtime::config::AwsConfig;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::support::{Api, binaries, read, workspace};

const TABLE: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/Table";

/// A folder with the contract and a template that differs from the shipped one.
struct Changed(TempDir);

impl Changed {
    /// Replaces a text, which the template has exactly once.
    fn new(before: &str, after: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let template = read("template.yaml");
        assert_eq!(template.matches(before).count(), 1, "{before}");
        fs::write(folder.path().join("template.yaml"), template.replace(before, after)).unwrap();
        fs::copy(workspace().join(contract::FILE), folder.path().join(contract::FILE)).unwrap();
        Self(folder)
    }

    fn template(&self) -> PathBuf {
        self.0.path().join("template.yaml")
    }
}

/// The statement `UseRecords` of **records** without `GetItem`.
fn without_get() -> Changed {
    let actions = |get: &str| {
        format!(
            "                - dynamodb:DeleteItem\n{get}                - dynamodb:PutItem\n                - dynamodb:Query\n"
        )
    };
    Changed::new(&actions("                - dynamodb:GetItem\n"), &actions(""))
}

#[tokio::test]
async fn a_call_without_permission_is_denied_and_the_statement_named() {
    let changed = without_get();
    let api = Api::start_with(|options| options.template = changed.template()).await;
    let acme = api.caller("acme").await;
    let record = json!({ "data": { "text": "Hello" } });
    let created = acme.post("/collections/notes/records", &record).await.expect(201);
    assert_eq!(api.local.denials(), [], "the other actions are still allowed");
    acme.get(&format!("/collections/notes/records/{}", created.json()["id"].as_str().unwrap())).await.expect(500);
    let denials = api.local.denials();
    let denial = &denials[0];
    assert_eq!((denial.function.as_str(), denial.action.as_str()), ("records", "dynamodb:GetItem"));
    assert_eq!(denial.resource, TABLE);
    assert!(denial.context.starts_with("dynamodb:LeadingKeys=[T#"), "{}", denial.context);
    api.shutdown().await;
}

#[tokio::test]
async fn without_iam_the_same_call_is_allowed() {
    let changed = without_get();
    let api = Api::start_with(|options| {
        options.template = changed.template();
        options.iam = false;
    })
    .await;
    let acme = api.caller("acme").await;
    let record = json!({ "data": { "text": "Hello" } });
    let created = acme.post("/collections/notes/records", &record).await.expect(201);
    acme.get(&format!("/collections/notes/records/{}", created.json()["id"].as_str().unwrap())).await.expect(200);
    api.shutdown().await;
}

#[tokio::test]
async fn a_management_call_without_permission_is_denied() {
    let changed = Changed::new("Action: apigateway:POST\n", "Action: apigateway:HEAD\n");
    let api = Api::start_with(|options| {
        options.template = changed.template();
        // The demo tenants are onboarded by the same call.
        options.seed = false;
    })
    .await;
    let operator = api.caller("operator").await;
    operator.post("/admin/tenants", &json!({ "name": "Initech", "plan": "free" })).await;
    let denials = api.local.denials();
    let denial = denials.first().expect("a denial");
    assert_eq!((denial.function.as_str(), denial.action.as_str()), ("tenants", "apigateway:POST"));
    assert_eq!(denial.resource, "arn:aws:apigateway:us-east-1::/apikeys");
    assert!(denial.context.contains("aws:RequestTag/tenantry=[local]"), "{}", denial.context);
    api.shutdown().await;
}

/// A function that asks for more than its role has gets AWS's error, and a person does not.
#[tokio::test]
async fn the_error_is_that_of_dynamodb() {
    let api = Api::start().await;
    let config = |access_key_id: String| AwsConfig {
        access_key_id,
        ..AwsConfig::local(local::guard::endpoint(api.local.base_url()))
    };
    let scan =
        async |config: &AwsConfig| aws::dynamodb(config, aws::connector()).scan().table_name("Table").send().await;
    let denied = scan(&config(local::guard::access_key_id("records"))).await.unwrap_err();
    let raw = denied.raw_response().unwrap();
    assert_eq!(raw.status().as_u16(), 400);
    let body: serde_json::Value = serde_json::from_slice(raw.body().bytes().unwrap()).unwrap();
    assert_eq!(body["__type"], "com.amazon.coral.service#AccessDeniedException");
    let message = format!(
        "User: arn:aws:sts::000000000000:assumed-role/RecordsFunctionRole/records is not authorized to perform: dynamodb:Scan \
         on resource: {TABLE} because no identity-based policy allows the dynamodb:Scan action"
    );
    assert_eq!(body["message"], message);
    scan(&config("local".to_owned())).await.unwrap();
    api.shutdown().await;
}

#[tokio::test]
async fn a_denial_is_printed() {
    let changed = without_get();
    let folder = binaries().await;
    let mut child = Command::new(folder.join("local"))
        .args(["--memory", "--port", "0", "--template"])
        .arg(changed.template())
        .arg("--binaries")
        .arg(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut printed = BufReader::new(child.stdout.take().unwrap()).lines();
    let (mut url, mut token) = (None, None);
    while token.is_none() {
        let line = printed.next_line().await.unwrap().unwrap();
        url = line.strip_prefix("listening on ").map(ToOwned::to_owned).or(url);
        token = line.strip_prefix("TOKEN=").map(ToOwned::to_owned);
    }
    let path = format!("{}/collections/notes/records/first", url.unwrap());
    let response = reqwest::Client::new().get(path).bearer_auth(token.unwrap()).send().await.unwrap();
    assert_eq!(response.status(), 500);
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = loop {
        let line = log.next_line().await.unwrap().expect("a denial");
        if line.starts_with("iam | ") {
            break line;
        }
    };
    let expected = format!("iam | records may not dynamodb:GetItem on {TABLE} with dynamodb:LeadingKeys=[T#");
    assert!(line.starts_with(&expected), "{line}");
    assert!(line.ends_with(": no statement of its role in the template allows it"), "{line}");
    child.kill().await.unwrap();
}
