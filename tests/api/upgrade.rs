//! Today's version on a data folder that an earlier version wrote: every item is read as it was, and every promise that the
//! earlier version made to its clients still holds.
//!
//! `tests/upgrade` has the data folder as text, with the session that filled it (`record.py`). Two things depend on the day
//! of the test, and are changed when the folder is made of it: stored replies end after 24 hours, so they end tomorrow; and
//! a quota is that of a month, so the rows of usage become those of this month and the next.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use local::Data;
use local::issuer::Issuer;
use rusqlite::Connection;
use serde_json::{Value, json};
use service::domain::month::Month;
use service::domain::time::Timestamp;
use tempfile::TempDir;

use crate::support::contract::scopes;
use crate::support::{Api, Response, read};

const RECORDED: &str = "tests/upgrade/5223732";
/// The month of the recording.
const MONTH: &str = "2026-11";
const EXPIRY: &str = r#""expiresAt":{"N":""#;

/// A statement of the recorded database, as it would have been made today.
fn today(statement: &str) -> String {
    let is_usage = statement.contains("#USAGE'");
    if !is_usage && !statement.contains("#KEYS#") {
        return statement.to_owned();
    }
    let now = Timestamp::now();
    let (before, after) = statement.split_once(EXPIRY).unwrap();
    let rest = after.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let tomorrow = now.as_millis() / 1000 + 24 * 60 * 60;
    let statement = format!("{before}{EXPIRY}{tomorrow}{rest}");
    if !is_usage {
        return statement;
    }
    let (month, recorded) = (Month::of(now), Month::parse(MONTH).unwrap());
    // From the later one, which the other may become.
    let statement = statement.replace(&recorded.next().to_string(), &month.next().to_string());
    statement.replace(MONTH, &month.to_string())
}

/// The recorded data folder.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let statements = read(&format!("{RECORDED}/database.sql"));
    let statements: String = statements.lines().map(|line| today(line) + "\n").collect();
    Connection::open(folder.path().join("dynamodb.sqlite")).unwrap().execute_batch(&statements).unwrap();
    std::fs::write(folder.path().join("api-keys.json"), read(&format!("{RECORDED}/api-keys.json"))).unwrap();
    let key = read(&format!("{RECORDED}/issuer-key.txt"));
    let key: String = key.lines().filter(|line| !line.starts_with('#')).collect();
    std::fs::write(folder.path().join("issuer-key.der"), STANDARD.decode(key).unwrap()).unwrap();
    folder
}

/// The recorded session, and today's version on its data.
struct Upgrade {
    folder: TempDir,
    recorded: Value,
    api: Api,
}

impl Upgrade {
    async fn start() -> Self {
        let folder = folder();
        let data = Data::Folder(folder.path().to_owned());
        let recorded = serde_json::from_str(&read(&format!("{RECORDED}/session.json"))).unwrap();
        Self { folder, recorded, api: Api::start_with(|options| options.data = data).await }
    }

    /// The recorded exchanges of a kind.
    fn exchanges(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.recorded["session"].as_array().unwrap().iter().filter(move |exchange| exchange["kind"] == kind)
    }

    fn id(&self, tenant: &str) -> &str {
        self.recorded["ids"][tenant].as_str().unwrap()
    }

    /// Makes a recorded request, and later once more where the plan's rate does not allow it yet.
    async fn repeat(&self, exchange: &Value) -> Response {
        let text = |name: &str| exchange[name].as_str().unwrap();
        let caller = match self.recorded["tokens"][text("as")].as_str() {
            Some(machine_token) => self.api.caller_of(Some(machine_token)),
            None => self.api.caller(text("as")).await,
        };
        loop {
            let mut call = caller.call(text("method"), text("path"));
            if let Some(body) = exchange["body"].as_str() {
                call = call.body("application/json", body.to_owned());
            }
            for (name, value) in exchange["headers"].as_object().unwrap() {
                call = call.header(name, value.as_str().unwrap());
            }
            let response = call.send().await;
            if response.status != 429 || response.problem().1 != "rate_exceeded" {
                return response;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

/// Panics unless a response is the recorded one: to the byte, or, for a problem, in its code.
fn assert_same(response: &Response, exchange: &Value, recorded: &str) {
    assert_eq!(json!(response.status), exchange["status"], "{exchange}: {response:?}");
    if response.status >= 400 {
        let recorded: Value = serde_json::from_str(recorded).unwrap();
        assert_eq!(response.json()["code"], recorded["code"], "{exchange}");
        return;
    }
    assert_eq!(response.text, recorded, "{exchange}");
    for (name, value) in exchange["responseHeaders"].as_object().unwrap() {
        assert_eq!(response.header(name), value, "{name} of {exchange}");
    }
}

#[tokio::test]
async fn what_an_earlier_version_stored_is_read_as_it_was_and_retries_get_their_first_responses() {
    let upgrade = Upgrade::start().await;
    // Usage first, because every other request adds to it.
    let is_usage = |exchange: &&Value| exchange["path"].as_str().unwrap().ends_with("/usage");
    let this_month = Month::of(Timestamp::now()).to_string();
    for exchange in upgrade.exchanges("read").filter(is_usage) {
        let recorded = exchange["response"].as_str().unwrap().replace(MONTH, &this_month);
        assert_same(&upgrade.repeat(exchange).await, exchange, &recorded);
    }
    for exchange in upgrade.exchanges("read").filter(|exchange| !is_usage(exchange)) {
        assert_same(&upgrade.repeat(exchange).await, exchange, exchange["response"].as_str().unwrap());
    }
    for exchange in upgrade.exchanges("retry") {
        let response = upgrade.repeat(exchange).await;
        assert_same(&response, exchange, exchange["response"].as_str().unwrap());
        assert_eq!(response.header("idempotent-replayed"), "true", "{exchange}");
    }
    upgrade.api.shutdown().await;
}

#[tokio::test]
async fn what_an_earlier_version_began_goes_on() {
    let upgrade = Upgrade::start().await;
    let (api, operator) = (&upgrade.api, upgrade.api.caller("operator").await);

    // A record is changed under the version that was read.
    let acme = api.caller("acme").await;
    let path = "/collections/notes/records/alpha";
    let etag = acme.get(path).await.header("etag").to_owned();
    let change = async |n: u32| {
        let call = acme.call("PUT", path).header("if-match", &etag).json(&json!({"data": {"n": n}}));
        call.send().await
    };
    change(1).await.expect(200);
    change(2).await.expect_problem(412, "precondition_failed");

    // The issuer of a tenant names it by an opaque key.
    let keys = format!("/admin/tenants/{}/keys", upgrade.id("initech"));
    let rotation = upgrade.exchanges("write").find(|exchange| exchange["path"] == keys).unwrap();
    let rotation: Value = serde_json::from_str(rotation["response"].as_str().unwrap()).unwrap();
    let names = [("user", rotation["key"].as_str().unwrap())];
    let (folder, url) = (Some(upgrade.folder.path()), "https://login.initech.example");
    let issuer = Issuer::open(folder, url, &names, scopes()).unwrap();
    let token = issuer.token("user", None, None, None).unwrap().access_token;
    api.caller_of(Some(&token)).get("/collections").await.expect(200);

    // An offboarding ends without a trace.
    let leaving = upgrade.id("leaving");
    api.finish_offboarding(leaving).await;
    let path = format!("/admin/tenants/{leaving}");
    assert_eq!(operator.get(&path).await.expect(200).json()["status"], "offboarded");
    assert_eq!(api.items_of(leaving).await, []);
    upgrade.api.shutdown().await;
}
