//! API keys and their places in usage plans, by API Gateway's management API.
//!
//! Every call may be made again, whatever became of it before. The API is slow and rations its calls (`CreateApiKey`: 5
//! per second and account), so the client backs off for seconds before it gives up.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html>

mod refusal;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use aws_sdk_apigateway::Client;
use aws_sdk_apigateway::config::retry::RetryConfig;
use aws_sdk_apigateway::config::timeout::TimeoutConfig;
use aws_sdk_apigateway::config::{BehaviorVersion, Config, IdentityCache, Region};
use aws_sdk_apigateway::types::{Op, PatchOperation};
use aws_smithy_runtime_api::client::http::{SharedHttpConnector, http_client_fn};
use service::domain::tenant::TenantId;
use service::domain::tenant::lifecycle::{FailureCode, KeyKind, ManagedTenant};
use service::runtime::aws;
use service::runtime::config::AwsConfig;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

pub(crate) use self::refusal::{GatewayFault, KeyFault};
use self::refusal::{Kind, Refusal};
use crate::plans::Plans;

/// How many keys the pooled tenants of a plan share.
const POOL_SIZE: u8 = 16;

/// The tag that the function's role is limited to; its value is the stack's name.
const TAG: &str = "tenantry";

/// The function does not run as a part of a deployed stack, so there is no API of its own whose keys it could manage. It
/// would make keys in the account whose credentials it happens to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the function runs under sam local, where the stack's own API is not known")]
pub(crate) struct NotDeployed;

/// The management API of this stack's keys and plans.
#[derive(Debug)]
pub struct ApiGateway {
    /// None where the stack's own API is not known, so that no call can be made by mistake.
    client: Option<Client>,
    plans: Plans,
    /// The usage plans' ids by their names, as they were when they were needed last.
    plan_ids: Mutex<BTreeMap<String, String>>,
    stack: String,
}

/// An API key that is there.
struct Key {
    id: String,
    enabled: bool,
}

impl ApiGateway {
    /// A client, on a shared connector.
    #[must_use]
    pub fn new(config: &AwsConfig, connector: SharedHttpConnector, plans: Plans, stack: String) -> Self {
        let is_known = !config.sam_local || config.api_gateway_endpoint.is_some();
        let client = is_known.then(|| client(config, connector));
        Self { client, plans, plan_ids: Mutex::default(), stack }
    }

    /// Whether keys can be managed at all. A change that needs one asks before it writes what is wanted.
    pub(crate) fn check_deployed(&self) -> Result<(), NotDeployed> {
        self.client().map(drop)
    }

    fn client(&self) -> Result<&Client, NotDeployed> {
        self.client.as_ref().ok_or(NotDeployed)
    }

    /// The plans.
    #[must_use]
    pub fn plans(&self) -> &Plans {
        &self.plans
    }

    /// The value of the key that a tenant uses.
    #[must_use]
    pub fn key_value(&self, id: &TenantId, kind: KeyKind, plan: &str) -> String {
        match kind {
            KeyKind::Own => id.to_string(),
            KeyKind::Pooled => self.pool_value(plan, pool_member(id)),
        }
    }

    /// 32 letters and digits: the same for the same stack, plan and number, and for nothing else in the account.
    fn pool_value(&self, plan: &str, number: u8) -> String {
        let hash = Sha256::digest(format!("{}\n{plan}\n{number}", self.stack));
        hash.iter().take(16).fold(String::new(), |mut text, byte| {
            // Writing to a string does not fail.
            let _written = write!(text, "{byte:02x}");
            text
        })
    }

    /// The key of this value, which is made unless it is there.
    async fn key(&self, name: &str, value: &str, plan: &str, enabled: bool) -> Result<Key, GatewayFault> {
        // In an account that does not have this stack's plans, the key could not be placed, and would stay behind.
        self.usage_plan(plan).await?;
        let create = self.client()?.create_api_key().name(name).value(value).enabled(enabled).tags(TAG, &self.stack);
        let refusal = match create.send().await.map_err(Refusal::from) {
            Ok(key) => {
                let id = key.id.ok_or_else(|| {
                    GatewayFault::new(FailureCode::RequestRejected, "a key without an id was made".into())
                })?;
                return Ok(Key { id, enabled: key.enabled });
            }
            Err(refusal) => refusal,
        };
        let code = match refusal.kind {
            Kind::Conflict => FailureCode::ApiKeyConflict,
            Kind::LimitExceeded => FailureCode::ApiKeyLimitReached,
            Kind::NotFound | Kind::Denied | Kind::Rejected | Kind::Unavailable => return Err(refusal.fault()),
        };
        self.find(name, value).await?.ok_or_else(|| refusal.because(code))
    }

    async fn find(&self, name: &str, value: &str) -> Result<Option<Key>, GatewayFault> {
        let list = self.client()?.get_api_keys().name_query(name).include_values(true).send().await;
        let found = list.map_err(|error| Refusal::from(error).fault())?;
        let key = found.items.unwrap_or_default().into_iter().find(|key| key.value.as_deref() == Some(value));
        Ok(key.and_then(|key| Some(Key { id: key.id?, enabled: key.enabled })))
    }

    /// Makes sure that there is a tenant's own key, and says its id.
    pub(crate) async fn own_key(&self, managed: &ManagedTenant) -> Result<String, GatewayFault> {
        let (name, enabled) = (self.name_of(managed.id()), managed.wants_enabled_key());
        Ok(self.key(&name, &managed.tenant.api_key, &managed.tenant.plan, enabled).await?.id)
    }

    fn name_of(&self, id: &TenantId) -> String {
        format!("{}-{id}", self.stack)
    }

    /// Enables or disables a key.
    pub(crate) async fn set_enabled(&self, key_id: &str, enabled: bool) -> Result<(), KeyFault> {
        let patch = PatchOperation::builder().op(Op::Replace).path("/enabled").value(enabled.to_string()).build();
        let update = self.client()?.update_api_key().api_key(key_id).patch_operations(patch);
        match update.send().await.map_err(Refusal::from) {
            Ok(_) => Ok(()),
            Err(refusal) => Err(self.key_fault(key_id, refusal).await),
        }
    }

    /// What it means that a call for a key was refused.
    async fn key_fault(&self, key_id: &str, refusal: Refusal) -> KeyFault {
        match refusal.kind {
            // The function's role allows the call for keys with the stack's tag. A key that is gone has no tags, so IAM may
            // deny the call before API Gateway looks for the key.
            Kind::NotFound | Kind::Denied => match self.exists(key_id).await {
                Ok(true) => KeyFault::Gateway(refusal.fault()),
                Ok(false) => KeyFault::Gone(refusal.fault()),
                Err(fault) => KeyFault::Gateway(fault),
            },
            Kind::Conflict | Kind::LimitExceeded | Kind::Rejected | Kind::Unavailable => {
                KeyFault::Gateway(refusal.fault())
            }
        }
    }

    async fn exists(&self, key_id: &str) -> Result<bool, GatewayFault> {
        match self.client()?.get_api_key().api_key(key_id).send().await.map_err(Refusal::from) {
            Ok(_) => Ok(true),
            Err(refusal) if refusal.kind == Kind::NotFound => Ok(false),
            Err(refusal) => Err(refusal.fault()),
        }
    }

    /// Makes sure that a key is in a plan, and in no other of the stack's: API Gateway takes it in one for each stage.
    pub(crate) async fn place(&self, key_id: &str, plan: &str) -> Result<(), KeyFault> {
        let usage_plan = self.usage_plan(plan).await?;
        for other in self.plans.names().filter(|name| *name != plan) {
            self.displace(key_id, other).await?;
        }
        let client = self.client()?;
        let mut placed = join(client, key_id, &usage_plan).await;
        if placed.as_ref().is_err_and(|refusal| refusal.kind == Kind::NotFound) {
            // Usage plans may have been replaced since they were listed.
            self.plan_ids.lock().await.clear();
            placed = join(client, key_id, &self.usage_plan(plan).await?).await;
        }
        let Err(refusal) = placed else { return Ok(()) };
        Err(match refusal.kind {
            Kind::Conflict => refusal.because(FailureCode::UsagePlanConflict).into(),
            Kind::LimitExceeded => refusal.because(FailureCode::UsagePlanLimitReached).into(),
            Kind::NotFound | Kind::Denied | Kind::Rejected | Kind::Unavailable => self.key_fault(key_id, refusal).await,
        })
    }

    /// The id of the usage plan that has to be there.
    async fn usage_plan(&self, plan: &str) -> Result<String, GatewayFault> {
        self.plan_id(plan).await?.ok_or_else(|| {
            GatewayFault::new(FailureCode::UsagePlanMissing, format!("there is no usage plan for the plan {plan}"))
        })
    }

    /// The id of the usage plan, which the template names after the stack and the plan.
    async fn plan_id(&self, plan: &str) -> Result<Option<String>, GatewayFault> {
        let name = format!("{}-{plan}", self.stack);
        let mut ids = self.plan_ids.lock().await;
        if !ids.contains_key(&name) {
            *ids = self.list_plans().await?;
        }
        Ok(ids.get(&name).cloned())
    }

    async fn list_plans(&self) -> Result<BTreeMap<String, String>, GatewayFault> {
        let mut pages = self.client()?.get_usage_plans().limit(500).into_paginator().send();
        let mut ids = BTreeMap::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| Refusal::from(error).fault())?;
            ids.extend(page.items.unwrap_or_default().into_iter().filter_map(|plan| Some((plan.name?, plan.id?))));
        }
        Ok(ids)
    }

    /// Makes sure that a key is not in a plan. A usage plan that is not there has no keys.
    async fn displace(&self, key_id: &str, plan: &str) -> Result<(), GatewayFault> {
        let Some(id) = self.plan_id(plan).await? else { return Ok(()) };
        let delete = self.client()?.delete_usage_plan_key().usage_plan_id(id).key_id(key_id);
        match delete.send().await.map_err(Refusal::from) {
            Ok(_) => Ok(()),
            Err(refusal) if refusal.kind == Kind::NotFound => Ok(()),
            Err(refusal) => Err(refusal.fault()),
        }
    }

    /// Makes sure that the key of the pool that a tenant uses is there, enabled and in its plan.
    pub(crate) async fn pool_key(&self, managed: &ManagedTenant) -> Result<(), GatewayFault> {
        let plan = &managed.tenant.plan;
        let number = pool_member(managed.id());
        let name = format!("{}-pool-{plan}-{number}", self.stack);
        let key = self.key(&name, &self.pool_value(plan, number), plan, true).await?;
        if !key.enabled {
            self.set_enabled(&key.id, true).await.map_err(KeyFault::fault)?;
        }
        self.place(&key.id, plan).await.map_err(KeyFault::fault)
    }

    /// Makes sure that there is no key of a tenant's own. One whose id is not known, or that was replaced by hand, is
    /// found.
    pub(crate) async fn remove_own_key(&self, managed: &ManagedTenant) -> Result<(), GatewayFault> {
        let known = match &managed.key_id {
            Some(key) => self.delete(key).await?,
            None => false,
        };
        if !known && let Some(key) = self.find(&self.name_of(managed.id()), &managed.tenant.api_key).await? {
            self.delete(&key.id).await?;
        }
        Ok(())
    }

    /// Deletes a key. Says whether it was there.
    async fn delete(&self, key_id: &str) -> Result<bool, GatewayFault> {
        match self.client()?.delete_api_key().api_key(key_id).send().await.map_err(Refusal::from) {
            Ok(_) => Ok(true),
            Err(refusal) => match self.key_fault(key_id, refusal).await {
                KeyFault::Gone(_) => Ok(false),
                KeyFault::Gateway(fault) => Err(fault),
            },
        }
    }
}

/// Adds a key to a usage plan, unless it is there.
async fn join(client: &Client, key_id: &str, usage_plan: &str) -> Result<(), Refusal> {
    let create = client.create_usage_plan_key().usage_plan_id(usage_plan).key_id(key_id).key_type("API_KEY");
    let refusal = match create.send().await.map_err(Refusal::from) {
        Err(refusal) if refusal.kind == Kind::Conflict => refusal,
        other => return other.map(drop),
    };
    let get = client.get_usage_plan_key().usage_plan_id(usage_plan).key_id(key_id);
    match get.send().await.map_err(Refusal::from) {
        Ok(_) => Ok(()),
        Err(other) if other.kind == Kind::NotFound => Err(refusal),
        Err(other) => Err(other),
    }
}

/// A client that backs off for seconds, on a shared connector.
fn client(config: &AwsConfig, connector: SharedHttpConnector) -> Client {
    let mut builder = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(config.region.clone()))
        .credentials_provider(aws::credentials(config))
        .identity_cache(IdentityCache::no_cache())
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(6)
                .with_initial_backoff(Duration::from_millis(200))
                .with_max_backoff(Duration::from_secs(3)),
        )
        .timeout_config(
            TimeoutConfig::builder()
                .operation_attempt_timeout(Duration::from_secs(5))
                .operation_timeout(Duration::from_secs(12))
                .build(),
        )
        .http_client(http_client_fn(move |_, _| connector.clone()));
    if let Some(url) = &config.api_gateway_endpoint {
        builder = builder.endpoint_url(url);
    }
    Client::from_conf(builder.build())
}

/// Which key of a pool a tenant uses: the same one always, and all of them alike often.
fn pool_member(id: &TenantId) -> u8 {
    let hash = Sha256::digest(id.as_str());
    hash.first().map_or(0, |byte| byte % POOL_SIZE)
}
