//! The end of a tenant that has items of a kind of which this library knows nothing.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use service::domain::caller::Caller;
use service::domain::idempotency::{KeyedRequest, ReplyTo, StoredReply};
use service::domain::kind::{Chosen, Id as _, Index, Kind, Number};
use service::domain::precondition::Precondition;
use service::runtime::aws;
use service::store::Store;
use service::store::items::ItemError;

use super::{TENANTS, onboard, operator};
use crate::support::Api;

service::scopes! {
    /// Reading and writing.
    Everything = "boats:write",
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Boat {
    harbor: String,
}

impl Kind for Boat {
    const NAME: &'static str = "boats";
    type Id = Number;
    type Read = Everything;
    type Write = Everything;
    const INDEXES: &'static [Index<Self>] = &[Index { name: "harbor", key: |boat| Some(boat.harbor.clone()) }];
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Harbor {
    berths: u32,
}

impl Kind for Harbor {
    const NAME: &'static str = "harbors";
    type Id = Chosen;
    type Read = Everything;
    type Write = Everything;
}

/// No reply is stored.
struct NoReply;

impl<T> ReplyTo<T> for NoReply {
    fn request(&self) -> Option<&KeyedRequest> {
        None
    }

    fn stored(&self, _: &T) -> Option<StoredReply> {
        None
    }
}

fn access(tenant: &str) -> service::domain::caller::Access<Everything> {
    let context = [("tenant", tenant), ("scopes", "boats:write")].map(|(name, value)| (name.to_owned(), value.into()));
    Caller::from_context(&context.into()).unwrap().access().unwrap()
}

async fn fill(store: &Store, tenant: &str, boats: usize) {
    let access = access(tenant);
    for n in 0..boats {
        let boat = |_, _| Boat { harbor: format!("h{}", n % 2) };
        let added: Result<_, ItemError<()>> = store.item_append(&access, boat, &NoReply).await;
        added.unwrap();
    }
    let harbor = (Chosen::from_sort_key("h0").unwrap(), Harbor { berths: 3 });
    let put: Result<_, ItemError<()>> =
        store.item_put(&access, &harbor.0, &harbor.1, &Precondition::default(), &NoReply).await;
    put.unwrap();
}

async fn export(api: &Api, tenant: &str) -> (Vec<Value>, usize) {
    let operator = operator(api).await;
    let (mut lines, mut pages, mut path) = (Vec::new(), 0, format!("{TENANTS}/{tenant}/export"));
    loop {
        let page = operator.get(&path).await.expect(200);
        lines.extend(page.text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
        pages += 1;
        // `</v1/admin/...>; rel="next"`
        let Some((next, _)) = page.header("link").split_once('>') else { return (lines, pages) };
        next.trim_start_matches("</v1").clone_into(&mut path);
    }
}

#[tokio::test]
async fn kinds_that_nobody_knows_are_exported_and_removed() {
    let api = Api::start().await;
    let operator = operator(&api).await;
    let id = onboard(&operator, &json!({"name": "Initech", "plan": "pro"})).await;
    let stays = onboard(&operator, &json!({"name": "Hooli", "plan": "pro"})).await;
    let store = Store::new(aws::dynamodb(&api.aws_config(), aws::connector()), "Table");
    let caller = api.caller(&id).await;
    caller.put("/collections/notes/records/a", &json!({"data": {"n": 1}})).await.expect(201);
    fill(&store, &id, 103).await;
    fill(&store, &stays, 2).await;

    let (lines, pages) = export(&api, &id).await;
    assert!(pages > 1, "the boats take more than a page");
    let of = |kind: &str| lines.iter().filter(|line| line["kind"] == kind).collect::<Vec<_>>();
    assert_eq!(lines.iter().filter(|line| line["collection"] == "notes").count(), 1);
    let numbers: Vec<_> = of("boats").iter().map(|boat| boat["id"].as_str().unwrap().parse::<u64>().unwrap()).collect();
    assert_eq!(numbers, (1..=103).collect::<Vec<_>>());
    assert_eq!(of("boats")[0]["data"], json!({ "harbor": "h0" }));
    assert_eq!(of("boats")[0]["schema"], 1);
    assert_eq!(of("harbors").len(), 1);
    assert_eq!(of("harbors")[0]["id"], "h0");
    assert_eq!(lines.len(), 105, "no line twice, and none of an index or a counter");

    operator.delete(&format!("{TENANTS}/{id}")).await.expect(202);
    api.finish_offboarding(&id).await;
    assert_eq!(operator.get(&format!("{TENANTS}/{id}")).await.json()["status"], "offboarded");
    assert_eq!(api.items_of(&id).await, []);
    // 2 boats with their entries, the counter, a harbor, two kinds, and the name of the tenant.
    assert_eq!(api.items_of(&stays).await.len(), 9);
    api.shutdown().await;
}
