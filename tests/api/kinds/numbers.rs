//! Numbers without gaps, whatever happens to the processes that give them out, to their requests and to the responses.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::Value;
use testkit::dynamodb::{DynamoDb, Fault};

use super::function::{Function, Request, Response};
use super::ticket;

const CLIENTS: usize = 16;
const TICKETS: usize = 1000;

/// Sends a request until it gets a response that says what happened, as a client does that has an idempotency key.
async fn insist(function: &Function, request: &Request) -> Response {
    loop {
        match function.try_send(request).await {
            Some(response) if ![409, 503].contains(&response.status) => return response,
            _ => {}
        }
    }
}

async fn tickets(function: &Function) -> Vec<Value> {
    function.list(&Request::new("GET", "/tickets").query("limit", 100).query("consistent", true)).await.0
}

fn numbers(tickets: &[Value]) -> Vec<u64> {
    tickets.iter().map(|ticket| ticket["id"].as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_clients_append_a_thousand_items_while_processes_are_killed() {
    let function = Function::start_with(|options| options.environments = CLIENTS).await;
    let (next, done, killed) = (AtomicUsize::new(0), AtomicBool::new(false), AtomicUsize::new(0));
    let client = async || {
        let mut given = Vec::new();
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= TICKETS {
                return given;
            }
            let request = ticket("ann").header("Idempotency-Key", format!("ticket-{n}"));
            given.push(insist(&function, &request).await.expect(201)["id"].as_u64().unwrap());
            // In the middle of the other clients' requests.
            if n % 50 == 25 {
                function.0.functions().kill("probe-kinds");
                killed.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    let given = futures_util::future::join_all((0..CLIENTS).map(|_| client())).await;
    done.store(true, Ordering::Relaxed);
    assert_eq!(killed.load(Ordering::Relaxed), TICKETS / 50);
    let expected: Vec<_> = (1..=u64::try_from(TICKETS).unwrap()).collect();
    assert_eq!(numbers(&tickets(&function).await), expected, "a gap, or a number too many");
    let given: BTreeSet<_> = given.into_iter().flatten().collect();
    assert_eq!(given.into_iter().collect::<Vec<_>>(), expected, "two clients have the same number");
    function.0.shutdown().await;
}

#[tokio::test]
async fn a_lost_response_of_the_table_leaves_no_gap_and_gives_no_number_twice() {
    let table = DynamoDb::start().await;
    let function = Function::start_with(|options| options.dynamodb_endpoint = Some(table.endpoint.clone())).await;
    function.send(&ticket("ann")).await.expect(201);
    for keyed in [false, true] {
        for fault in
            [Fault::LoseResponse, Fault::LoseResponseAndToken, Fault::Fail, Fault::Conflict, Fault::ConflictDone]
        {
            let before = numbers(&tickets(&function).await);
            let mut request = ticket("ben");
            if keyed {
                request = request.header("Idempotency-Key", format!("{fault:?}"));
            }
            // The first request reads the counter.
            table.next([None, Some(fault)]);
            let response = insist_if(&function, &request, keyed).await;
            table.next([]);
            let after = numbers(&tickets(&function).await);
            let expected: Vec<_> = (1..=u64::try_from(before.len()).unwrap() + 1).collect();
            assert_eq!(after, expected, "{fault:?}, {keyed}: {response:?}");
            assert_eq!(response.expect(201)["id"], expected.len(), "{fault:?}, {keyed}");
        }
    }
    function.0.shutdown().await;
}

async fn insist_if(function: &Function, request: &Request, keyed: bool) -> Response {
    if keyed { insist(function, request).await } else { function.send(request).await }
}
