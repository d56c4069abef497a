//! Conflicts, lost responses and deaths: a transaction happens once or not at all, and the response reports what happened.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::dynamodb::{DynamoDb, Fault};
use tokio::task::JoinHandle;

use super::{GLOBEX, failures, read, transact, version};
use crate::support::{Api, Caller, Response};

const LIMIT: Duration = Duration::from_secs(6);

async fn start() -> (DynamoDb, Api) {
    let table = DynamoDb::start().await;
    let api = Api::start_with(|options| options.dynamodb_endpoint = Some(table.endpoint.clone())).await;
    (table, api)
}

/// One case of a test: a collection of its own, which is known, with the records `a` and `b`.
struct Case<'a> {
    globex: Caller<'a>,
    collection: String,
}

impl<'a> Case<'a> {
    async fn of(api: &'a Api, name: &str) -> Self {
        let case = Self { globex: api.caller(GLOBEX).await, collection: name.to_owned() };
        let put = |id: &str| json!({"op": "put", "collection": name, "id": id, "data": {"n": 0}});
        transact(&case.globex, json!([put("a"), put("b")])).await.expect(200);
        case
    }

    fn operation(&self, op: &str, id: &str) -> Value {
        json!({"op": op, "collection": self.collection, "id": id})
    }

    /// Several kinds of operations, and one that needs a read if `reading` is set.
    fn operations(&self, reading: bool) -> Value {
        let mut create = self.operation("create", "new");
        create["data"] = json!({});
        let third = self.operation(if reading { "patch" } else { "check" }, "a");
        json!([create, self.operation("delete", "b"), third])
    }

    async fn transact(&self, operations: Value) -> Response {
        transact(&self.globex, operations).await
    }

    /// Sends it, and goes on.
    fn spawn(&self, operations: &Value) -> JoinHandle<Response> {
        tokio::spawn(self.globex.call("POST", "/transactions").json(&json!({ "operations": operations })).send())
    }

    async fn read(&self, id: &str) -> Option<Value> {
        read(&self.globex, &self.collection, id).await
    }

    /// Whether [`Case::operations`] happened, all of them or none.
    async fn happened(&self) -> bool {
        let happened = self.read("new").await.is_some();
        assert_eq!(self.read("b").await.is_none(), happened, "{}", self.collection);
        happened
    }

    /// Holds the response to [`Case::operations`] to what is there.
    async fn check_done(&self, response: Response) {
        let response = response.expect(200);
        assert!(self.happened().await);
        assert_eq!(self.read("new").await.unwrap()["version"], version(&response, 0));
        let patched = &response.json()["operations"][2]["version"];
        if !patched.is_null() {
            assert_eq!(self.read("a").await.unwrap()["version"], *patched);
        }
    }
}

/// The fates of the requests of a transaction, whose read is left alone.
fn fates(reading: bool, faults: &[Option<Fault>]) -> impl Iterator<Item = Option<Fault>> {
    reading.then_some(None).into_iter().chain(faults.iter().copied())
}

#[tokio::test]
async fn a_conflict_that_passes_is_not_noticed() {
    let (table, api) = start().await;
    for reading in [false, true] {
        let case = Case::of(&api, &format!("reading-{reading}")).await;
        let conflict = [Some(Fault::Conflict)];
        table.next(fates(reading, &conflict).chain(fates(reading, &conflict)));
        case.check_done(case.transact(case.operations(reading)).await).await;
    }
    api.shutdown().await;
}

#[tokio::test]
async fn a_conflict_that_remains_is_reported_in_time() {
    let (table, api) = start().await;
    let case = Case::of(&api, "notes").await;
    table.take();
    table.fail_always(Some(Fault::Conflict));
    let started = Instant::now();
    let response = case.transact(case.operations(false)).await.expect_problem(409, "conflict");
    assert!(started.elapsed() < LIMIT, "{:?}", started.elapsed());
    assert_eq!(response.header("retry-after"), "1");
    table.fail_always(None);
    let tries: Vec<_> = table.take().into_iter().map(|seen| seen.operation).collect();
    assert!(tries.len() > 5 && tries.iter().all(|operation| operation == "TransactWriteItems"), "{tries:?}");
    assert!(!case.happened().await);
    api.shutdown().await;
}

#[tokio::test]
async fn a_table_that_fails_is_reported_as_unavailable_in_time() {
    let (table, api) = start().await;
    for (fault, reading) in [(Fault::Throttle, true), (Fault::Fail, false), (Fault::Stall, false), (Fault::Stall, true)]
    {
        let case = Case::of(&api, &format!("{fault:?}-{reading}").to_lowercase()).await;
        table.fail_always(Some(fault));
        let started = Instant::now();
        let response = case.transact(case.operations(reading)).await.expect_problem(503, "unavailable");
        assert!(started.elapsed() < LIMIT, "{:?}", started.elapsed());
        assert_eq!(response.header("retry-after"), "1");
        table.fail_always(None);
        assert!(!case.happened().await);
    }
    api.shutdown().await;
}

/// How a response is lost: as an error, as silence, and as a conflict, because a try that failed before arrived late.
const LOST: [&[Option<Fault>]; 3] =
    [&[Some(Fault::LoseResponse)], &[Some(Fault::StallDone)], &[Some(Fault::Fail), Some(Fault::ConflictDone)]];

#[tokio::test]
async fn a_transaction_whose_response_is_lost_happens_once_and_is_reported_as_done() {
    let (table, api) = start().await;
    // And once more by its marks alone: as if DynamoDB had forgotten the token.
    let ways = LOST.into_iter().chain([&[Some(Fault::LoseResponseAndToken)][..]]);
    for (way, faults) in ways.enumerate() {
        for reading in [false, true] {
            let case = Case::of(&api, &format!("way-{way}-{reading}")).await;
            table.next(fates(reading, faults));
            case.check_done(case.transact(case.operations(reading)).await).await;
        }
    }
    api.shutdown().await;
}

#[tokio::test]
async fn deletes_and_checks_alone_are_known_again_too() {
    let (table, api) = start().await;
    // And one that is lost, sees a conflict and then another, at which the lost one arrives.
    let late = [Some(Fault::Fail), Some(Fault::Conflict), Some(Fault::ConflictDone)];
    for (way, faults) in LOST.into_iter().chain([&late[..]]).enumerate() {
        let case = Case::of(&api, &format!("way-{way}")).await;
        let operations = json!([case.operation("delete", "a"), case.operation("check", "b")]);
        table.next(faults.iter().copied());
        case.transact(operations.clone()).await.expect(200);
        assert_eq!(case.read("a").await, None);
        // Asked again it is another transaction.
        assert_eq!(failures(case.transact(operations).await), [(0, "record_not_found".to_owned())]);
    }
    api.shutdown().await;
}

#[tokio::test]
async fn what_was_read_is_read_again_when_somebody_else_was_faster() {
    let (table, api) = start().await;
    let case = Case::of(&api, "notes").await;
    // One operation is on a record that exists, one on a record that does not. Each is sent alone, so that the condition of
    // no other one protects it.
    for (op, id, merged) in [
        ("patch", "a", json!({"n": 0, "theirs": 1, "ours": 1})),
        ("put", "b", json!({"ours": 1})),
        ("put", "c", json!({"ours": 1})),
    ] {
        // While the transaction is held up between its read and its write, others write the record.
        table.next([None, Some(Fault::Hold)]);
        let mut operation = case.operation(op, id);
        operation["data"] = json!({"ours": 1});
        let call = case.spawn(&json!([operation]));
        table.stalled().await;
        let path = format!("/collections/notes/records/{id}");
        let body = json!({"data": {"theirs": 1}});
        let theirs =
            if op == "patch" { case.globex.patch(&path, &body).await } else { case.globex.put(&path, &body).await };
        table.release();
        let response = call.await.unwrap().expect(200);
        assert_eq!(case.read(id).await.unwrap()["data"], merged, "{op} {id}");
        assert_eq!(Some(version(&response, 0) - 1), theirs.json()["version"].as_u64(), "{op} {id}");
    }
    api.shutdown().await;
}

#[tokio::test]
async fn what_a_batch_leaves_out_is_read_after_it() {
    let (table, api) = start().await;
    let case = Case::of(&api, "notes").await;
    let operation = |op: &str, id: &str| {
        let mut operation = case.operation(op, id);
        operation["data"] = json!({"n": 1});
        operation
    };
    table.take();
    table.next([Some(Fault::Partly), Some(Fault::Partly)]);
    case.transact(json!([operation("patch", "a"), operation("put", "new"), operation("patch", "b")])).await.expect(200);
    let seen = table.take();
    let reads: Vec<_> = seen.iter().filter(|seen| seen.operation == "BatchGetItem").collect();
    assert_eq!(reads.len(), 3);
    assert!(reads.iter().all(|read| read.body["RequestItems"]["Table"]["ConsistentRead"] == true), "{reads:?}");
    for id in ["a", "b", "new"] {
        assert_eq!(case.read(id).await.unwrap()["data"], json!({"n": 1}));
    }
    api.shutdown().await;
}

#[tokio::test]
async fn a_function_that_dies_leaves_all_of_a_transaction_or_nothing() {
    let (table, api) = start().await;
    for (fault, done) in [(Fault::Stall, false), (Fault::StallDone, true)] {
        for reading in [false, true] {
            let case = Case::of(&api, &format!("{done}-{reading}")).await;
            table.next(fates(reading, &[Some(fault)]));
            let call = case.spawn(&case.operations(reading));
            table.stalled().await;
            api.local.functions().kill("transactions");
            call.await.unwrap().expect(502);
            assert_eq!(case.happened().await, done);
            // The same again: it happens now, or is reported to have happened.
            let again = case.transact(case.operations(reading)).await;
            if done {
                let failed = failures(again);
                assert!(failed.contains(&(0, "record_exists".to_owned())), "{failed:?}");
            } else {
                case.check_done(again).await;
            }
        }
    }
    api.shutdown().await;
}
