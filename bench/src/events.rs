//! The events of the measurements: the fixtures of the workspace, with changes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::Error;

const AUTHORIZER: &str = include_str!("../../events/authorizer.json");
const HEALTH: &str = include_str!("../../events/health-get.json");
const CREATE: &str = include_str!("../../events/records-create.json");
const GET: &str = include_str!("../../events/records-get.json");
const LIST: &str = include_str!("../../events/records-list.json");
const TENANTS: &str = include_str!("../../events/tenants-list.json");
const TRANSACTIONS: &str = include_str!("../../events/transactions-create.json");
const USAGE: &str = include_str!("../../events/usage-get.json");
const TOKENS: &str = include_str!("../../events/tokens-create.json");
const PUT: &str = include_str!("../../events/records-put.json");

/// The most bytes of a record's data.
const LARGEST: usize = 350 * 1024;

/// The bytes of each listed record, of which 25 almost fill the largest page, one megabyte.
const LISTED: usize = 40_000;

/// How many records of [`LARGEST`] a transaction may create, and how many it may change: a body has at most 1 MiB, and what
/// is written at most 4,000,000 bytes.
const CREATED_AT_ONCE: usize = 2;
const CHANGED_AT_ONCE: usize = 11;

/// The collection of the large records. No measured list reads it.
const LARGE: &str = "large";

/// A plan whose quota outlasts a run.
const PLAN: &str = "pro";

/// The scopes of the function with a kind of its own.
const KIND_SCOPES: &str = "notes:read notes:write";

/// The placeholder of an idempotency key.
const KEY: &str = "<key>";

/// Events that differ in their idempotency key only. With the same key, all but the first would get its stored reply.
#[derive(Debug)]
pub(crate) struct Keyed {
    event: String,
    used: AtomicU32,
}

impl Keyed {
    fn new(mut event: Value) -> Self {
        event["headers"]["Idempotency-Key"] = KEY.into();
        event["multiValueHeaders"]["Idempotency-Key"] = json!([KEY]);
        Self { event: event.to_string(), used: AtomicU32::new(0) }
    }

    /// Returns the next event.
    pub(crate) fn next(&self) -> Vec<u8> {
        // As long as the UUID that a client would send.
        let key = format!("8e03978e-40d5-43e8-bc93-{:012}", self.used.fetch_add(1, Ordering::Relaxed));
        self.event.replace(KEY, &key).into_bytes()
    }
}

/// Events, as bytes of JSON.
#[derive(Debug)]
pub(crate) struct Events {
    pub(crate) authorize: Vec<u8>,
    pub(crate) health: Vec<u8>,
    pub(crate) tenants: Vec<u8>,
    /// Makes a machine token.
    pub(crate) tokens: Vec<u8>,
    /// Writes two records at once.
    pub(crate) transactions: Vec<u8>,
    pub(crate) usage: Vec<u8>,
    /// Reads the one record.
    pub(crate) get: Vec<u8>,
    /// Each creates a record.
    pub(crate) create: Keyed,
    /// Each creates an item of a kind, whose value is the data of that record.
    pub(crate) kind_create: Keyed,
    /// The same for the floor, which reads the same item by its primary key.
    pub(crate) get_item: Vec<u8>,
    /// Lists 25 records.
    pub(crate) list: Vec<u8>,
    /// Writes the one record.
    pub(crate) put: Vec<u8>,
    /// Writes a record of the largest size.
    pub(crate) put_largest: Vec<u8>,
    /// Creates as many records in one transaction as fit into a body.
    pub(crate) create_largest: Vec<u8>,
    /// Each writes a record that [`Events::patch_largest`] changes.
    pub(crate) fill_largest: Vec<Vec<u8>>,
    /// Changes as many records in one transaction as it may read and write.
    pub(crate) patch_largest: Vec<u8>,
    /// Each writes a record that is listed.
    pub(crate) fill: Vec<Vec<u8>>,
}

impl Events {
    /// Makes the events, with this token.
    pub(crate) fn new(token: &str) -> Result<Self, Error> {
        let mut authorize: Value = serde_json::from_str(AUTHORIZER)?;
        authorize["authorizationToken"] = format!("Bearer {token}").into();

        let get = tenants(GET)?;
        let mut get_item = get.clone();
        let tenant = get["requestContext"]["authorizer"]["tenant"].as_str().ok_or("an event without a tenant")?;
        let collection = get["pathParameters"]["collection"].as_str().ok_or("an event without a collection")?;
        get_item["pathParameters"]["collection"] = format!("T#{tenant}#R#{collection}").into();

        let mut list = tenants(LIST)?;
        let query = json!({"limit": "25"});
        list["multiValueQueryStringParameters"] = json!({"limit": ["25"]});
        list["queryStringParameters"] = query;

        let put = tenants(PUT)?;
        let with = |collection: &str, id: &str, data: &Value| {
            let mut put = put.clone();
            put["path"] = format!("/collections/{collection}/records/{id}").into();
            put["pathParameters"] = json!({"collection": collection, "id": id});
            put["body"] = json!({ "data": data }).to_string().into();
            put.to_string().into_bytes()
        };
        // The quotes, the colon, the braces and the name count as data.
        let text = "x".repeat(LARGEST - r#"{"text":""}"#.len());
        // There is room left for the member that a patch adds.
        let almost = json!({ "text": text[32..] });
        let transaction = |operations: Vec<Value>| {
            let mut event = tenants(TRANSACTIONS)?;
            event["body"] = json!({ "operations": operations }).to_string().into();
            Ok::<_, Error>(event.to_string().into_bytes())
        };
        let create = json!({"op": "create", "collection": LARGE, "data": almost});
        let large = |n: usize| format!("large-{n:02}");
        let patch = |n| json!({"op": "patch", "collection": LARGE, "id": large(n), "data": {"n": 1}});
        let fill = (0..25)
            .map(|n| with(collection, &format!("filler-{n:02}"), &json!({"text": "x".repeat(LISTED)})))
            .collect();
        Ok(Self {
            authorize: authorize.to_string().into_bytes(),
            health: HEALTH.as_bytes().to_owned(),
            tenants: TENANTS.as_bytes().to_owned(),
            tokens: tenants(TOKENS)?.to_string().into_bytes(),
            transactions: tenants(TRANSACTIONS)?.to_string().into_bytes(),
            usage: tenants(USAGE)?.to_string().into_bytes(),
            create: Keyed::new(tenants(CREATE)?),
            kind_create: Keyed::new(kind_create()?),
            get_item: get_item.to_string().into_bytes(),
            list: list.to_string().into_bytes(),
            create_largest: transaction(vec![create; CREATED_AT_ONCE])?,
            fill_largest: (0..CHANGED_AT_ONCE).map(|n| with(LARGE, &large(n), &almost)).collect(),
            patch_largest: transaction((0..CHANGED_AT_ONCE).map(patch).collect())?,
            put_largest: with(collection, "largest", &json!({ "text": text })),
            fill,
            put: put.to_string().into_bytes(),
            get: get.to_string().into_bytes(),
        })
    }
}

/// Makes the event that reads the item of a kind which this response created.
pub(crate) fn kind_get(created: &str) -> Result<Vec<u8>, Error> {
    let created: Value = serde_json::from_str(created)?;
    let body = created["body"].as_str().ok_or("a response without a body")?;
    let item: Value = serde_json::from_str(body)?;
    let id = item["id"].as_str().ok_or("an item without an id")?;
    let mut event = kind(GET, "/notes/{id}", &format!("/notes/{id}"))?;
    event["pathParameters"] = json!({ "id": id });
    Ok(event.to_string().into_bytes())
}

fn kind_create() -> Result<Value, Error> {
    let mut event = kind(CREATE, "/notes", "/notes")?;
    let body = event["body"].as_str().ok_or("an event without a body")?;
    // The text of the data stays as it is, with `12.50` for a number.
    let body: BTreeMap<String, Box<RawValue>> = serde_json::from_str(body)?;
    let data = body.get("data").ok_or("a body without data")?.get().to_owned();
    event["body"] = data.into();
    event["pathParameters"] = Value::Null;
    Ok(event)
}

/// Reads an event of a tenant, and moves it to a route of the function with a kind of its own.
fn kind(event: &str, route: &str, path: &str) -> Result<Value, Error> {
    let mut event = tenants(event)?;
    event["resource"] = route.into();
    event["path"] = path.into();
    let context = &mut event["requestContext"];
    context["resourcePath"] = route.into();
    context["path"] = format!("/v1{path}").into();
    context["authorizer"]["scopes"] = KIND_SCOPES.into();
    Ok(event)
}

/// Reads an event of a tenant, and sets its plan and an empty query.
fn tenants(event: &str) -> Result<Value, Error> {
    let mut event: Value = serde_json::from_str(event)?;
    event["requestContext"]["authorizer"]["plan"] = PLAN.into();
    event["queryStringParameters"] = Value::Null;
    event["multiValueQueryStringParameters"] = Value::Null;
    Ok(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_create_has_a_key_of_its_own() {
        let create = Events::new("token").unwrap().create;
        let keys = [create.next(), create.next()].map(|event| {
            let event: Value = serde_json::from_slice(&event).unwrap();
            let key = event["headers"]["Idempotency-Key"].as_str().unwrap().to_owned();
            assert_eq!(event["multiValueHeaders"]["Idempotency-Key"], json!([key]));
            key
        });
        assert_ne!(keys[0], keys[1]);
        assert!(keys.iter().all(|key| key.len() == 36), "{keys:?}");
    }

    #[test]
    fn an_item_of_a_kind_is_created_and_read_as_the_record_is() {
        let create: Value = serde_json::from_slice(&Events::new("token").unwrap().kind_create.next()).unwrap();
        let body = create["body"].as_str().unwrap();
        assert_eq!(format!(r#"{{"data":{body}}}"#), tenants(CREATE).unwrap()["body"].as_str().unwrap());
        assert_eq!((&create["resource"], &create["path"]), (&json!("/notes"), &json!("/notes")));

        let created = json!({"statusCode": 201, "body": r#"{"id":"01K0","title":"Hello"}"#}).to_string();
        let get: Value = serde_json::from_slice(&kind_get(&created).unwrap()).unwrap();
        assert_eq!((&get["resource"], &get["path"]), (&json!("/notes/{id}"), &json!("/notes/01K0")));
        assert_eq!(get["pathParameters"], json!({"id": "01K0"}));
        for event in [create, get] {
            assert_eq!(event["requestContext"]["authorizer"]["scopes"], KIND_SCOPES);
            assert_eq!(event["requestContext"]["resourcePath"], event["resource"]);
        }
    }
}
