//! 10,000 creates by clients that retry without a response, while functions die.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use testkit::dynamodb::DynamoDb;

use super::{LIST, is_replayed};
use crate::support::{Api, Caller, Response};

const CREATES: usize = 10_000;
const CLIENTS: usize = 20;
/// The number of responses between two deaths.
const APART: std::ops::Range<usize> = 200..400;
const PAUSE: Duration = Duration::from_millis(5);

/// Sends a create until there is a response. Returns the number of attempts and the response.
async fn create(caller: &Caller<'_>, n: usize, key: &str) -> (usize, Response) {
    for tries in 1..=100 {
        let call = caller.call("POST", LIST).json(&json!({"data": {"n": n}})).header("idempotency-key", key);
        match call.try_send().await {
            Ok(response) if response.status == 201 => return (tries, response),
            Ok(response) => assert!(matches!(response.status, 409 | 429 | 500..), "{response:?}"),
            Err(error) => assert!(error.is_request() || error.is_body() || error.is_connect(), "{error:?}"),
        }
        // As a client backs off; there is nothing to wait for but time.
        tokio::time::sleep(PAUSE).await;
    }
    panic!("{key} gets no response");
}

/// The numbers of responses at which functions die.
fn deaths(random: &mut StdRng) -> Vec<usize> {
    let mut at = 0;
    std::iter::repeat_with(|| {
        at += random.random_range(APART);
        at
    })
    .take_while(|at| *at < CREATES)
    .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_creates_make_ten_thousand_records_while_functions_die() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random::<u64>);
    println!("SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let deaths = Arc::new(deaths(&mut random));
    let ample = ["ProRate", "ProBurst"].map(|name| (name.to_owned(), "1000000".to_owned()));
    let table = DynamoDb::start().await;
    let start = Api::start_with(|options| {
        options.overrides = BTreeMap::from(ample);
        options.dynamodb_endpoint = Some(table.engine_endpoint().to_owned());
    });
    let api = Arc::new(start.await);
    let token = api.token("globex", &[]).await;
    let responded = Arc::new(AtomicUsize::new(0));

    let clients = (0..CLIENTS).map(|client| {
        let (api, token, responded, deaths) =
            (Arc::clone(&api), token.clone(), Arc::clone(&responded), Arc::clone(&deaths));
        tokio::spawn(async move {
            let caller = api.caller_of(Some(&token));
            let (mut created, mut tries, mut replays) = (Vec::new(), 0, 0);
            for n in (client..CREATES).step_by(CLIENTS) {
                let (sent, response) = create(&caller, n, &format!("{seed:x}-{n}")).await;
                tries += sent;
                replays += usize::from(is_replayed(&response));
                assert!(sent > 1 || !is_replayed(&response), "{response:?}");
                created.push(response.json());
                if deaths.contains(&(responded.fetch_add(1, Ordering::Relaxed) + 1)) {
                    api.local.functions().kill("records");
                }
            }
            (created, tries, replays)
        })
    });
    let (mut created, mut tries, mut replays) = (Vec::new(), 0, 0);
    for client in clients.collect::<Vec<_>>() {
        let (records, sent, replayed) = client.await.unwrap();
        created.extend(records);
        tries += sent;
        replays += replayed;
    }
    println!("{} deaths, {tries} tries, {replays} replays", deaths.len());
    assert!(tries > CREATES && replays > 0, "functions died with writes that were done");

    let mut found = Vec::new();
    let mut next = Some(format!("{LIST}?limit=100&consistent=true"));
    while let Some(path) = next {
        let page = api.caller_of(Some(&token)).get(&path).await.expect(200).json();
        found.extend(page["items"].as_array().unwrap().clone());
        next = page["next"].as_str().map(|cursor| format!("{LIST}?limit=100&consistent=true&cursor={cursor}"));
    }
    let by_id = |records: Vec<Value>| -> BTreeMap<String, Value> {
        records.into_iter().map(|record| (record["id"].as_str().unwrap().to_owned(), record)).collect()
    };
    assert_eq!(found.len(), CREATES);
    assert_eq!(by_id(found), by_id(created), "the responses name what is stored");
    Arc::into_inner(api).unwrap().shutdown().await;
}
