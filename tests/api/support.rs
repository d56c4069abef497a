//! The API of `template.yaml`, started afresh for each test, and what tests do directly in its table.

use std::collections::HashMap;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use aws_sdk_dynamodb::types::AttributeValue;
use local::template::Function;
use local::{Local, Options};
use service::domain::caller::Operator;
use service::domain::tenant::TenantId;
use service::domain::time::Timestamp;
use service::runtime::aws;
use service::runtime::config::AwsConfig;
use service::store::Store;

pub(crate) use testkit::{Call, Caller, Response, binaries, contract, read, workspace};

/// The whole API, running.
pub(crate) struct Api(testkit::Api);

impl Deref for Api {
    type Target = testkit::Api;

    fn deref(&self) -> &testkit::Api {
        &self.0
    }
}

/// Returns the files of Rust in a folder, and in those below.
pub(crate) fn sources(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let files = entries.map(|entry| entry.unwrap().path()).flat_map(|path| {
        let is_source = path.extension().is_some_and(|extension| extension == "rs");
        if path.is_dir() { sources(&path) } else { Vec::from_iter(is_source.then_some(path)) }
    });
    files.collect()
}

/// Returns the seed of a test with random cases, from `SEED` if it is set, and prints it.
pub(crate) fn seed() -> [u8; 32] {
    let seed: [u8; 32] = match std::env::var("SEED") {
        Ok(seed) => {
            let bytes: Vec<u8> = seed.split(',').map(|byte| byte.trim().parse().unwrap()).collect();
            bytes.try_into().unwrap()
        }
        Err(_) => rand::random(),
    };
    println!("SEED={}", seed.map(|byte| byte.to_string()).join(","));
    seed
}

/// Writes an attribute of an item, directly in the table of a local.
pub(crate) async fn overwrite(local: &Local, key: (&str, &str), attribute: &str, value: AttributeValue) {
    let key = [("pk", key.0), ("sk", key.1)].map(|(name, text)| (name.into(), AttributeValue::S(text.into())));
    aws::dynamodb(&AwsConfig::local(local.dynamodb_endpoint()), aws::connector())
        .update_item()
        .table_name("Table")
        .set_key(Some(key.into()))
        .update_expression("SET #attribute = :value")
        .condition_expression("attribute_exists(pk)")
        .expression_attribute_names("#attribute", attribute)
        .expression_attribute_values(":value", value)
        .send()
        .await
        .unwrap();
}

impl Api {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    /// With changes to the options.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Options)) -> Self {
        Self(testkit::Api::start_with(change).await)
    }

    /// With another value of a template's parameter.
    pub(crate) async fn start_with_parameter(name: &str, value: &str) -> Self {
        Self(testkit::Api::start_with_parameter(name, value).await)
    }

    pub(crate) async fn shutdown(self) {
        self.0.shutdown().await;
    }

    /// Lets a record expire, directly in the table: DynamoDB has not removed it yet.
    pub(crate) async fn expire(&self, tenant: &str, collection: &str, id: &str) {
        let past = AttributeValue::N("1795253400".into());
        self.overwrite((&format!("T#{tenant}#R#{collection}"), id), "expiresAt", past).await;
    }

    /// Writes an attribute of an item, directly in the table.
    pub(crate) async fn overwrite(&self, key: (&str, &str), attribute: &str, value: AttributeValue) {
        overwrite(&self.local, key, attribute, value).await;
    }

    /// Lets all times run out that a change of a tenant waits for, as time would.
    pub(crate) async fn age_change(&self, tenant: &str) {
        let past = Timestamp::from_millis(0);
        let store = Store::new(aws::dynamodb(&self.aws_config(), aws::connector()), "Table");
        let (operator, id) = (Operator::schedule(), TenantId::parse(tenant).unwrap());
        let Some(mut managed) = store.tenant_get_managed(&operator, &id).await.unwrap() else { return };
        managed.give_back(past);
        if let Some(offboarding) = &mut managed.offboarding {
            offboarding.closed_at = past;
            offboarding.looked_at = offboarding.looked_at.map(|_| past);
        }
        store.tenant_save(&operator, &mut managed).await.unwrap();
    }

    /// Lets the time pass that the offboarding of a tenant takes.
    pub(crate) async fn finish_offboarding(&self, tenant: &str) {
        // Two looks.
        for _ in 0..2 {
            self.age_change(tenant).await;
            self.sweep().await;
        }
    }

    /// The keys of the items that the table has of a tenant, beside its row and its usage, which stays for the bill.
    pub(crate) async fn items_of(&self, tenant: &str) -> Vec<(String, String)> {
        let client = aws::dynamodb(&self.aws_config(), aws::connector());
        let found = client.scan().table_name("Table").send().await.unwrap();
        assert_eq!(found.last_evaluated_key, None, "more than a page");
        let key = |item: &HashMap<String, AttributeValue>| {
            ["pk", "sk"].map(|name| item[name].as_s().unwrap().to_owned()).into()
        };
        let of_tenant = |item: &&HashMap<_, _>| format!("{item:?}").contains(tenant);
        let items = found.items.unwrap_or_default();
        let keys = items.iter().filter(of_tenant).map(key);
        let stays = [format!("TENANT#{tenant}"), format!("T#{tenant}#USAGE")];
        keys.filter(|(pk, _): &(String, String)| !stays.contains(pk)).collect()
    }
}

/// The variables of a function whose requests count against the quota. Other functions have one of them at most.
pub(crate) const METERED: [&str; 2] = ["QUOTAS", "QUOTA_WHEN_UNAVAILABLE"];

/// Whether the requests of a function count against the quota.
pub(crate) fn is_metered(function: &Function) -> bool {
    METERED.iter().all(|name| function.environment.contains_key(*name))
}
