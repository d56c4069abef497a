//! `/admin/tenants`: the life cycle of tenants, for operators.

mod export;
mod gateway;
mod input;
mod plans;
mod saga;
mod start;
mod view;

use std::time::Duration;

use lambda_http::http::StatusCode;
use lambda_http::http::header::{CACHE_CONTROL, CONTENT_TYPE, VARY};
use service::domain::caller::Operator;
use service::domain::page::Page;
use service::domain::tenant::lifecycle::{ChangeError, ManagedTenant};
use service::domain::tenant::{Status, Tenant, TenantId};
use service::domain::tenant_key;
use service::domain::time::Timestamp;
use service::http::{Code, Handler, Inbound, Problem, Reply, Scheduled};
use service::runtime::config::IssuersConfig;
use service::store::{Store, TenantFilter};
use tracing::warn;

pub use gateway::ApiGateway;
use gateway::NotDeployed;
pub use plans::{InvalidPlans, Plans};
pub use start::run;

use input::{NewTenant, Patch, QuotaChange};
use saga::Saga;
use view::{Issued, View};

/// The media type of an export, unless the client asks for another one.
const PLAIN_TEXT: &str = "text/plain";
/// The media types of JSON Lines. Plain text comes first, because generated clients mistake the other one for a single JSON
/// document: those for Go by its prefix, and those for Rust because it contains `json`. `application/x-ndjson` is no better: clients
/// for Kotlin mistake it for JSON by its suffix, and those for Rust again.
const JSON_LINES: &[&str] = &[PLAIN_TEXT, "application/jsonl"];

/// The function's state.
#[derive(Debug)]
pub struct Tenants {
    saga: Saga,
    /// The issuers of the stack, which no tenant can have for itself.
    issuers: IssuersConfig,
}

impl Tenants {
    /// Creates the function. `issuers` are those of the stack, and `drain` is the time for which the requests of an offboarded tenant
    /// [drain](service::domain::offboarding::drain).
    #[must_use]
    pub fn new(store: Store, gateway: ApiGateway, issuers: IssuersConfig, drain: Duration) -> Self {
        Self { saga: Saga { store, gateway, drain }, issuers }
    }
}

impl Handler for Tenants {
    /// The management calls of API Gateway take seconds, and the request waits for them.
    const DEADLINE: Duration = Duration::from_secs(25);

    async fn handle(&self, request: &Inbound<'_>) -> Result<Reply, Problem> {
        let operator = &request.operator()?;
        match request.route() {
            ("POST", "/admin/tenants") => self.create(request, operator).await,
            ("GET", "/admin/tenants") => self.list(request, operator).await,
            ("GET", "/admin/tenants/{tenant}") => self.get(request, operator).await,
            ("PATCH", "/admin/tenants/{tenant}") => self.patch(request, operator).await,
            ("DELETE", "/admin/tenants/{tenant}") => self.offboard(request, operator).await,
            ("POST", "/admin/tenants/{tenant}/suspend") => {
                let reason = input::reason(request)?;
                self.change(request, operator, |managed, now| managed.suspend(&reason, now)).await
            }
            ("POST", "/admin/tenants/{tenant}/resume") => {
                let reason = input::reason(request)?;
                self.change(request, operator, |managed, now| managed.resume(&reason, now)).await
            }
            ("POST", "/admin/tenants/{tenant}/keys") => self.rotate(request, operator).await,
            ("GET", "/admin/tenants/{tenant}/export") => self.export(request, operator).await,
            _ => Err(request.unknown_route()),
        }
    }
}

impl Scheduled for Tenants {
    async fn run(&self) {
        if let Err(error) = self.saga.sweep(&Operator::schedule()).await {
            warn!(%error, "the sweep was interrupted");
        }
    }
}

impl Tenants {
    async fn create(&self, request: &Inbound<'_>, operator: &Operator) -> Result<Reply, Problem> {
        request.query(&[])?;
        let NewTenant { id, name, plan, issuers, labels, key, quota } =
            NewTenant::of(request, self.saga.gateway.plans(), &self.issuers)?;
        self.saga.gateway.check_deployed()?;
        let api_key = self.saga.gateway.key_value(&id, key, &plan);
        let tenant = Tenant { id, name, plan, status: Status::Onboarding, issuers: issuers.names, api_key, quota };
        let mut managed = ManagedTenant::new(tenant, key, labels, Timestamp::now());
        managed.own_issuers = issuers.own;
        self.saga.store.tenant_create(operator, &mut managed).await?;
        let done = self.saga.go_on(operator, &mut managed).await;
        Ok(reply(&managed, if done { StatusCode::CREATED } else { StatusCode::ACCEPTED })?
            .location(&request.child(managed.id().as_str())))
    }

    async fn list(&self, request: &Inbound<'_>, operator: &Operator) -> Result<Reply, Problem> {
        let query = request.query(&["limit", "order", "cursor", "plan", "status"])?;
        let status = query.get("status").map(|text| {
            let detail = "`status` must be `onboarding`, `active`, `suspended`, `offboarding` or `offboarded`.";
            text.parse().map_err(|_| Problem::invalid_parameter(detail))
        });
        let plan = query.get("plan").map(|plan| input::known_plan(plan.to_owned(), self.saga.gateway.plans()));
        let filter = TenantFilter { plan: plan.transpose()?, status: status.transpose()? };
        let page = query.page()?;
        let Page { items, unreadable, next } = self.saga.store.tenant_list(operator, &page, &filter).await?;
        let found = Page { items: items.iter().map(View::from).collect(), unreadable, next };
        query.paged(&request.path(), &found)
    }

    async fn get(&self, request: &Inbound<'_>, operator: &Operator) -> Result<Reply, Problem> {
        request.query(&[])?;
        reply(&self.read(request, operator).await?, StatusCode::OK)
    }

    async fn patch(&self, request: &Inbound<'_>, operator: &Operator) -> Result<Reply, Problem> {
        request.query(&[])?;
        let plans = self.saga.gateway.plans();
        let Patch { name, plan, issuers, labels, quota } = Patch::of(request, plans, &self.issuers)?;
        if plan.is_some() {
            self.saga.gateway.check_deployed()?;
        }
        let mut managed = self.read(request, operator).await?;
        let now = Timestamp::now();
        managed.check_open(now)?;
        let old = managed.clone();
        if let Some(name) = name {
            managed.tenant.name = name;
        }
        if let Some(issuers) = issuers {
            (managed.tenant.issuers, managed.own_issuers) = (issuers.names, issuers.own);
        }
        labels.apply(&mut managed.labels)?;
        managed.updated_at = now;
        if let Some(plan) = plan {
            managed.move_to(&plan, now)?;
            managed.tenant.api_key = self.saga.gateway.key_value(managed.id(), managed.key, &plan);
        }
        match (quota, managed.tenant.quota) {
            (QuotaChange::Set(requests), _) => {
                managed.tenant.quota = Some(input::check_quota(requests, &managed.tenant.plan, plans)?);
            }
            (QuotaChange::Drop, _) => managed.tenant.quota = None,
            (QuotaChange::Keep, Some(requests)) if requests > plans.backstop(&managed.tenant.plan) => {
                let detail =
                    "The tenant's own quota is too high for the plan. Send a lower `quota`, or null, with the plan.";
                return Err(Problem::new(Code::CHANGE_NOT_ALLOWED, detail));
            }
            (QuotaChange::Keep, _) => {}
        }
        self.saga.store.tenant_update(operator, &mut managed, &old).await?;
        self.finish(operator, managed).await
    }

    async fn offboard(&self, request: &Inbound<'_>, operator: &Operator) -> Result<Reply, Problem> {
        request.query(&[])?;
        self.saga.gateway.check_deployed()?;
        let mut managed = self.read(request, operator).await?;
        match managed.offboard(Timestamp::now()) {
            Ok(()) => {}
            // The offboarding is in progress or complete: asking for it again changes nothing.
            Err(ChangeError::WrongStatus(_)) => return reply(&managed, StatusCode::ACCEPTED),
            Err(error @ (ChangeError::Busy | ChangeError::TooManyKeys)) => return Err(error.into()),
        }
        self.saga.store.tenant_close(operator, &mut managed).await?;
        self.saga.go_on(operator, &mut managed).await;
        reply(&managed, StatusCode::ACCEPTED)
    }

    async fn change(
        &self,
        request: &Inbound<'_>,
        operator: &Operator,
        change: impl FnOnce(&mut ManagedTenant, Timestamp) -> Result<(), ChangeError> + Send,
    ) -> Result<Reply, Problem> {
        request.query(&[])?;
        self.saga.gateway.check_deployed()?;
        let mut managed = self.read(request, operator).await?;
        change(&mut managed, Timestamp::now())?;
        self.saga.store.tenant_save(operator, &mut managed).await?;
        self.finish(operator, managed).await
    }

    async fn rotate(&self, request: &Inbound<'_>, operator: &Operator) -> Result<Reply, Problem> {
        request.query(&[])?;
        let overlap = input::overlap(request)?;
        let mut managed = self.read(request, operator).await?;
        let old = managed.clone();
        let key = tenant_key::generate();
        let digest = tenant_key::digest(&key).ok_or_else(|| Problem::internal("a new key is not of its shape"))?;
        managed.rotate_keys(digest, overlap, Timestamp::now())?;
        self.saga.store.tenant_update(operator, &mut managed, &old).await?;
        let issued = Issued { key: &key, tenant_keys: &managed.tenant_keys };
        Ok(Reply::json(StatusCode::CREATED, &issued)?.header(CACHE_CONTROL, "no-store"))
    }

    async fn export(&self, request: &Inbound<'_>, operator: &Operator) -> Result<Reply, Problem> {
        let query = request.query(&["cursor"])?;
        let managed = self.read(request, operator).await?;
        let export = self.saga.store.tenant_export(operator, managed.id(), query.get("cursor")).await?;
        let lines = export::lines(&export)?;
        // An `Accept` that names none of them has always been accepted, and RFC 9110 (section 12.5.1) allows ignoring it.
        let media_type = request.preferred(JSON_LINES).unwrap_or(PLAIN_TEXT);
        let content_type =
            if media_type == PLAIN_TEXT { format!("{PLAIN_TEXT}; charset=utf-8") } else { media_type.to_owned() };
        let reply = Reply::text(StatusCode::OK, lines).header(CONTENT_TYPE, &content_type).header(VARY, "Accept");
        Ok(query.link(reply, &request.path(), export.next.as_deref()))
    }

    async fn read(&self, request: &Inbound<'_>, operator: &Operator) -> Result<ManagedTenant, Problem> {
        let not_found = || Problem::new(Code::TENANT_NOT_FOUND, "There is no tenant with this id.");
        let id = TenantId::parse(&request.path_parameter("tenant")?).map_err(|_| not_found())?;
        self.saga.store.tenant_get_managed(operator, &id).await?.ok_or_else(not_found)
    }

    /// Makes the change that was just written, if this call wrote one. The status is 202 while the change is incomplete.
    async fn finish(&self, operator: &Operator, mut managed: ManagedTenant) -> Result<Reply, Problem> {
        if managed.is_leased(Timestamp::now()) {
            self.saga.go_on(operator, &mut managed).await;
        }
        reply(&managed, if managed.change.is_none() { StatusCode::OK } else { StatusCode::ACCEPTED })
    }
}

fn reply(managed: &ManagedTenant, status: StatusCode) -> Result<Reply, Problem> {
    Reply::json(status, &View::from(managed))
}

impl From<NotDeployed> for Problem {
    fn from(error: NotDeployed) -> Self {
        let detail = format!(
            "Nothing was changed, because {error}. Without it, the function would manage real API keys in the account \
             whose credentials it has. Set the template parameter ApiGatewayEndpoint to the management API to use."
        );
        Self::new(Code::NOT_DEPLOYED, detail)
    }
}
