//! Random transactions, and other writes between them, against a model of what a tenant's records have to be.
//!
//! A case that fails is made smaller by proptest, and printed.

use std::cell::Cell;
use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};

use super::{GLOBEX, GLOBEX_ID, failures, transact};
use crate::support::{Api, Caller};

/// A collection and an id.
type Target = (u8, u8);

#[derive(Debug, Clone, Copy)]
enum Kind {
    Create,
    Put,
    Patch,
    Delete,
    Check,
}

/// The condition of an operation on the record's version.
#[derive(Debug, Clone, Copy)]
enum If {
    Anything,
    Right,
    Wrong,
}

#[derive(Debug, Clone)]
struct Op {
    kind: Kind,
    target: Target,
    version: If,
    value: u8,
    expires: bool,
}

#[derive(Debug, Clone)]
enum Step {
    Transact(Vec<Op>),
    /// A `PUT` of its own.
    Put(Target, u8),
    /// A `DELETE` of its own.
    Delete(Target),
    /// The record's time runs out.
    Expire(Target),
}

#[derive(Debug, Clone, PartialEq)]
struct Known {
    version: u64,
    data: Map<String, Value>,
    created_at: Option<String>,
    expires: bool,
}

#[derive(Default)]
struct Model {
    records: BTreeMap<Target, Known>,
    /// The highest version that there ever was.
    highest: BTreeMap<Target, u64>,
}

fn any_target() -> impl Strategy<Value = Target> {
    (0..2_u8, 0..3_u8)
}

fn any_op() -> impl Strategy<Value = Op> {
    let kind = prop_oneof![
        3 => Just(Kind::Create),
        3 => Just(Kind::Put),
        3 => Just(Kind::Patch),
        2 => Just(Kind::Delete),
        2 => Just(Kind::Check),
    ];
    let version = prop_oneof![6 => Just(If::Anything), 3 => Just(If::Right), 1 => Just(If::Wrong)];
    (kind, version, any::<u8>(), any::<bool>()).prop_map(|(kind, version, value, expires)| Op {
        kind,
        target: (0, 0),
        version,
        value,
        expires,
    })
}

fn any_transaction() -> impl Strategy<Value = Step> {
    let targets: Vec<Target> = (0..2).flat_map(|collection| (0..3).map(move |id| (collection, id))).collect();
    let targets = prop::sample::subsequence(targets, 1..=4).prop_shuffle();
    (targets, prop::collection::vec(any_op(), 4)).prop_map(|(targets, ops)| {
        Step::Transact(targets.into_iter().zip(ops).map(|(target, op)| Op { target, ..op }).collect())
    })
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => any_transaction(),
        1 => (any_target(), any::<u8>()).prop_map(|(target, value)| Step::Put(target, value)),
        1 => any_target().prop_map(Step::Delete),
        3 => any_target().prop_map(Step::Expire),
    ]
}

fn data(value: u8) -> Map<String, Value> {
    Map::from_iter([("v".to_owned(), json!(value)), (format!("k{}", value % 3), json!(true))])
}

impl Op {
    fn name(&self) -> &'static str {
        match self.kind {
            Kind::Create => "create",
            Kind::Put => "put",
            Kind::Patch => "patch",
            Kind::Delete => "delete",
            Kind::Check => "check",
        }
    }

    /// The version that it names, in this state of the model.
    fn if_version(&self, model: &Model) -> Option<u64> {
        let right = model.highest.get(&self.target).copied().unwrap_or(1);
        match (self.kind, self.version) {
            (Kind::Create, _) | (_, If::Anything) => None,
            (_, If::Right) => Some(right),
            (_, If::Wrong) => Some(right + 1),
        }
    }

    fn body(&self, model: &Model, collection: &dyn Fn(u8) -> String) -> Value {
        let (in_collection, id) = self.target;
        let mut body = json!({"op": self.name(), "collection": collection(in_collection), "id": format!("r{id}")});
        match self.kind {
            Kind::Create | Kind::Put => {
                body["data"] = json!(data(self.value));
                if self.expires {
                    body["expiresAt"] = json!("2099-01-01T00:00:00Z");
                }
            }
            Kind::Patch => {
                body["data"] = json!({"v": self.value, "k0": null});
                body["expiresAt"] = if self.expires { json!("2099-01-01T00:00:00Z") } else { Value::Null };
            }
            Kind::Delete | Kind::Check => {}
        }
        if let Some(version) = self.if_version(model) {
            body["ifVersion"] = json!(version);
        }
        body
    }

    /// Why it fails, if it does.
    fn failure(&self, model: &Model) -> Option<&'static str> {
        let current = model.records.get(&self.target).map(|known| known.version);
        match (self.kind, current, self.if_version(model)) {
            (Kind::Create, Some(_), _) => Some("record_exists"),
            (Kind::Create, None, _) | (Kind::Put, None, None) => None,
            (_, None, _) => Some("record_not_found"),
            (_, Some(current), Some(wanted)) if current != wanted => Some("precondition_failed"),
            _ => None,
        }
    }
}

impl Model {
    fn write(&mut self, target: Target, version: u64, data: Map<String, Value>, expires: bool) {
        let highest = self.highest.entry(target).or_default();
        let before = self.records.get(&target);
        match before {
            Some(known) => assert_eq!(version, known.version + 1, "of {target:?}"),
            None => assert!(version > *highest, "a version of {target:?} came back"),
        }
        *highest = version;
        let created_at = before.and_then(|known| known.created_at.clone());
        self.records.insert(target, Known { version, data, created_at, expires });
    }

    /// Does what a transaction did that wrote these versions.
    fn apply(&mut self, op: &Op, version: Option<u64>) {
        assert_eq!(version.is_some(), !matches!(op.kind, Kind::Delete | Kind::Check), "{op:?}");
        match (op.kind, version) {
            (Kind::Create | Kind::Put, Some(version)) => self.write(op.target, version, data(op.value), op.expires),
            (Kind::Patch, Some(version)) => {
                let mut data = self.records[&op.target].data.clone();
                data.insert("v".into(), json!(op.value));
                data.remove("k0");
                self.write(op.target, version, data, op.expires);
            }
            (Kind::Delete, _) => drop(self.records.remove(&op.target)),
            _ => {}
        }
    }

    /// Holds what is there to it, and learns when new records were made.
    async fn compare(&mut self, globex: &Caller<'_>, collection: &dyn Fn(u8) -> String) {
        let mut found = BTreeMap::new();
        for in_collection in 0..2 {
            let path = format!("/collections/{}/records?consistent=true", collection(in_collection));
            for record in globex.get(&path).await.expect(200).json()["items"].as_array().unwrap() {
                let id = record["id"].as_str().unwrap().trim_start_matches('r').parse().unwrap();
                let known = Known {
                    version: record["version"].as_u64().unwrap(),
                    data: record["data"].as_object().unwrap().clone(),
                    created_at: record["createdAt"].as_str().map(ToOwned::to_owned),
                    expires: record.get("expiresAt").is_some(),
                };
                found.insert((in_collection, id), known);
            }
        }
        for (target, known) in &mut self.records {
            if known.created_at.is_none() {
                known.created_at = found.get(target).and_then(|found| found.created_at.clone());
            }
        }
        assert_eq!(found, self.records);
    }
}

async fn run(api: &Api, case: u32, steps: Vec<Step>) {
    let globex = api.caller(GLOBEX).await;
    let mut model = Model::default();
    // The collection belongs to this case alone.
    let collection = move |n: u8| format!("case{case}-{n}");
    let path = |(in_collection, id): Target| format!("/collections/{}/records/r{id}", collection(in_collection));
    for step in steps {
        match step {
            Step::Transact(ops) => {
                let body: Vec<Value> = ops.iter().map(|op| op.body(&model, &collection)).collect();
                let rejected = |only: &dyn Fn(&Op) -> bool| -> Vec<(u64, String)> {
                    let places = (0..).zip(&ops).filter(|(_, op)| only(op));
                    places.filter_map(|(place, op)| Some((place, op.failure(&model)?.to_owned()))).collect()
                };
                // Those that read are looked at first.
                let early = rejected(&|op| matches!(op.kind, Kind::Patch));
                let expected = if early.is_empty() { rejected(&|_| true) } else { early };
                let response = transact(&globex, json!(body)).await;
                if expected.is_empty() {
                    let done = response.expect(200).json();
                    for (op, done) in ops.iter().zip(done["operations"].as_array().unwrap()) {
                        model.apply(op, done["version"].as_u64());
                    }
                } else {
                    assert_eq!(failures(response), expected);
                }
            }
            Step::Put(target, value) => {
                let response = globex.put(&path(target), &json!({"data": data(value)})).await;
                model.write(target, response.json()["version"].as_u64().unwrap(), data(value), false);
            }
            Step::Delete(target) => {
                let status = if model.records.remove(&target).is_some() { 204 } else { 404 };
                globex.delete(&path(target)).await.expect(status);
            }
            Step::Expire(target) => {
                if model.records.remove(&target).is_some() {
                    api.expire(GLOBEX_ID, &collection(target.0), &format!("r{}", target.1)).await;
                }
            }
        }
        model.compare(&globex, &collection).await;
    }
}

#[test]
fn random_transactions_behave_as_the_model() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let api = runtime.block_on(Api::start());
    let case = Cell::new(0);
    let mut runner = TestRunner::new(ProptestConfig { cases: 40, failure_persistence: None, ..Default::default() });
    let steps = prop::collection::vec(any_step(), 1..20);
    let result = runner.run(&steps, |steps| {
        case.set(case.get() + 1);
        runtime.block_on(run(&api, case.get(), steps));
        Ok(())
    });
    runtime.block_on(api.shutdown());
    if let Err(error) = result {
        panic!("{error}");
    }
}
