//! Many clients move amounts between records at once: whatever they meet, the sum stays.

use serde_json::json;

use super::{GLOBEX, read, transact};
use crate::support::{Api, Caller};

const CLIENTS: u64 = 8;
const TRANSFERS: u64 = 6;

/// Moves 1 from one account to another, and tries again until it is done. Says how often others were faster.
async fn transfer(caller: &Caller<'_>, from: &str, to: &str, entry: &str) -> u32 {
    let mut lost = 0;
    loop {
        let mut operations = vec![json!({"op": "create", "collection": "entries", "id": entry, "data": {}})];
        for (id, change) in [(from, -1), (to, 1)] {
            let account = read(caller, "accounts", id).await.unwrap();
            let balance = account["data"]["balance"].as_i64().unwrap() + change;
            let (data, version) = (json!({ "balance": balance }), &account["version"]);
            // Both ways to write under a version: with a read before, and without.
            let op = if lost % 2 == 0 { "patch" } else { "put" };
            operations.push(json!({"op": op, "collection": "accounts", "id": id, "data": data, "ifVersion": version}));
        }
        let response = transact(caller, json!(operations)).await;
        match response.status {
            200 => return lost,
            409 | 412 => lost += 1,
            _ => panic!("{response:?}"),
        }
    }
}

#[tokio::test]
async fn concurrent_transfers_keep_the_sum() {
    let api = Api::start().await;
    let globex = api.caller(GLOBEX).await;
    let account = |id: &str| json!({"op": "create", "collection": "accounts", "id": id, "data": {"balance": 1000}});
    transact(&globex, json!([account("a"), account("b")])).await.expect(200);
    let clients = (0..CLIENTS).map(|client| {
        let globex = &globex;
        async move {
            let (from, to) = if client % 3 == 0 { ("a", "b") } else { ("b", "a") };
            let mut lost = 0;
            for n in 0..TRANSFERS {
                lost += transfer(globex, from, to, &format!("{client}-{n}")).await;
            }
            lost
        }
    });
    let lost: u32 = futures_util::future::join_all(clients).await.into_iter().sum();
    assert!(lost > 0, "nobody met anybody");
    // Three of the eight clients go one way, and five the other.
    let mut balances = Vec::new();
    for id in ["a", "b"] {
        balances.push(read(&globex, "accounts", id).await.unwrap()["data"]["balance"].as_i64().unwrap());
    }
    assert_eq!(balances, [1012, 988]);
    let entries = globex.get("/collections/entries/records?limit=100&consistent=true").await.json();
    assert_eq!(entries["items"].as_array().unwrap().len(), 48, "an entry for each transfer");
    api.shutdown().await;
}
