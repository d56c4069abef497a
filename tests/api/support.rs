//! The API of `template.yaml`, started afresh for each test, and clients that hold every answer to the contract.

pub(crate) mod adversary;
mod answer;
pub(crate) mod attached;
mod client;
pub(crate) mod contract;
pub(crate) mod dynamodb;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use aws_sdk_dynamodb::types::AttributeValue;
use local::binaries::Binaries;
use local::runtime::Invoke;
use local::{Local, Options};
use reqwest::Client;
use serde_json::Value;
use service::domain::caller::Operator;
use service::domain::tenant::TenantId;
use service::domain::time::Timestamp;
use service::runtime::aws;
use service::runtime::config::AwsConfig;
use service::store::Store;
use tokio::sync::OnceCell;

pub(crate) use answer::Answer;
pub(crate) use client::{Call, Caller};

/// The workspace's folder.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A file of the workspace.
pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(workspace().join(path)).unwrap()
}

/// The folder of the functions' binaries, which cargo brings up to date once in a test run.
pub(crate) async fn binaries() -> &'static Path {
    static FOLDER: OnceCell<PathBuf> = OnceCell::const_new();
    let folder = FOLDER.get_or_init(|| async {
        let found = Binaries::Build.locate(&workspace(), ["authorizer"]).await.unwrap();
        found["authorizer"].parent().unwrap().to_owned()
    });
    folder.await
}

/// The whole API, running.
pub(crate) struct Api {
    pub(crate) local: Local,
    client: Client,
}

impl Api {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    /// With changes to the options.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options::new(workspace().join("template.yaml"));
        options.binaries = Binaries::Directory(binaries().await.to_owned());
        options.quiet = true;
        change(&mut options);
        Self { local: Local::start(options).await.unwrap(), client: Client::new() }
    }

    /// With another value of a template's parameter.
    pub(crate) async fn start_with_parameter(name: &str, value: &str) -> Self {
        Self::start_with(|options| options.overrides = BTreeMap::from([(name.into(), value.into())])).await
    }

    /// A client of a tenant, with all of the tenant's scopes.
    pub(crate) async fn caller(&self, tenant: &str) -> Caller<'_> {
        self.caller_with(tenant, &[]).await
    }

    /// A client whose token endpoint request has these further parameters.
    pub(crate) async fn caller_with(&self, tenant: &str, parameters: &[(&str, &str)]) -> Caller<'_> {
        Caller::new(self, Some(self.token(tenant, parameters).await))
    }

    /// A client with this token, or with none.
    pub(crate) fn caller_of(&self, token: Option<&str>) -> Caller<'_> {
        Caller::new(self, token.map(ToOwned::to_owned))
    }

    /// A token of the local issuer.
    pub(crate) async fn token(&self, tenant: &str, parameters: &[(&str, &str)]) -> String {
        self.issue(tenant, parameters, None).await
    }

    /// A token of the local issuer that is bound to this certificate, in PEM and percent-encoded.
    pub(crate) async fn bound_token(&self, tenant: &str, certificate: &str) -> String {
        self.issue(tenant, &[], Some(certificate)).await
    }

    async fn issue(&self, tenant: &str, parameters: &[(&str, &str)], certificate: Option<&str>) -> String {
        let mut form = vec![("grant_type", "client_credentials"), ("client_id", tenant)];
        form.extend(parameters);
        let url = format!("{}/_local/oauth2/token", self.local.base_url());
        let mut request = self.client.post(url).form(&form);
        if let Some(certificate) = certificate {
            request = request.header(local::gateway::CERTIFICATE, certificate);
        }
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// How often a function was invoked.
    pub(crate) async fn invocations(&self, function: &str) -> u64 {
        let url = format!("{}/_local/functions", self.local.base_url());
        let functions: Vec<Value> = self.client.get(url).send().await.unwrap().json().await.unwrap();
        functions.iter().find(|one| one["name"] == function).unwrap()["invocations"].as_u64().unwrap()
    }

    /// How to call the API's table, past the functions.
    pub(crate) fn aws_config(&self) -> AwsConfig {
        AwsConfig::local(self.local.dynamodb_endpoint())
    }

    /// Lets a record's time run out, past the functions: DynamoDB has not removed it yet.
    pub(crate) async fn expire(&self, tenant: &str, collection: &str, id: &str) {
        let past = AttributeValue::N("1795253400".into());
        self.overwrite((&format!("T#{tenant}#R#{collection}"), id), "expiresAt", past).await;
    }

    /// Writes an attribute of an item, past the functions.
    pub(crate) async fn overwrite(&self, key: (&str, &str), attribute: &str, value: AttributeValue) {
        let key = [("pk", key.0), ("sk", key.1)].map(|(name, text)| (name.into(), AttributeValue::S(text.into())));
        aws::dynamodb(&self.aws_config(), aws::connector())
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

    /// Invokes the function `tenants` as the schedule does.
    pub(crate) async fn sweep(&self) {
        let event = read("events/tenants-sweep.json").into_bytes();
        assert_eq!(self.local.functions().invoke("tenants", event).await.unwrap(), b"null");
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

    pub(crate) async fn shutdown(self) {
        self.local.shutdown().await;
    }
}
