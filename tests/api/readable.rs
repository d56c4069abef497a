//! Whatever a route accepts to write, every route can read: random bodies, near the edges of what may be written.
//!
//! A run that fails prints its seed, and is repeated by `SEED=... cargo test -p tests readable`.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use crate::support::{Api, Caller, Response};

const GLOBEX: &str = local::seed::DEMO[1].id;

/// A request that writes, with its body as text.
#[derive(Debug, Clone)]
struct Write {
    method: &'static str,
    path: String,
    media_type: &'static str,
    body: String,
}

/// A string's text, with characters that are special somewhere on the way.
fn any_string() -> impl Strategy<Value = String> {
    let special = [
        r"\u0000",
        r"\u001f",
        r"\ufffd",
        r"\ud83d\ude00",
        r"\ud800",
        r"\u00e9",
        r"\/",
        r#"\""#,
        r"\\",
        r"\n",
        "é",
        "\u{2028}",
        "\u{7f}",
        "'",
        "<",
        "&",
        "=",
        "{",
        "😀",
        "\u{feff}",
    ];
    let piece = prop_oneof![prop::sample::select(special.to_vec()).prop_map(ToOwned::to_owned), "[a-z ]{1,3}"];
    prop::collection::vec(piece, 0..5).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

/// A moment near the first and the last that can be written, and others.
fn any_moment() -> impl Strategy<Value = String> {
    let day = prop::sample::select(vec![
        "0000-01-01",
        "1969-12-31",
        "1970-01-01",
        "2026-12-31",
        "2028-02-29",
        "2027-02-29",
        "9999-12-30",
        "9999-12-31",
        "+10000-01-01",
        "-0001-12-31",
    ]);
    let time =
        prop::sample::select(vec!["00:00:00", "23:59:59", "23:59:60", "23:59:59.999999999", "12:00:00.5", "24:00:00"]);
    let offset =
        prop::sample::select(vec!["Z", "z", "-00:00", "-00:01", "+00:01", "-05:00", "+05:00", "-23:59", "+23:59", ""]);
    (day, time, offset).prop_map(|(day, time, offset)| format!("\"{day}T{time}{offset}\""))
}

fn any_expiry() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => Just(String::new()),
        4 => any_moment().prop_map(|moment| format!(r#","expiresAt":{moment}"#)),
        1 => prop::sample::select(vec!["null", "0", "253402300800", "\"\"", "1e400"])
            .prop_map(|value| format!(r#","expiresAt":{value}"#)),
    ]
}

fn any_data() -> impl Strategy<Value = String> {
    let number = prop::sample::select(vec![
        "0",
        "-0",
        "1.10",
        "1.5E300",
        "-1e-300",
        "123456789012345678901234567890.1234567890",
    ]);
    let leaf =
        prop_oneof![any_string(), number.prop_map(ToOwned::to_owned), Just("null".to_owned()), Just("true".to_owned())];
    let object = |value: BoxedStrategy<String>| {
        prop::collection::vec((any_string(), value), 0..3).prop_map(|members| {
            let members: Vec<_> = members.into_iter().map(|(name, value)| format!("{name}:{value}")).collect();
            format!("{{{}}}", members.join(" , "))
        })
    };
    let value = leaf.prop_recursive(3, 12, 3, move |inner| {
        prop_oneof![
            object(inner.clone().boxed()),
            prop::collection::vec(inner, 0..3).prop_map(|all| format!("[{}]", all.join(",")))
        ]
    });
    // As deep as it may be, and deeper.
    let deep = (28..32_usize, any_string())
        .prop_map(|(levels, leaf)| format!("{}{leaf}{}", r#"{"a":"#.repeat(levels), "}".repeat(levels)));
    prop_oneof![8 => object(value.boxed()), 1 => deep, 1 => any_string()]
}

fn any_id() -> impl Strategy<Value = String> {
    prop_oneof![Just("a".to_owned()), Just("~".repeat(128)), "[A-Za-z0-9._~-]{1,3}"]
        .prop_filter("URLs resolve dots away", |id| id != "." && id != "..")
}

fn any_record_write() -> impl Strategy<Value = Write> {
    let path = |id: &str| format!("/collections/notes/records/{id}");
    (prop::sample::select(vec!["POST", "PUT", "PATCH"]), any_id(), any_data(), any_expiry()).prop_map(
        move |(method, id, data, expiry)| Write {
            method,
            path: if method == "POST" { "/collections/notes/records".to_owned() } else { path(&id) },
            media_type: "application/json",
            body: format!(r#"{{"data":{data}{expiry}}}"#),
        },
    )
}

fn any_transaction() -> impl Strategy<Value = Write> {
    let operation =
        (prop::sample::select(vec!["create", "put", "patch"]), any_id(), any_data(), any_expiry(), any::<bool>());
    let operation = operation.prop_map(|(op, id, data, expiry, huge)| {
        let version = if huge && op == "put" { r#","ifVersion":18446744073709551615"# } else { "" };
        format!(r#"{{"op":"{op}","collection":"notes","id":"{id}","data":{data}{expiry}{version}}}"#)
    });
    prop::collection::vec(operation, 1..3).prop_map(|operations| Write {
        method: "POST",
        path: "/transactions".to_owned(),
        media_type: "application/json",
        body: format!(r#"{{"operations":[{}]}}"#, operations.join(",")),
    })
}

fn any_token() -> impl Strategy<Value = Write> {
    (any_string(), any_expiry()).prop_map(|(name, expiry)| Write {
        method: "POST",
        path: "/tokens".to_owned(),
        media_type: "application/json",
        body: format!(r#"{{"name":{name},"scopes":["records:read"]{expiry}}}"#),
    })
}

fn any_tenant_change() -> impl Strategy<Value = Write> {
    let quota = prop::sample::select(vec![
        "null",
        "{\"requests\":50000000}",
        "{\"requests\":18446744073709551615}",
        "{\"requests\":100000000}",
    ]);
    let change = (any_string(), any_string(), any_string(), quota).prop_map(|(name, label, value, quota)| Write {
        method: "PATCH",
        path: format!("/admin/tenants/{GLOBEX}"),
        media_type: "application/merge-patch+json",
        body: format!(r#"{{"name":{name},"labels":{{{label}:{value}}},"quota":{quota}}}"#),
    });
    let overlap = prop::sample::select(vec!["0", "1", "2592000", "18446744073709551615", "-1"]);
    let keys = overlap.prop_map(|overlap| Write {
        method: "POST",
        path: format!("/admin/tenants/{GLOBEX}/keys"),
        media_type: "application/json",
        body: format!(r#"{{"overlap":{overlap}}}"#),
    });
    prop_oneof![3 => change, 1 => keys]
}

fn any_write() -> impl Strategy<Value = Write> {
    prop_oneof![6 => any_record_write(), 3 => any_transaction(), 2 => any_token(), 1 => any_tenant_change()]
}

/// Reads a list to its end. Nothing in it may be unreadable.
async fn read_all(caller: &Caller<'_>, path: &str) -> Vec<Value> {
    let mut items = Vec::new();
    let mut next = Some(format!("/v1{path}"));
    while let Some(path) = next {
        let page = caller.follow(&path).await.expect(200);
        if page.header("content-type") == "application/json" {
            let json = page.json();
            assert_eq!(json.get("unreadable"), None, "{json}");
            items.extend(json["items"].as_array().unwrap().iter().cloned());
        } else {
            items.extend(page.text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
        }
        next = page.header("link").strip_prefix('<').map(|link| link.split('>').next().unwrap().to_owned());
    }
    items
}

/// The text of the data in a response, which is its last member.
fn data(response: &Response) -> &str {
    response.text.split_once(r#""data":"#).unwrap_or_else(|| panic!("{response:?}")).1
}

async fn check(api: &Api, writes: Vec<Write>) {
    let (globex, operator) = (api.caller("globex").await, api.caller("operator").await);
    for write in writes {
        let Write { method, path, media_type, body } = &write;
        let caller = if path.starts_with("/admin") { &operator } else { &globex };
        let response = caller.call(method, path).body(media_type, body.clone()).send().await;
        assert!(response.status < 500, "{write:?}: {response:?}");
        if response.status >= 300 || !path.starts_with("/collections") {
            continue;
        }
        // One by one: it is in the list whatever the page.
        let record = response.json();
        let path = format!("/collections/notes/records/{}", record["id"].as_str().unwrap());
        let read = globex.get(&format!("{path}?consistent=true")).await.expect(200);
        assert_eq!((data(&read), &read.json()), (data(&response), &record), "{write:?}");
        // A record that was read can be written unchanged.
        let mut again = read.text.clone();
        again.replace_range(..read.text.find(r#""data":"#).unwrap(), "{");
        let written = globex.call("PUT", &path).body("application/json", again).send().await.expect(200);
        assert_eq!(data(&written), data(&read));
    }
    let mut records = read_all(&globex, "/collections/notes/records?limit=7&consistent=true").await;
    let backwards = read_all(&globex, "/collections/notes/records?limit=100&order=desc&consistent=true").await;
    records.reverse();
    assert_eq!(records, backwards);
    records.reverse();
    assert_eq!(read_all(&operator, &format!("/admin/tenants/{GLOBEX}/export")).await, records);
    for record in &records {
        globex.get(&format!("/collections/notes/records/{}", record["id"].as_str().unwrap())).await.expect(200);
    }
    let tokens = read_all(&globex, "/tokens?limit=5").await;
    read_all(&globex, "/collections").await;
    globex.get("/usage").await.expect(200);
    for path in ["/admin/tenants", "/admin/usage"] {
        assert!(!read_all(&operator, path).await.is_empty());
    }
    operator.call("GET", "/admin/usage").header("accept", "text/csv").send().await.expect(200);
    // For the next case.
    for record in records {
        globex.delete(&format!("/collections/notes/records/{}", record["id"].as_str().unwrap())).await.expect(204);
    }
    for token in tokens {
        globex.delete(&format!("/tokens/{}", token["id"].as_str().unwrap())).await.expect(204);
    }
    operator.patch(&format!("/admin/tenants/{GLOBEX}"), &json!({"quota": null})).await.expect(200);
}

#[test]
fn what_is_accepted_can_be_read() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random::<u64>);
    println!("SEED={seed}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config { cases: 24, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let api = runtime.block_on(Api::start());
    let result = runner.run(&prop::collection::vec(any_write(), 1..12), |writes| {
        runtime.block_on(check(&api, writes));
        Ok(())
    });
    runtime.block_on(api.shutdown());
    if let Err(error) = result {
        panic!("SEED={seed}: {error}");
    }
}
