//! API keys and their places in usage plans, by API Gateway's management API.
//!
//! Every call may be made again, whatever became of it before. The API is slow and rations its calls (`CreateApiKey`: 5
//! per second and account), so the client backs off for seconds before it gives up.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html>

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use aws_sdk_apigateway::Client;
use aws_sdk_apigateway::config::retry::RetryConfig;
use aws_sdk_apigateway::config::timeout::TimeoutConfig;
use aws_sdk_apigateway::config::{BehaviorVersion, Config, IdentityCache, Region};
use aws_sdk_apigateway::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_apigateway::types::{Op, PatchOperation};
use aws_smithy_runtime_api::client::http::{SharedHttpConnector, http_client_fn};
use service::aws;
use service::config::AwsConfig;
use service::managed::{KeyKind, Managed};
use service::tenant::TenantId;
use sha2::{Digest, Sha256};

use tokio::sync::OnceCell;

use crate::plans::Plans;

/// How many keys the pooled tenants of a plan share.
const POOL_SIZE: u8 = 16;

/// The tag that the function's role is limited to; its value is the stack's name.
const TAG: &str = "tenantry";

/// API Gateway did not do what it was asked, after retries. The text is for the log.
#[derive(Debug, thiserror::Error)]
#[error("API Gateway: {0}")]
pub struct GatewayFault(String);

/// The function does not run as a part of a deployed stack, so there is no API of its own whose keys it could manage. It
/// would make keys in the account whose credentials it happens to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the function runs under sam local, where the stack's own API is not known")]
pub(crate) struct NotDeployed;

impl From<NotDeployed> for GatewayFault {
    fn from(error: NotDeployed) -> Self {
        Self(error.to_string())
    }
}

/// The management API of this stack's keys and plans.
#[derive(Debug)]
pub struct ApiGateway {
    /// None where the stack's own API is not known, so that no call can be made by mistake.
    client: Option<Client>,
    plans: Plans,
    /// The usage plans' ids by the names of plans, once they were needed.
    plan_ids: OnceCell<BTreeMap<String, String>>,
    stack: String,
}

/// What an error means here.
enum Refusal {
    NotFound,
    Conflict,
    Fault(GatewayFault),
}

impl<E: ProvideErrorMetadata> From<SdkError<E>> for Refusal {
    fn from(error: SdkError<E>) -> Self {
        match error.as_service_error().and_then(ProvideErrorMetadata::code) {
            Some("NotFoundException") => Self::NotFound,
            Some("ConflictException") => Self::Conflict,
            _ => Self::Fault(GatewayFault(aws::describe(&error))),
        }
    }
}

impl Refusal {
    fn unexpected(self) -> GatewayFault {
        match self {
            Self::NotFound => GatewayFault("something is not there".into()),
            Self::Conflict => GatewayFault("something is in the way".into()),
            Self::Fault(fault) => fault,
        }
    }
}

impl ApiGateway {
    /// A client, on a shared connector.
    #[must_use]
    pub fn new(config: &AwsConfig, connector: Option<SharedHttpConnector>, plans: Plans, stack: String) -> Self {
        let is_known = !config.sam_local || config.api_gateway_endpoint.is_some();
        let client = is_known.then(|| client(config, connector));
        Self { client, plans, plan_ids: OnceCell::new(), stack }
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

    /// The id of the key of this value, which is made unless it is there.
    async fn key(&self, name: &str, value: &str, plan: &str) -> Result<String, GatewayFault> {
        // In an account that does not have this stack's plans, the key could not be placed, and would stay behind.
        self.plan_id(plan).await?;
        let create = self.client()?.create_api_key().name(name).value(value).enabled(true).tags(TAG, &self.stack);
        match create.send().await.map_err(Refusal::from) {
            Ok(key) => key.id.ok_or_else(|| GatewayFault("a key without an id".into())),
            Err(Refusal::Conflict) => {
                let found = self.find(name, value).await?;
                found.ok_or_else(|| GatewayFault(format!("somebody else has a key of the value of {name}")))
            }
            Err(refusal) => Err(refusal.unexpected()),
        }
    }

    async fn find(&self, name: &str, value: &str) -> Result<Option<String>, GatewayFault> {
        let list = self.client()?.get_api_keys().name_query(name).include_values(true).send().await;
        let found = list.map_err(|error| Refusal::from(error).unexpected())?;
        Ok(found
            .items
            .unwrap_or_default()
            .into_iter()
            .find(|key| key.value.as_deref() == Some(value))
            .and_then(|key| key.id))
    }

    /// Makes sure that there is a tenant's own key, and says its id.
    pub async fn own_key(&self, managed: &Managed) -> Result<String, GatewayFault> {
        self.key(&self.name_of(managed.id()), &managed.tenant.api_key, &managed.tenant.plan).await
    }

    fn name_of(&self, id: &TenantId) -> String {
        format!("{}-{id}", self.stack)
    }

    /// Enables or disables a key.
    pub async fn set_enabled(&self, key_id: &str, enabled: bool) -> Result<(), GatewayFault> {
        let patch = PatchOperation::builder().op(Op::Replace).path("/enabled").value(enabled.to_string()).build();
        let update = self.client()?.update_api_key().api_key(key_id).patch_operations(patch).send().await;
        update.map(drop).map_err(|error| Refusal::from(error).unexpected())
    }

    /// Makes sure that a key is in a plan, and in no other of the stack's: API Gateway takes it in one for each stage.
    pub async fn place(&self, key_id: &str, plan: &str) -> Result<(), GatewayFault> {
        let id = self.plan_id(plan).await?;
        for other in self.plans.names().filter(|name| *name != plan) {
            self.displace(key_id, other).await?;
        }
        let create = self.client()?.create_usage_plan_key().usage_plan_id(id).key_id(key_id).key_type("API_KEY");
        match create.send().await.map_err(Refusal::from) {
            Ok(_) => Ok(()),
            // It is there already, and nowhere else.
            Err(Refusal::Conflict) => {
                let get = self.client()?.get_usage_plan_key().usage_plan_id(id).key_id(key_id).send().await;
                get.map(drop).map_err(|error| Refusal::from(error).unexpected())
            }
            Err(refusal) => Err(refusal.unexpected()),
        }
    }

    /// The id of the usage plan, which the template names after the stack and the plan.
    async fn plan_id(&self, plan: &str) -> Result<&str, GatewayFault> {
        let ids = self.plan_ids.get_or_try_init(|| self.find_plans()).await?;
        let id = ids.get(&format!("{}-{plan}", self.stack)).map(String::as_str);
        id.ok_or_else(|| GatewayFault(format!("no usage plan for the plan {plan}")))
    }

    async fn find_plans(&self) -> Result<BTreeMap<String, String>, GatewayFault> {
        let mut pages = self.client()?.get_usage_plans().limit(500).into_paginator().send();
        let mut ids = BTreeMap::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| Refusal::from(error).unexpected())?;
            ids.extend(page.items.unwrap_or_default().into_iter().filter_map(|plan| Some((plan.name?, plan.id?))));
        }
        Ok(ids)
    }

    async fn displace(&self, key_id: &str, plan: &str) -> Result<(), GatewayFault> {
        let id = self.plan_id(plan).await?;
        let delete = self.client()?.delete_usage_plan_key().usage_plan_id(id).key_id(key_id);
        match delete.send().await.map_err(Refusal::from) {
            Ok(_) | Err(Refusal::NotFound) => Ok(()),
            Err(refusal) => Err(refusal.unexpected()),
        }
    }

    /// Makes sure that the key of the pool that a tenant uses is there and in its plan.
    pub async fn pool_key(&self, managed: &Managed) -> Result<(), GatewayFault> {
        let plan = &managed.tenant.plan;
        let number = pool_member(managed.id());
        let name = format!("{}-pool-{plan}-{number}", self.stack);
        let key = self.key(&name, &self.pool_value(plan, number), plan).await?;
        self.place(&key, plan).await
    }

    /// Makes sure that there is no key of a tenant's own. One that was made, but whose id is not known, is found.
    pub async fn remove_own_key(&self, managed: &Managed) -> Result<(), GatewayFault> {
        let key = match &managed.key_id {
            Some(key) => Some(key.clone()),
            None => self.find(&self.name_of(managed.id()), &managed.tenant.api_key).await?,
        };
        let Some(key) = key else { return Ok(()) };
        match self.client()?.delete_api_key().api_key(key).send().await.map_err(Refusal::from) {
            Ok(_) | Err(Refusal::NotFound) => Ok(()),
            Err(refusal) => Err(refusal.unexpected()),
        }
    }
}

/// A client that backs off for seconds, on a shared connector.
fn client(config: &AwsConfig, connector: Option<SharedHttpConnector>) -> Client {
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
        );
    if let Some(url) = &config.api_gateway_endpoint {
        builder = builder.endpoint_url(url);
    }
    if let Some(connector) = connector {
        builder = builder.http_client(http_client_fn(move |_, _| connector.clone()));
    }
    Client::from_conf(builder.build())
}

/// Which key of a pool a tenant uses: the same one always, and all of them alike often.
fn pool_member(id: &TenantId) -> u8 {
    let hash = Sha256::digest(id.as_str());
    hash.first().map_or(0, |byte| byte % POOL_SIZE)
}
