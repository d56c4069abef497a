//! One interleaving: a write, what becomes of its attempts, and what happens meanwhile.

use proptest::prelude::*;
use serde_json::{Value, json};
use testkit::adversary::{Adversary, Arrival, Fate, Silence};

use crate::support::{Call, Caller, Response};

/// A contradiction between the responses and what happened.
pub(super) type Finding = TestCaseError;

/// The write that is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Write {
    Create,
    Put(If),
    Patch(If),
    Delete(If),
    /// A transaction with this operation and another one.
    Transact(Operation),
    CreateToken,
    RevokeToken,
}

/// The write's precondition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum If {
    None,
    /// There is a record.
    Any,
    /// There is none.
    Absent,
    /// The version that there is.
    Current,
    /// That and the two after it.
    Several,
    /// A version that there never was.
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Create,
    Put,
    PutVersion,
    Patch,
    Delete,
}

/// An action while the service waits, or afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Another client writes the record, or revokes the token, and gets the response that it has.
    RivalPuts,
    RivalPatches,
    RivalDeletes,
    /// Everything that is late arrives.
    Late,
}

#[derive(Debug, Clone)]
pub(super) struct Case {
    write: Write,
    /// Whether the record, or the token, is there before.
    exists: bool,
    /// Whether there is an idempotency key. Then the request is repeated when its outcome is unknown.
    keyed: bool,
    pub(super) fates: Vec<Fate>,
    /// At the first attempt that fails, at the second...
    pub(super) meanwhile: Vec<Vec<Action>>,
    pub(super) afterwards: Vec<Action>,
}

/// The state before a case.
pub(super) struct World {
    collection: String,
    key: String,
    version: u64,
    token: String,
}

fn any_write() -> impl Strategy<Value = Write> {
    let precondition = || {
        prop::sample::select(vec![
            If::None,
            If::None,
            If::Any,
            If::Absent,
            If::Current,
            If::Current,
            If::Several,
            If::Never,
        ])
    };
    let operation = prop::sample::select(vec![
        Operation::Create,
        Operation::Put,
        Operation::PutVersion,
        Operation::Patch,
        Operation::Delete,
    ]);
    prop_oneof![
        2 => Just(Write::Create),
        6 => precondition().prop_map(Write::Put),
        4 => precondition().prop_map(Write::Patch),
        5 => precondition().prop_map(Write::Delete),
        6 => operation.prop_map(Write::Transact),
        1 => Just(Write::CreateToken),
        1 => Just(Write::RevokeToken),
    ]
}

fn any_fate() -> impl Strategy<Value = Fate> {
    let silence = prop_oneof![12 => Just(Silence::Error), 4 => Just(Silence::Torn), 1 => Just(Silence::Timeout)];
    (0..12, silence).prop_map(|(kind, silence)| match kind {
        0..3 => Fate::LoseResponse(silence),
        3..6 => Fate::LoseRequest(silence),
        6..9 => Fate::Late(silence),
        9 => Fate::Throttle,
        10 => Fate::Conflict,
        _ => Fate::Arrive,
    })
}

fn any_actions() -> impl Strategy<Value = Vec<Action>> {
    let action = prop::sample::select(vec![
        Action::RivalPuts,
        Action::RivalPatches,
        Action::RivalDeletes,
        Action::RivalDeletes,
        Action::Late,
        Action::Late,
    ]);
    prop::collection::vec(action, 0..=2)
}

pub(super) fn any_case() -> impl Strategy<Value = Case> {
    let fates = prop::collection::vec(any_fate(), 1..=3);
    let meanwhile = prop::collection::vec(any_actions(), 0..=3);
    (any_write(), any::<bool>(), any::<bool>(), fates, meanwhile, any_actions()).prop_map(
        |(write, exists, keyed, fates, meanwhile, afterwards)| {
            // The key of a revocation is ignored.
            let keyed = keyed && write != Write::RevokeToken;
            Case { write, exists, keyed, fates, meanwhile, afterwards }
        },
    )
}

impl World {
    fn path(&self) -> String {
        format!("/collections/{}/records/r", self.collection)
    }

    /// The request.
    pub(super) fn call(&self, caller: &Caller<'_>, case: &Case) -> Call {
        let data = json!({"data": {"by": "A"}});
        let call = match case.write {
            Write::Create => caller.call("POST", &format!("/collections/{}/records", self.collection)).json(&data),
            Write::Put(precondition) => self.conditional(caller.call("PUT", &self.path()).json(&data), precondition),
            Write::Patch(precondition) => {
                self.conditional(caller.call("PATCH", &self.path()).json(&data), precondition)
            }
            Write::Delete(precondition) => self.conditional(caller.call("DELETE", &self.path()), precondition),
            Write::Transact(operation) => caller.call("POST", "/transactions").json(&self.operations(operation)),
            Write::CreateToken => {
                caller.call("POST", "/tokens").json(&json!({"name": self.collection, "scopes": ["records:read"]}))
            }
            Write::RevokeToken => caller.call("DELETE", &format!("/tokens/{}", self.token)),
        };
        if case.keyed { call.header("idempotency-key", &self.key) } else { call }
    }

    fn conditional(&self, call: Call, precondition: If) -> Call {
        let version = self.version;
        match precondition {
            If::None => call,
            If::Any => call.header("if-match", "*"),
            If::Absent => call.header("if-none-match", "*"),
            If::Current => call.header("if-match", &format!("\"{version}\"")),
            If::Several => call.header("if-match", &format!("\"{version}\", \"{}\", \"{}\"", version + 1, version + 2)),
            If::Never => call.header("if-match", "\"1\""),
        }
    }

    fn operations(&self, operation: Operation) -> Value {
        let of = |op: &str, id: &str| json!({"op": op, "collection": self.collection, "id": id});
        let with_data = |op: &str, id: &str| {
            let mut operation = of(op, id);
            operation["data"] = json!({"by": "A"});
            operation
        };
        let mut put_version = with_data("put", "r");
        put_version["ifVersion"] = json!(self.version);
        json!({"operations": match operation {
            Operation::Create => json!([with_data("create", "r"), with_data("put", "s")]),
            Operation::Put => json!([with_data("put", "r")]),
            Operation::PutVersion => json!([put_version, with_data("create", "s")]),
            Operation::Patch => json!([with_data("patch", "r"), with_data("create", "s")]),
            Operation::Delete => json!([of("delete", "r")]),
        }})
    }

    /// Does these while nothing is watched.
    pub(super) async fn act(&self, network: &Adversary, caller: &Caller<'_>, case: &Case, actions: &[Action]) {
        for action in actions {
            if *action == Action::Late {
                network.deliver_late().await;
                continue;
            }
            let fates = network.cease();
            for path in self.rivals_paths(caller, case).await {
                let data = json!({"data": {"by": "B"}});
                let response = match action {
                    Action::RivalPuts if path.starts_with("/collections") => caller.put(&path, &data).await,
                    Action::RivalPatches if path.starts_with("/collections") => caller.patch(&path, &data).await,
                    _ => caller.delete(&path).await,
                };
                assert!(response.status < 500, "{response:?}");
            }
            network.resume(fates);
        }
    }

    /// Where the other client writes: it finds what the write has made.
    async fn rivals_paths(&self, caller: &Caller<'_>, case: &Case) -> Vec<String> {
        let list = match case.write {
            Write::Create => format!("/collections/{}/records?consistent=true", self.collection),
            Write::CreateToken => "/tokens?order=desc&limit=5&consistent=true".to_owned(),
            Write::RevokeToken => return vec![format!("/tokens/{}", self.token)],
            _ => return vec![self.path()],
        };
        let found = caller.get(&list).await.expect(200).json();
        let found = found["items"].as_array().unwrap().clone();
        let of_case = |one: &&Value| case.write == Write::Create || one["name"] == self.collection.as_str();
        let path = |one: &Value| match case.write {
            Write::Create => format!("/collections/{}/records/{}", self.collection, one["id"].as_str().unwrap()),
            _ => format!("/tokens/{}", one["id"].as_str().unwrap()),
        };
        found.iter().filter(of_case).map(path).collect()
    }
}

impl Case {
    /// How often the request is sent at most.
    pub(super) fn calls(&self) -> usize {
        if self.keyed { 2 } else { 1 }
    }

    pub(super) async fn prepare(&self, caller: &Caller<'_>, number: u32) -> World {
        let mut world = World {
            collection: format!("case-{number}"),
            key: format!("the-key-of-the-case-with-the-number-{number}"),
            version: 1,
            token: "01K0N0T0KEN000000000000000".to_owned(),
        };
        if self.exists && self.write == Write::RevokeToken {
            let token = json!({"name": world.collection, "scopes": ["records:read"]});
            let token = caller.post("/tokens", &token).await.expect(201).json();
            token["id"].as_str().unwrap().clone_into(&mut world.token);
        } else if self.exists && self.write != Write::Create {
            let record = caller.put(&world.path(), &json!({"data": {"by": "nobody"}})).await.expect(201).json();
            world.version = record["version"].as_u64().unwrap();
        }
        world
    }

    /// Compares the responses, and the number of arrivals before each, with what happened.
    pub(super) fn judge(&self, responses: &[(Response, usize)], arrivals: &[Arrival]) -> Result<(), Finding> {
        for (call, (response, at)) in responses.iter().enumerate() {
            let of_write = |arrival: &&Arrival| arrival.changed && (self.keyed || arrival.call == call);
            let before: Vec<_> = arrivals.iter().take(*at).filter(of_write).collect();
            let after: Vec<_> = arrivals.iter().skip(*at).filter(of_write).collect();
            prop_assert!(before.len() + after.len() <= 1, "it had two effects; {response:?}");
            match response.status {
                // Whoever ended the token, it is not there any more.
                204 if self.write == Write::RevokeToken => {}
                200..300 => {
                    prop_assert!(after.is_empty(), "it had an effect after it was reported as done: {response:?}");
                    let Some(arrival) = before.first() else {
                        return Err(TestCaseError::fail(format!("it is reported as done and was not: {response:?}")));
                    };
                    self.check_version(response, arrival)?;
                }
                400..500 => {
                    let own = arrivals.iter().filter(|arrival| arrival.changed && arrival.call == call).count();
                    prop_assert_eq!(own, 0, "it was done, and is reported as rejected: {:?}", response);
                }
                503 => prop_assert!(!self.is_certain(), "all that failed did nothing: {response:?}"),
                _ => return Err(TestCaseError::fail(format!("{response:?}"))),
            }
        }
        Ok(())
    }

    /// Whether all attempts that failed certainly did nothing.
    fn is_certain(&self) -> bool {
        self.fates.iter().all(|fate| matches!(fate, Fate::Arrive | Fate::Throttle | Fate::Conflict))
    }

    /// The record in the response is the one that was written.
    fn check_version(&self, response: &Response, arrival: &Arrival) -> Result<(), Finding> {
        if !matches!(self.write, Write::Create | Write::Put(_) | Write::Patch(_)) {
            return Ok(());
        }
        let record = response.json();
        let is_it = |item: &&Value| item["sk"]["S"] == record["id"] && item["version"].is_object();
        let partition = format!("#R#{}", record["collection"].as_str().unwrap_or_default());
        let in_collection = |item: &&Value| item["pk"]["S"].as_str().unwrap().ends_with(&partition);
        let item = arrival.stored.iter().filter(in_collection).find(is_it);
        let version = item.map(|item| item["version"]["N"].as_str().unwrap_or_default().to_owned());
        prop_assert_eq!(version, Some(record["version"].to_string()), "{:?}", response);
        Ok(())
    }
}
