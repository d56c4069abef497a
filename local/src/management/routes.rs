//! The routes of the management calls.

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::middleware;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::ApiError;
use super::wire::{CreateApiKey, CreateUsagePlanKey, KEY_TYPE, UpdateApiKey, api_key, usage_plan, usage_plan_key};
use super::{Management, pages, permissions};
use crate::gateway::keys::{ApiKey, ApiKeys, KeyError};
use crate::template::Plan;

type Result<T, E = ApiError> = std::result::Result<T, E>;

pub(super) fn router(management: Management) -> Router {
    Router::new()
        .route("/apikeys", get(get_api_keys).post(create_api_key))
        .route("/apikeys/{key}", get(get_api_key).patch(update_api_key).delete(delete_api_key))
        .route("/usageplans", get(get_usage_plans))
        .route("/usageplans/{plan}", get(get_usage_plan))
        .route("/usageplans/{plan}/keys", get(get_usage_plan_keys).post(create_usage_plan_key))
        .route("/usageplans/{plan}/keys/{key}", get(get_usage_plan_key).delete(delete_usage_plan_key))
        .route_layer(middleware::from_fn_with_state(management.clone(), permissions::require))
        .fallback(async || ApiError::NoOperation)
        .method_not_allowed_fallback(async || ApiError::NoOperation)
        .with_state(management)
}

async fn create_api_key(State(Management { keys, .. }): State<Management>, body: Bytes) -> Result<Response> {
    let key = keys.create(read::<CreateApiKey>(&body)?.into())?;
    Ok(reply(StatusCode::CREATED, api_key(&key, true)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GetApiKey {
    #[serde(default)]
    include_value: bool,
}

async fn get_api_key(
    State(Management { keys, .. }): State<Management>,
    Path(id): Path<String>,
    Query(query): Query<GetApiKey>,
) -> Result<Response> {
    Ok(reply(StatusCode::OK, api_key(&keys.get(&id)?, query.include_value)))
}

async fn get_api_keys(
    State(Management { keys, .. }): State<Management>,
    Query(query): Query<pages::Query>,
) -> Result<Response> {
    let found = keys.list().into_iter().filter(|key| query.matches(key.name.as_deref()));
    let page = query.page(found, |key| key.id.as_str())?;
    Ok(Json(page.map(|key| api_key(&key, query.include_values))).into_response())
}

async fn update_api_key(
    State(Management { keys, .. }): State<Management>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response> {
    let key = keys.update(&id, read::<UpdateApiKey>(&body)?.change()?)?;
    Ok(reply(StatusCode::OK, api_key(&key, false)))
}

async fn delete_api_key(State(Management { keys, .. }): State<Management>, Path(id): Path<String>) -> Result<Response> {
    keys.delete(&id)?;
    Ok(StatusCode::ACCEPTED.into_response())
}

async fn get_usage_plans(
    State(Management { keys, plans, .. }): State<Management>,
    Query(query): Query<pages::Query>,
) -> Result<Response> {
    let key = query.key_id.as_deref().map(|id| keys.get(id)).transpose()?;
    let wanted = |plan: &&Plan| key.as_ref().is_none_or(|key| is_in(key, plan));
    let page = query.page(plans.iter().filter(wanted), |plan| plan.id.as_str())?;
    Ok(Json(page.map(usage_plan)).into_response())
}

async fn get_usage_plan(
    State(Management { plans, .. }): State<Management>,
    Path(id): Path<String>,
) -> Result<Response> {
    Ok(reply(StatusCode::OK, usage_plan(plan(&plans, &id)?)))
}

async fn create_usage_plan_key(
    State(Management { keys, plans, .. }): State<Management>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response> {
    let CreateUsagePlanKey { key_id, key_type } = read(&body)?;
    if key_type != KEY_TYPE {
        return Err(ApiError::BadRequest(format!("Invalid key type `{key_type}`, which should be {KEY_TYPE}")));
    }
    let key = keys.join(&key_id, &plan(&plans, &id)?.name)?;
    Ok(reply(StatusCode::CREATED, usage_plan_key(&key)))
}

async fn get_usage_plan_key(
    State(Management { keys, plans, .. }): State<Management>,
    Path((id, key)): Path<(String, String)>,
) -> Result<Response> {
    let key = member(&keys, &key, plan(&plans, &id)?)?;
    Ok(reply(StatusCode::OK, usage_plan_key(&key)))
}

async fn get_usage_plan_keys(
    State(Management { keys, plans, .. }): State<Management>,
    Path(id): Path<String>,
    Query(query): Query<pages::Query>,
) -> Result<Response> {
    let plan = plan(&plans, &id)?;
    let found = keys.list().into_iter().filter(|key| is_in(key, plan) && query.matches(key.name.as_deref()));
    let page = query.page(found, |key| key.id.as_str())?;
    Ok(Json(page.map(|key| usage_plan_key(&key))).into_response())
}

async fn delete_usage_plan_key(
    State(Management { keys, plans, .. }): State<Management>,
    Path((id, key)): Path<(String, String)>,
) -> Result<Response> {
    keys.leave(&key, &plan(&plans, &id)?.name)?;
    Ok(StatusCode::ACCEPTED.into_response())
}

fn plan<'a>(plans: &'a [Plan], id: &str) -> Result<&'a Plan, ApiError> {
    plans.iter().find(|plan| plan.id == id).ok_or(ApiError::NoPlan)
}

fn member(keys: &ApiKeys, id: &str, plan: &Plan) -> Result<ApiKey, KeyError> {
    let key = keys.get(id)?;
    if is_in(&key, plan) { Ok(key) } else { Err(KeyError::NotInPlan) }
}

fn is_in(key: &ApiKey, plan: &Plan) -> bool {
    key.plan.as_ref() == Some(&plan.name)
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| ApiError::BadRequest(format!("Invalid request body: {error}")))
}

fn reply(status: StatusCode, body: Value) -> Response {
    (status, Json(body)).into_response()
}
