//! API Gateway rejects a call of a change, with every error that it documents. The operator reads the reason, the tenant is
//! not busy, and the change is completed once the cause is gone.

use std::collections::BTreeSet;

use local::gateway::keys::NewKey;
use serde_json::{Value, json};
use service::domain::tenant::TenantId;
use service::domain::tenant::lifecycle::FailureCode;
use testkit::api_gateway::{ErrorKind, Fault, Operation};

use super::{NOTE, TENANTS, act, offboard, onboard, operator};
use crate::support::contract::CONTRACT;
use crate::support::{Api, Caller, Response, read};

/// The errors after which the SDK retries, which takes seconds.
const RETRIED: [Fault; 3] =
    [Fault::Throttle, Fault::Error(ErrorKind::LimitExceeded), Fault::Error(ErrorKind::ServiceUnavailable)];

/// The code of the failure where an operation meets an error.
fn code(operation: Operation, error: Fault) -> &'static str {
    use Operation::{CreateApiKey, CreateUsagePlanKey, DeleteUsagePlanKey, GetApiKey, GetUsagePlanKey};
    let Fault::Error(kind) = error else { return "unavailable" };
    match (operation, kind) {
        (CreateApiKey, ErrorKind::Conflict) => "api_key_conflict",
        (CreateApiKey, ErrorKind::LimitExceeded) => "api_key_limit_reached",
        (CreateUsagePlanKey | GetUsagePlanKey, ErrorKind::LimitExceeded) => "usage_plan_limit_reached",
        // Or the key is in none of the plans that it was removed from, and not in its own either.
        (CreateUsagePlanKey | GetUsagePlanKey, ErrorKind::Conflict)
        | (DeleteUsagePlanKey | GetUsagePlanKey, ErrorKind::NotFound) => "usage_plan_conflict",
        // Or the call that was denied for a key that seems to be gone is denied for the one that is found, too.
        (_, ErrorKind::AccessDenied | ErrorKind::Unauthorized) | (GetApiKey, ErrorKind::NotFound) => "access_denied",
        (_, ErrorKind::BadRequest | ErrorKind::NotFound) => "request_rejected",
        (_, ErrorKind::Conflict | ErrorKind::LimitExceeded | ErrorKind::ServiceUnavailable) => "unavailable",
    }
}

/// A change that makes a call of API Gateway, and what it leads to.
#[derive(Debug, Clone, Copy)]
enum Change {
    Onboard,
    Move,
    Suspend,
    Offboard,
}

impl Change {
    async fn request(self, operator: &Caller<'_>, id: &str) -> Response {
        let path = format!("{TENANTS}/{id}");
        match self {
            Self::Onboard => operator.post(TENANTS, &json!({"id": id, "name": id, "plan": "free"})).await,
            Self::Move => operator.patch(&path, &json!({"plan": "pro"})).await,
            Self::Suspend => act(operator, id, "suspend").await,
            Self::Offboard => operator.delete(&path).await,
        }
    }

    /// Asks for the same once more.
    async fn ask_again(self, operator: &Caller<'_>, id: &str) -> Response {
        match self {
            Self::Onboard => operator.patch(&format!("{TENANTS}/{id}"), &json!({"plan": "free"})).await,
            Self::Move | Self::Suspend | Self::Offboard => self.request(operator, id).await,
        }
    }

    /// The tenant's status while the change fails, its status when it is done, and then whether its key is enabled, and its
    /// plan.
    fn outcome(self) -> (&'static str, &'static str, Option<(bool, &'static str)>) {
        match self {
            Self::Onboard => ("onboarding", "active", Some((true, "free"))),
            Self::Move => ("active", "active", Some((true, "pro"))),
            Self::Suspend => ("suspended", "suspended", Some((false, "free"))),
            Self::Offboard => ("offboarding", "offboarded", None),
        }
    }
}

/// The failure that a response tells of.
fn failure(response: &Value) -> &str {
    response["failure"]["code"].as_str().unwrap_or_else(|| panic!("{response} has no failure"))
}

async fn get(operator: &Caller<'_>, id: &str) -> Value {
    operator.get(&format!("{TENANTS}/{id}")).await.expect(200).json()
}

/// A client whose token no authorizer has seen yet.
async fn unseen<'a>(api: &'a Api, id: &str) -> Caller<'a> {
    api.caller_with(id, &[("scope", "records:read")]).await
}

/// Lets a call fail with every error, each on the way of a change of another tenant. The call may be made only where others
/// fail as well.
async fn every_error_ends_well(operation: Operation, change: Change, others: &[(Operation, ErrorKind)]) {
    let immediate: Vec<_> =
        ErrorKind::ALL.into_iter().map(Fault::Error).filter(|error| !RETRIED.contains(error)).collect();
    let end_well = |errors| Box::pin(errors_end_well(errors, operation, change, others));
    let [first, second, third] = RETRIED.map(|error| end_well(vec![error]));
    tokio::join!(end_well(immediate), first, second, third);
}

async fn errors_end_well(errors: Vec<Fault>, operation: Operation, change: Change, others: &[(Operation, ErrorKind)]) {
    let api = Api::start().await;
    let operator = operator(&api).await;
    let api_gateway = &api.api_gateway;
    for error in errors {
        let case = format!("{operation} {error:?}");
        let id = TenantId::generate().to_string();
        if !matches!(change, Change::Onboard) {
            Change::Onboard.request(&operator, &id).await.expect(201);
        } else if operation == Operation::GetApiKeys {
            let name = Some(format!("local-{id}"));
            api.local.keys().create(NewKey { name, ..NewKey::of_stack(&id) }).unwrap();
        }
        if operation == Operation::GetUsagePlans {
            // The function caches the list.
            api.local.functions().kill("tenants");
        }
        api_gateway.fail_always(operation, Some(error));
        for (other, kind) in others {
            api_gateway.fail_always(*other, Some(Fault::Error(*kind)));
        }

        let (pending, done, key) = change.outcome();
        let response = change.request(&operator, &id).await.expect(202).json();
        assert_eq!((failure(&response), &response["status"]), (code(operation, error), &json!(pending)), "{case}");
        assert_eq!(get(&operator, &id).await, response, "{case}");
        if pending != "active" {
            unseen(&api, &id).await.get(NOTE).await.expect(403);
        }
        if !RETRIED.contains(&error) {
            let again = change.ask_again(&operator, &id).await.expect(202).json();
            assert_eq!((failure(&again), &again["change"]), (failure(&response), &response["change"]), "{case}");
        }

        api_gateway.fail_always(operation, None);
        for (other, _) in others {
            api_gateway.fail_always(*other, None);
        }
        api.sweep().await;
        if matches!(change, Change::Offboard) {
            api.finish_offboarding(&id).await;
        }
        let healed = get(&operator, &id).await;
        assert_eq!((&healed["status"], healed.get("change")), (&json!(done), None), "{case}: {healed}");
        assert_eq!(healed.get("failure"), None, "{case}");
        let found = api.local.keys().find(&id).map(|key| (key.enabled, key.plan));
        assert_eq!(found, key.map(|(enabled, plan)| (enabled, Some(plan.to_owned()))), "{case}");
    }
    api.shutdown().await;
}

#[tokio::test]
async fn usage_plans_that_cannot_be_listed() {
    every_error_ends_well(Operation::GetUsagePlans, Change::Onboard, &[]).await;
}

#[tokio::test]
async fn an_api_key_that_cannot_be_created() {
    every_error_ends_well(Operation::CreateApiKey, Change::Onboard, &[]).await;
}

#[tokio::test]
async fn an_api_key_that_cannot_be_found() {
    every_error_ends_well(Operation::GetApiKeys, Change::Onboard, &[]).await;
}

#[tokio::test]
async fn an_api_key_that_cannot_be_disabled() {
    every_error_ends_well(Operation::UpdateApiKey, Change::Suspend, &[]).await;
}

#[tokio::test]
async fn an_api_key_that_cannot_be_read() {
    let denied = [(Operation::UpdateApiKey, ErrorKind::AccessDenied)];
    every_error_ends_well(Operation::GetApiKey, Change::Suspend, &denied).await;
}

#[tokio::test]
async fn an_api_key_that_cannot_be_placed() {
    every_error_ends_well(Operation::CreateUsagePlanKey, Change::Move, &[]).await;
}

#[tokio::test]
async fn a_place_that_cannot_be_looked_at() {
    let taken = [(Operation::CreateUsagePlanKey, ErrorKind::Conflict)];
    every_error_ends_well(Operation::GetUsagePlanKey, Change::Move, &taken).await;
}

#[tokio::test]
async fn a_place_that_cannot_be_removed() {
    every_error_ends_well(Operation::DeleteUsagePlanKey, Change::Move, &[]).await;
}

#[tokio::test]
async fn an_api_key_that_cannot_be_deleted() {
    every_error_ends_well(Operation::DeleteApiKey, Change::Offboard, &[]).await;
}

const DENIED: Option<Fault> = Some(Fault::Error(ErrorKind::AccessDenied));

#[tokio::test]
async fn a_tenant_is_cut_off_and_never_let_in_while_its_api_key_cannot_be_changed() {
    let api = Api::start().await;
    let operator = operator(&api).await;
    let id = onboard(&operator, &json!({"name": "Initech", "plan": "free"})).await;
    let path = format!("{TENANTS}/{id}");
    api.api_gateway.fail_always(Operation::UpdateApiKey, DENIED);
    let is_cut_off = async || unseen(&api, &id).await.get(NOTE).await.expect_problem(403, "tenant_suspended");
    for (action, change) in [("suspend", "suspend"), ("resume", "resume"), ("suspend", "suspend")] {
        let response = act(&operator, &id, action).await.expect(202).json();
        assert_eq!((&response["status"], &response["change"]), (&json!("suspended"), &json!(change)));
        is_cut_off().await;
        // A move goes along with what is not done.
        for plan in ["pro", "free"] {
            let response = operator.patch(&path, &json!({"plan": plan})).await.expect(202).json();
            assert_eq!((&response["plan"], &response["change"]), (&json!(plan), &json!(change)));
            assert_eq!((failure(&response), &response["status"]), ("access_denied", &json!("suspended")));
        }
        is_cut_off().await;
        // A change that needs no API key is made meanwhile, and leaves the pending one as it is.
        let renamed = operator.patch(&path, &json!({"name": format!("{action}ed")})).await.expect(202).json();
        assert_eq!((failure(&renamed), &renamed["change"]), ("access_denied", &json!(change)));
        operator.post(&format!("{path}/keys"), &json!({"overlap": 0})).await.expect(201);
    }
    offboard(&operator, &id).await;
    api.shutdown().await;
}

#[tokio::test]
async fn a_move_that_failed_is_left_by_a_move_back() {
    let api = Api::start().await;
    let operator = operator(&api).await;
    let id = onboard(&operator, &json!({"name": "Initech", "plan": "free"})).await;
    let path = format!("{TENANTS}/{id}");
    let api_gateway = &api.api_gateway;
    api_gateway.fail_always(Operation::CreateUsagePlanKey, DENIED);
    operator.patch(&path, &json!({"plan": "pro"})).await.expect(202);
    assert_eq!(api.local.keys().find(&id).unwrap().plan, None, "it has left its plan");
    api_gateway.fail_always(Operation::CreateUsagePlanKey, None);
    operator.patch(&path, &json!({"plan": "free"})).await.expect(200);
    assert_eq!(api.local.keys().find(&id).unwrap().plan.as_deref(), Some("free"));
    api.caller(&id).await.get(NOTE).await.expect(404);
    api.shutdown().await;
}

#[tokio::test]
async fn an_onboarding_that_failed_is_left_by_any_change() {
    let api = Api::start().await;
    let operator = operator(&api).await;
    let api_gateway = &api.api_gateway;
    let begin = async |name: &str| {
        api_gateway.fail_always(Operation::CreateApiKey, DENIED);
        let begun = operator.post(TENANTS, &json!({"name": name, "plan": "free"})).await.expect(202).json();
        api_gateway.fail_always(Operation::CreateApiKey, None);
        begun["id"].as_str().unwrap().to_owned()
    };
    let id = begin("resumed").await;
    assert_eq!(act(&operator, &id, "resume").await.expect(200).json()["status"], "active");
    let id = begin("moved").await;
    let moved = operator.patch(&format!("{TENANTS}/{id}"), &json!({"plan": "pro"})).await.expect(200).json();
    assert_eq!((&moved["status"], &moved["plan"]), (&json!("active"), &json!("pro")));
    let id = begin("suspended").await;
    assert_eq!(act(&operator, &id, "suspend").await.expect(200).json()["status"], "suspended");
    assert!(!api.local.keys().find(&id).unwrap().enabled, "it never was");
    assert_eq!(act(&operator, &id, "resume").await.expect(200).json()["status"], "active");
    let id = begin("offboarded").await;
    offboard(&operator, &id).await;
    api.finish_offboarding(&id).await;
    assert_eq!(get(&operator, &id).await["status"], "offboarded");
    onboard(&operator, &json!({"name": "offboarded", "plan": "free"})).await;
    api.shutdown().await;
}

#[tokio::test]
async fn an_offboarding_that_failed_continues_when_it_is_requested_again_and_cannot_be_left() {
    let api = Api::start().await;
    let operator = operator(&api).await;
    let id = onboard(&operator, &json!({"name": "Initech", "plan": "free"})).await;
    let path = format!("{TENANTS}/{id}");
    api.api_gateway.fail_always(Operation::DeleteApiKey, DENIED);
    assert_eq!(failure(&operator.delete(&path).await.expect(202).json()), "access_denied");
    for action in ["suspend", "resume"] {
        act(&operator, &id, action).await.expect_problem(409, "change_not_allowed");
    }
    operator.patch(&path, &json!({"plan": "pro"})).await.expect_problem(409, "change_not_allowed");
    api.api_gateway.fail_always(Operation::DeleteApiKey, None);
    offboard(&operator, &id).await;
    api.shutdown().await;
}

#[tokio::test]
async fn an_api_key_that_belongs_to_another_is_reported_and_not_taken() {
    let api = Api::start().await;
    let operator = operator(&api).await;
    let id = TenantId::generate().to_string();
    let theirs = NewKey { value: Some(id.clone()), name: Some("theirs".into()), ..NewKey::default() };
    let theirs = api.local.keys().create(theirs).unwrap();
    let response = Change::Onboard.request(&operator, &id).await.expect(202).json();
    assert_eq!(failure(&response), "api_key_conflict");
    assert_eq!(api.local.keys().get(&theirs.id).unwrap(), theirs);
    api.local.keys().delete(&theirs.id).unwrap();
    assert_eq!(Change::Onboard.ask_again(&operator, &id).await.expect(200).json()["status"], "active");
    api.shutdown().await;
}

/// IAM compares the tags of a key before API Gateway looks for it, so it denies calls for one that is gone.
#[tokio::test]
async fn an_api_key_that_is_gone_is_created_again_where_its_tags_cannot_be_compared() {
    let api = Api::start().await;
    let operator = operator(&api).await;
    let id = onboard(&operator, &json!({"name": "Initech", "plan": "free"})).await;
    api.local.keys().remove(&id);
    api.api_gateway.fail_next([DENIED]);
    act(&operator, &id, "resume").await.expect(200);
    assert!(api.local.keys().find(&id).unwrap().enabled);
    api.local.keys().remove(&id);
    api.api_gateway.fail_next([DENIED]);
    offboard(&operator, &id).await;
    api.shutdown().await;
}

#[tokio::test]
async fn usage_plans_that_were_replaced_are_listed_again() {
    let api = Api::start().await;
    let operator = operator(&api).await;
    let id = onboard(&operator, &json!({"name": "Initech", "plan": "free"})).await;
    let api_gateway = &api.api_gateway;
    let lists = || api_gateway.calls().iter().filter(|call| call.operation == Operation::GetUsagePlans).count();
    let before = lists();
    // It is disabled or enabled, and removed from two plans, before it comes into its own.
    api_gateway.fail_next([None, None, None, Some(Fault::Error(ErrorKind::NotFound))]);
    operator.patch(&format!("{TENANTS}/{id}"), &json!({"plan": "pro"})).await.expect(200);
    assert_eq!(lists(), before + 1);
    api.shutdown().await;
}

#[tokio::test]
async fn changes_that_fail_repeatedly_keep_the_sweep_from_no_other() {
    let api = Api::start_with(|options| options.seed = false).await;
    let operator = operator(&api).await;
    let api_gateway = &api.api_gateway;
    api_gateway.fail_always(Operation::CreateApiKey, DENIED);
    // More than one sweep goes on with. After the second failure each of them waits for a minute.
    for _ in 0..30 {
        Change::Onboard.request(&operator, &TenantId::generate().to_string()).await.expect(202);
    }
    api.sweep().await;
    api.sweep().await;
    let last = TenantId::generate().to_string();
    Change::Onboard.request(&operator, &last).await.expect(202);
    api_gateway.fail_always(Operation::CreateApiKey, None);
    let calls = api_gateway.calls().len();
    api.sweep().await;
    assert_eq!(get(&operator, &last).await["status"], "active");
    let creations = api_gateway.calls().split_off(calls);
    let creations = creations.iter().filter(|call| call.operation == Operation::CreateApiKey).count();
    assert_eq!(creations, 1, "the others wait");
    api.shutdown().await;
}

#[test]
fn every_code_is_promised_and_documented() {
    let codes: BTreeSet<_> = FailureCode::ALL.iter().map(AsRef::as_ref).collect();
    let promised = &CONTRACT["components"]["schemas"]["TenantFailure"]["properties"]["code"];
    let listed = promised["enum"].as_array().unwrap().iter().map(|code| code.as_str().unwrap());
    assert_eq!(listed.collect::<BTreeSet<_>>(), codes);
    let description = promised["description"].as_str().unwrap();
    let described = description.lines().filter_map(|line| line.strip_prefix("- `")?.split('`').next());
    assert_eq!(described.collect::<BTreeSet<_>>(), codes);
    let docs = read("docs/guides/tenants.md");
    let section = docs.split("## When a change fails").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    assert_eq!(rows.collect::<BTreeSet<_>>(), codes);
}
