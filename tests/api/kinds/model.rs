//! Random operations on kinds, beside a model in memory: the same results, the same order, pages without gaps or
//! repetitions, and replays byte for byte.

use std::cell::Cell;
use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use crate::support::seed;

use super::function::{Function, Request, Response};
use super::{label, ticket};

const CASES: u32 = 60;

/// The owners of tickets and the colors of labels. Labels that are grey are in no index.
const NAMES: [&str; 4] = ["ann", "red", "grey", "r#d"];

/// An operation, with positions among few items, so that they meet.
#[derive(Debug, Clone)]
enum Operation {
    Append {
        owner: usize,
    },
    Close {
        number: u64,
        condition: Condition,
    },
    Reassign {
        number: u64,
        owner: usize,
        condition: Condition,
    },
    DeleteTicket {
        number: u64,
        condition: Condition,
    },
    Put {
        id: usize,
        color: usize,
        weight: i64,
        condition: Condition,
    },
    DeleteLabel {
        id: usize,
        condition: Condition,
    },
    Move {
        from: usize,
        to: usize,
        weight: i64,
    },
    /// The same request as an earlier one that had an idempotency key and succeeded.
    Repeat {
        earlier: usize,
    },
    /// All lists, page by page.
    Lists {
        descending: bool,
        limit: usize,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    None,
    /// `If-Match` with the current version, or with another one where there is none.
    Current,
    /// `If-Match` with a version that the item does not have.
    Other,
    /// `If-None-Match: *`
    Absent,
}

const LABELS: [&str; 3] = ["a", "a.b", "b"];

fn any_condition() -> impl Strategy<Value = Condition> {
    prop_oneof![
        6 => Just(Condition::None),
        2 => Just(Condition::Current),
        1 => Just(Condition::Other),
        1 => Just(Condition::Absent),
    ]
}

fn any_operation() -> impl Strategy<Value = Operation> {
    let (name, id, number) = (0..NAMES.len(), 0..LABELS.len(), 1..5_u64);
    prop_oneof![
        4 => name.clone().prop_map(|owner| Operation::Append { owner }),
        1 => (number.clone(), any_condition()).prop_map(|(number, condition)| Operation::Close { number, condition }),
        2 => (number.clone(), name.clone(), any_condition())
            .prop_map(|(number, owner, condition)| Operation::Reassign { number, owner, condition }),
        1 => (number, any_condition()).prop_map(|(number, condition)| Operation::DeleteTicket { number, condition }),
        4 => (id.clone(), name.clone(), 0..4_i64, any_condition())
            .prop_map(|(id, color, weight, condition)| Operation::Put { id, color, weight, condition }),
        1 => (id.clone(), any_condition()).prop_map(|(id, condition)| Operation::DeleteLabel { id, condition }),
        2 => (id.clone(), id, 1..3_i64).prop_map(|(from, to, weight)| Operation::Move { from, to, weight }),
        2 => (0..8_usize).prop_map(|earlier| Operation::Repeat { earlier }),
        3 => (any::<bool>(), 1..4_usize).prop_map(|(descending, limit)| Operation::Lists { descending, limit }),
    ]
}

/// The model: the items as the last responses showed them.
#[derive(Default)]
struct Model {
    next: u64,
    tickets: BTreeMap<u64, Value>,
    labels: BTreeMap<&'static str, Value>,
    /// The requests with idempotency keys that succeeded, and their responses.
    done: Vec<(Request, Response)>,
}

/// The outcome that the model expects.
enum Expected {
    /// A status of success, and these members of the body.
    Done(u64, Value),
    Problem(u64, &'static str),
}

/// Returns the problem of a precondition that does not hold.
fn failed(condition: Condition, exists: bool) -> Option<Expected> {
    let fails = match condition {
        Condition::None => false,
        Condition::Current => !exists,
        Condition::Other => true,
        Condition::Absent => exists,
    };
    fails.then_some(Expected::Problem(412, "precondition_failed"))
}

/// Returns the outcome of a change of an item: it must exist, and satisfy the precondition.
fn needs(item: Option<&Value>, condition: Condition) -> Option<Expected> {
    if item.is_none() { Some(Expected::Problem(404, "probe_not_found")) } else { failed(condition, true) }
}

fn with(request: Request, condition: Condition, current: Option<&Value>) -> Request {
    match condition {
        Condition::None => request,
        Condition::Current => {
            let version = current.map_or(json!(7), |item| item["version"].clone());
            request.header("If-Match", format!("\"{version}\""))
        }
        Condition::Other => request.header("If-Match", "\"8\""),
        Condition::Absent => request.header("If-None-Match", "*"),
    }
}

impl Model {
    async fn run(&mut self, function: &Function, tenant: &str, place: usize, operation: &Operation) {
        let (request, expected) = match *operation {
            Operation::Append { owner } => (
                ticket(NAMES[owner]),
                Expected::Done(201, json!({ "id": self.next + 1, "owner": NAMES[owner], "closed": false })),
            ),
            Operation::Close { number, condition } => {
                let current = self.tickets.get(&number);
                let request = with(Request::new("POST", "/tickets/{id}/close").id(number), condition, current);
                let expected = needs(current, condition).unwrap_or_else(|| {
                    if current.is_some_and(|ticket| ticket["closed"] == true) {
                        Expected::Problem(409, "probe_closed")
                    } else {
                        Expected::Done(200, json!({ "id": number, "closed": true }))
                    }
                });
                (request, expected)
            }
            Operation::Reassign { number, owner, condition } => {
                let current = self.tickets.get(&number);
                let request = Request::new("PATCH", "/tickets/{id}").id(number).body(json!({ "owner": NAMES[owner] }));
                let expected = needs(current, condition)
                    .unwrap_or_else(|| Expected::Done(200, json!({ "id": number, "owner": NAMES[owner] })));
                (with(request, condition, current), expected)
            }
            Operation::DeleteTicket { number, condition } => {
                let current = self.tickets.get(&number);
                let request = with(Request::new("DELETE", "/tickets/{id}").id(number), condition, current);
                (request, needs(current, condition).unwrap_or(Expected::Done(204, Value::Null)))
            }
            Operation::Put { id, color, weight, condition } => {
                let (id, color) = (LABELS[id], NAMES[color]);
                let current = self.labels.get(id);
                let request = with(label(id, color, weight), condition, current);
                let status = if current.is_some() { 200 } else { 201 };
                let body = json!({ "id": id, "color": color, "weight": weight });
                (request, failed(condition, current.is_some()).unwrap_or(Expected::Done(status, body)))
            }
            Operation::DeleteLabel { id, condition } => {
                let current = self.labels.get(LABELS[id]);
                let request = with(Request::new("DELETE", "/labels/{id}").id(LABELS[id]), condition, current);
                (request, needs(current, condition).unwrap_or(Expected::Done(204, Value::Null)))
            }
            Operation::Move { from, to, weight } => {
                // The same label would be written twice in one transaction.
                let to = if from == to { (to + 1) % LABELS.len() } else { to };
                return self.shift(function, tenant, place, (LABELS[from], LABELS[to]), weight).await;
            }
            Operation::Repeat { earlier } => return self.repeat(function, earlier).await,
            Operation::Lists { descending, limit } => {
                return self.check_lists(function, tenant, descending, limit).await;
            }
        };
        let response = self.send(function, tenant, place, request, &expected).await;
        if let Expected::Done(..) = expected {
            self.apply(operation, &response);
        }
    }

    /// Sends a request, every other time with an idempotency key, and checks the outcome.
    async fn send(
        &mut self,
        function: &Function,
        tenant: &str,
        place: usize,
        request: Request,
        expected: &Expected,
    ) -> Response {
        let keyed = place.is_multiple_of(2);
        let request = request.tenant(tenant);
        let request = if keyed { request.header("Idempotency-Key", format!("{tenant}-{place}")) } else { request };
        let response = function.send(&request).await;
        match expected {
            Expected::Problem(status, code) => drop(response.expect_problem(*status, code)),
            Expected::Done(status, members) => {
                let body = response.expect(*status);
                for (name, value) in members.as_object().into_iter().flatten() {
                    assert_eq!(&body[name], value, "{body}");
                }
                if keyed {
                    self.done.push((request, response.clone()));
                }
            }
        }
        response
    }

    fn apply(&mut self, operation: &Operation, response: &Response) {
        let body: Value = serde_json::from_str(&response.body).unwrap_or_default();
        match *operation {
            Operation::Append { .. } => {
                self.next += 1;
                self.tickets.insert(self.next, body);
            }
            Operation::Close { number, .. } | Operation::Reassign { number, .. } => {
                let old = self.tickets.insert(number, body).unwrap();
                let new = &self.tickets[&number];
                assert_eq!(old["version"].as_u64().map(|version| version + 1), new["version"].as_u64());
                assert_eq!(old["createdAt"], new["createdAt"]);
            }
            Operation::DeleteTicket { number, .. } => drop(self.tickets.remove(&number)),
            Operation::Put { id, .. } => drop(self.labels.insert(LABELS[id], body)),
            Operation::DeleteLabel { id, .. } => drop(self.labels.remove(LABELS[id])),
            Operation::Move { .. } | Operation::Repeat { .. } | Operation::Lists { .. } => {}
        }
    }

    async fn shift(
        &mut self,
        function: &Function,
        tenant: &str,
        place: usize,
        (from, to): (&'static str, &'static str),
        weight: i64,
    ) {
        let body = json!({ "to": to, "weight": weight });
        let request = Request::new("POST", "/labels/{id}/move").id(from).body(body);
        let weights = [from, to].map(|id| self.labels.get(id).map(|label| label["weight"].as_i64().unwrap()));
        let expected = match weights {
            [Some(has), Some(_)] if has >= weight => Expected::Done(200, json!({ "id": self.next + 1 })),
            [Some(_), Some(_)] => Expected::Problem(409, "probe_too_light"),
            _ => Expected::Problem(404, "probe_not_found"),
        };
        let response = self.send(function, tenant, place, request, &expected).await;
        if let (Expected::Done(..), [Some(less), Some(more)]) = (expected, weights) {
            self.next += 1;
            self.tickets.insert(self.next, serde_json::from_str(&response.body).unwrap());
            for (id, weight) in [(from, less - weight), (to, more + weight)] {
                let get = Request::new("GET", "/labels/{id}").id(id).query("consistent", true).tenant(tenant);
                let label = function.send(&get).await.expect(200);
                assert_eq!(label["weight"], weight);
                self.labels.insert(id, label);
            }
        }
    }

    /// Checks the lists of all tickets and of all labels, and those of each key of an index.
    async fn check_lists(&self, function: &Function, tenant: &str, descending: bool, limit: usize) {
        for name in NAMES.into_iter().map(Some).chain([None]) {
            for (path, index, items) in [
                ("/tickets", "owner", self.tickets.values().cloned().collect::<Vec<_>>()),
                ("/labels", "color", self.labels.values().cloned().collect()),
            ] {
                let list = name.into_iter().fold(Request::new("GET", path), |list, name| list.query(index, name));
                let is_indexed = |name| (index, name) != ("color", "grey");
                let has = |item: &Value| name.is_none_or(|name| item[index] == name && is_indexed(name));
                let expected = items.into_iter().filter(has).collect();
                check_list(function, list.tenant(tenant), expected, descending, limit).await;
            }
        }
    }

    /// Repeats an earlier request, whose effect is not repeated, whatever has happened since.
    async fn repeat(&self, function: &Function, earlier: usize) {
        let Some((request, first)) = self.done.get(earlier) else { return };
        let mut replay = function.send(request).await;
        assert_eq!(replay.header("idempotent-replayed"), "true");
        replay.headers.as_object_mut().unwrap().remove("idempotent-replayed");
        assert_eq!(&replay, first);
    }
}

async fn check_list(function: &Function, list: Request, mut expected: Vec<Value>, descending: bool, limit: usize) {
    if descending {
        expected.reverse();
    }
    let list = list.query("limit", limit).query("order", if descending { "desc" } else { "asc" });
    let (items, pages) = function.list(&list.query("consistent", true)).await;
    assert_eq!(items, expected);
    assert_eq!(pages, expected.len().div_ceil(limit).max(1), "{items:?}");
}

#[test]
fn a_kind_behaves_as_its_model() {
    let seed = seed();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let function = runtime.block_on(Function::start());
    let number = Cell::new(0_u128);
    let mut runner = TestRunner::new_with_rng(
        Config { cases: CASES, failure_persistence: None, ..Config::default() },
        TestRng::from_seed(RngAlgorithm::ChaCha, &seed),
    );
    let outcome = runner.run(&vec(any_operation(), 1..40), |operations| {
        // Each case has a tenant of its own.
        number.set(number.get() + 1);
        let tenant = format!("{:0>26}", number.get());
        runtime.block_on(async {
            let mut model = Model::default();
            for (place, operation) in operations.iter().enumerate() {
                model.run(&function, &tenant, place, operation).await;
            }
            model.check_lists(&function, &tenant, false, 2).await;
        });
        Ok(())
    });
    runtime.block_on(function.0.shutdown());
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
