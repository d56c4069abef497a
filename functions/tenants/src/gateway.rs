//! API keys and their usage plans, through API Gateway's management API.
//!
//! Every call can be repeated, whatever the result of the call before. The API is slow and limits its rate (`CreateApiKey`: 5
//! calls per second and account), so the client backs off for seconds before it gives up.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html>

mod error;

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

use self::error::{CallError, Kind};
pub(crate) use self::error::{GatewayFault, KeyFault};
use crate::plans::Plans;

/// The number of API keys that the pooled tenants of a plan share.
const POOL_SIZE: u8 = 16;

/// The tag to which the function's role is limited. Its value is the name of the stack.
const TAG: &str = "tenantry";

/// The function does not run in a deployed stack, so there is no API whose keys it could manage. It would create keys in the
/// account whose credentials it happens to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the function runs under sam local, where the stack's own API is not known")]
pub(crate) struct NotDeployed;

/// The management API of this stack's keys and plans.
#[derive(Debug)]
pub struct ApiGateway {
    /// `None` if the stack's own API is not known, so that no call can be made by mistake.
    client: Option<Client>,
    plans: Plans,
    /// The ids of the usage plans by their names, cached.
    plan_ids: Mutex<BTreeMap<String, String>>,
    stack: String,
}

/// An existing API key.
struct Key {
    id: String,
    enabled: bool,
}

impl ApiGateway {
    /// Creates a client on a shared connector.
    #[must_use]
    pub fn new(config: &AwsConfig, connector: SharedHttpConnector, plans: Plans, stack: String) -> Self {
        let is_known = !config.sam_local || config.api_gateway_endpoint.is_some();
        let client = is_known.then(|| client(config, connector));
        Self { client, plans, plan_ids: Mutex::default(), stack }
    }

    /// Checks that API keys can be managed at all. A change that needs one checks this before it writes its goal to the row.
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

    /// The value of the API key that a tenant uses.
    #[must_use]
    pub fn key_value(&self, id: &TenantId, kind: KeyKind, plan: &str) -> String {
        match kind {
            KeyKind::Own => id.to_string(),
            KeyKind::Pooled => self.pool_value(plan, pool_member(id)),
        }
    }

    /// The value of a pooled API key: 32 hexadecimal digits, unique to stack, plan and number.
    fn pool_value(&self, plan: &str, number: u8) -> String {
        let hash = Sha256::digest(format!("{}\n{plan}\n{number}", self.stack));
        hash.iter().take(16).fold(String::new(), |mut text, byte| {
            // Writing to a string does not fail.
            let _written = write!(text, "{byte:02x}");
            text
        })
    }

    /// Returns the API key of this value, and creates it if it does not exist.
    async fn key(&self, name: &str, value: &str, plan: &str, enabled: bool) -> Result<Key, GatewayFault> {
        // Without the usage plan, for example in another account, the key could not be placed, and would be left over.
        self.usage_plan(plan).await?;
        let create = self.client()?.create_api_key().name(name).value(value).enabled(enabled).tags(TAG, &self.stack);
        let error = match create.send().await.map_err(CallError::from) {
            Ok(key) => {
                let id = key.id.ok_or_else(|| {
                    GatewayFault::new(FailureCode::RequestRejected, "an API key without an id was created".into())
                })?;
                return Ok(Key { id, enabled: key.enabled });
            }
            Err(error) => error,
        };
        let code = match error.kind {
            Kind::Conflict => FailureCode::ApiKeyConflict,
            Kind::LimitExceeded => FailureCode::ApiKeyLimitReached,
            Kind::NotFound | Kind::Denied | Kind::Rejected | Kind::Unavailable => return Err(error.fault()),
        };
        self.find(name, value).await?.ok_or_else(|| error.because(code))
    }

    async fn find(&self, name: &str, value: &str) -> Result<Option<Key>, GatewayFault> {
        let list = self.client()?.get_api_keys().name_query(name).include_values(true).send().await;
        let found = list.map_err(|error| CallError::from(error).fault())?;
        let key = found.items.unwrap_or_default().into_iter().find(|key| key.value.as_deref() == Some(value));
        Ok(key.and_then(|key| Some(Key { id: key.id?, enabled: key.enabled })))
    }

    /// Ensures that a tenant's own API key exists, and returns its id.
    pub(crate) async fn own_key(&self, managed: &ManagedTenant) -> Result<String, GatewayFault> {
        let (name, enabled) = (self.name_of(managed.id()), managed.wants_enabled_key());
        Ok(self.key(&name, &managed.tenant.api_key, &managed.tenant.plan, enabled).await?.id)
    }

    fn name_of(&self, id: &TenantId) -> String {
        format!("{}-{id}", self.stack)
    }

    /// Enables or disables an API key.
    pub(crate) async fn set_enabled(&self, key_id: &str, enabled: bool) -> Result<(), KeyFault> {
        let patch = PatchOperation::builder().op(Op::Replace).path("/enabled").value(enabled.to_string()).build();
        let update = self.client()?.update_api_key().api_key(key_id).patch_operations(patch);
        match update.send().await.map_err(CallError::from) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.key_fault(key_id, error).await),
        }
    }

    /// The fault of a call about an API key that ended in this error.
    async fn key_fault(&self, key_id: &str, error: CallError) -> KeyFault {
        match error.kind {
            // The function's role allows the call for keys with the stack's tag. A deleted key has no tags, so IAM may deny the
            // call before API Gateway looks for the key.
            Kind::NotFound | Kind::Denied => match self.exists(key_id).await {
                Ok(true) => KeyFault::Gateway(error.fault()),
                Ok(false) => KeyFault::Gone(error.fault()),
                Err(fault) => KeyFault::Gateway(fault),
            },
            Kind::Conflict | Kind::LimitExceeded | Kind::Rejected | Kind::Unavailable => {
                KeyFault::Gateway(error.fault())
            }
        }
    }

    async fn exists(&self, key_id: &str) -> Result<bool, GatewayFault> {
        match self.client()?.get_api_key().api_key(key_id).send().await.map_err(CallError::from) {
            Ok(_) => Ok(true),
            Err(error) if error.kind == Kind::NotFound => Ok(false),
            Err(error) => Err(error.fault()),
        }
    }

    /// Ensures that an API key is in the usage plan of this plan and in no other one of the stack: API Gateway accepts a key in one
    /// usage plan per stage.
    pub(crate) async fn place(&self, key_id: &str, plan: &str) -> Result<(), KeyFault> {
        let usage_plan = self.usage_plan(plan).await?;
        for other in self.plans.names().filter(|name| *name != plan) {
            self.displace(key_id, other).await?;
        }
        let client = self.client()?;
        let mut placed = join(client, key_id, &usage_plan).await;
        if placed.as_ref().is_err_and(|error| error.kind == Kind::NotFound) {
            // Usage plans may have been replaced since they were listed.
            self.plan_ids.lock().await.clear();
            placed = join(client, key_id, &self.usage_plan(plan).await?).await;
        }
        let Err(error) = placed else { return Ok(()) };
        Err(match error.kind {
            Kind::Conflict => error.because(FailureCode::UsagePlanConflict).into(),
            Kind::LimitExceeded => error.because(FailureCode::UsagePlanLimitReached).into(),
            Kind::NotFound | Kind::Denied | Kind::Rejected | Kind::Unavailable => self.key_fault(key_id, error).await,
        })
    }

    /// The id of a usage plan that must exist.
    async fn usage_plan(&self, plan: &str) -> Result<String, GatewayFault> {
        self.plan_id(plan).await?.ok_or_else(|| {
            GatewayFault::new(FailureCode::UsagePlanMissing, format!("there is no usage plan for the plan {plan}"))
        })
    }

    /// The id of a usage plan, which the template names after the stack and the plan.
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
            let page = page.map_err(|error| CallError::from(error).fault())?;
            ids.extend(page.items.unwrap_or_default().into_iter().filter_map(|plan| Some((plan.name?, plan.id?))));
        }
        Ok(ids)
    }

    /// Ensures that an API key is not in the usage plan of this plan. A usage plan that does not exist has no keys.
    async fn displace(&self, key_id: &str, plan: &str) -> Result<(), GatewayFault> {
        let Some(id) = self.plan_id(plan).await? else { return Ok(()) };
        let delete = self.client()?.delete_usage_plan_key().usage_plan_id(id).key_id(key_id);
        match delete.send().await.map_err(CallError::from) {
            Ok(_) => Ok(()),
            Err(error) if error.kind == Kind::NotFound => Ok(()),
            Err(error) => Err(error.fault()),
        }
    }

    /// Ensures that the pooled API key of a tenant exists, is enabled, and is in its usage plan.
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

    /// Ensures that a tenant's own API key does not exist. A key whose id is unknown, or that was replaced by hand, is found by its
    /// name and value.
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

    /// Deletes an API key. Returns whether it existed.
    async fn delete(&self, key_id: &str) -> Result<bool, GatewayFault> {
        match self.client()?.delete_api_key().api_key(key_id).send().await.map_err(CallError::from) {
            Ok(_) => Ok(true),
            Err(error) => match self.key_fault(key_id, error).await {
                KeyFault::Gone(_) => Ok(false),
                KeyFault::Gateway(fault) => Err(fault),
            },
        }
    }
}

/// Adds an API key to a usage plan, unless it is in it already.
async fn join(client: &Client, key_id: &str, usage_plan: &str) -> Result<(), CallError> {
    let create = client.create_usage_plan_key().usage_plan_id(usage_plan).key_id(key_id).key_type("API_KEY");
    let error = match create.send().await.map_err(CallError::from) {
        Err(error) if error.kind == Kind::Conflict => error,
        other => return other.map(drop),
    };
    let get = client.get_usage_plan_key().usage_plan_id(usage_plan).key_id(key_id);
    match get.send().await.map_err(CallError::from) {
        Ok(_) => Ok(()),
        Err(other) if other.kind == Kind::NotFound => Err(error),
        Err(other) => Err(other),
    }
}

/// Creates a client that backs off for seconds, on a shared connector.
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

/// The number of the pooled API key that a tenant uses. It never changes, and the tenants are spread evenly over the keys.
fn pool_member(id: &TenantId) -> u8 {
    let hash = Sha256::digest(id.as_str());
    hash.first().map_or(0, |byte| byte % POOL_SIZE)
}
