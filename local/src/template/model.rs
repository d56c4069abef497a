//! The construction of a [`Template`] from the resources of a document, with SAM's `Globals` applied to the functions.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::intrinsics::{Resolver, is_intrinsic, plan_id};
use super::properties::{
    ApiAuth, ApiEvent, ApiProperties, AuthorizerProperties, CorsProperty, CorsSettings, FunctionProperties,
    GatewayResponseProperties, Identity, Lenient, PlanProperties,
};
use super::{
    Api, Authorizer, Cors, Function, GatewayResponse, HeaderSource, Plan, Route, Table, Template, TemplateError,
};

/// A resource of the document.
struct Resource<'a> {
    id: &'a str,
    body: &'a Value,
}

/// Builds the template from a whole document, without the resources whose condition does not hold.
pub(super) fn build(document: &Value, overrides: &BTreeMap<String, String>) -> Result<Template, TemplateError> {
    let resolver = Resolver::new(document, overrides)?;
    let builder = Builder { resolver, globals: &document["Globals"]["Function"] };

    let mut resources: BTreeMap<&str, Vec<Resource<'_>>> = BTreeMap::new();
    for (id, body) in document["Resources"].as_object().into_iter().flatten() {
        let resource = Resource { id, body };
        if builder.is_wanted(&resource)? {
            resources.entry(body["Type"].as_str().unwrap_or_default()).or_default().push(resource);
        }
    }
    let of_type = |name: &str| resources.get(name).map(Vec::as_slice).unwrap_or_default();

    let mut functions = Vec::new();
    let mut events = Vec::new();
    for resource in of_type("AWS::Serverless::Function") {
        let (function, own) = builder.function(resource)?;
        events.extend(own.into_iter().map(|event| (function.name.clone(), resource, event)));
        functions.push(function);
    }
    let [api] = of_type("AWS::Serverless::Api") else {
        return Err(TemplateError::Apis(of_type("AWS::Serverless::Api").len()));
    };
    let api = builder.api(api, &functions, events)?;
    let tables = of_type("AWS::DynamoDB::Table").iter().map(|table| builder.table(table)).collect::<Result<_, _>>()?;
    let plans =
        of_type("AWS::ApiGateway::UsagePlan").iter().map(|plan| builder.plan(plan)).collect::<Result<_, _>>()?;
    Ok(Template { functions, api, tables, plans })
}

struct Builder<'a> {
    resolver: Resolver<'a>,
    globals: &'a Value,
}

impl Builder<'_> {
    fn is_wanted(&self, resource: &Resource<'_>) -> Result<bool, TemplateError> {
        match resource.body["Condition"].as_str() {
            Some(condition) => self.resolver.condition(condition).map_err(|source| resource.unresolved(source)),
            None => Ok(true),
        }
    }

    /// Resolves and reads the named properties of a resource. The others are ignored: a property that has no meaning on this
    /// machine need not be resolvable here.
    fn properties<T: DeserializeOwned>(
        &self,
        resource: &Resource<'_>,
        properties: &Value,
        names: &[&str],
    ) -> Result<T, TemplateError> {
        let mut resolved = Map::new();
        for name in names {
            if let Some(value) = properties.get(name)
                && let Some(value) = self.resolver.resolve(value).map_err(|source| resource.unresolved(source))?
            {
                resolved.insert((*name).to_owned(), value);
            }
        }
        resource.read(Value::Object(resolved))
    }

    fn function(&self, resource: &Resource<'_>) -> Result<(Function, Vec<ApiEvent>), TemplateError> {
        let Some(name) = resource.body["Metadata"]["BuildProperties"]["Binary"].as_str() else {
            return Err(resource.wrong("Metadata.BuildProperties.Binary is missing"));
        };
        let merged = merge(self.globals, &resource.body["Properties"]);
        let names = ["Timeout", "MemorySize", "ReservedConcurrentExecutions", "Environment", "LoggingConfig", "Events"];
        let properties: FunctionProperties = self.properties(resource, &merged, &names)?;

        let mut environment: BTreeMap<_, _> =
            properties.environment.variables.into_iter().map(|(name, Lenient(value))| (name, value)).collect();
        if let Some(level) = properties.logging_config.application_log_level {
            // Lambda sets this variable, too: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
            environment.insert("AWS_LAMBDA_LOG_LEVEL".to_owned(), level);
        }
        let mut events = Vec::new();
        let mut schedules = Vec::new();
        for event in properties.events.into_values() {
            match event.r#type.as_str() {
                "Api" => events.push(resource.read(event.properties)?),
                "Schedule" => {
                    let rate = event.properties["Schedule"].as_str().and_then(rate);
                    schedules.push(
                        rate.ok_or_else(|| resource.wrong("a Schedule is not a rate of minutes, hours or days"))?,
                    );
                }
                _ => {}
            }
        }
        let function = Function {
            name: name.to_owned(),
            logical_id: resource.id.to_owned(),
            timeout: Duration::from_secs(properties.timeout.0),
            memory_mb: properties.memory_size.0,
            reserved_concurrency: properties.reserved_concurrent_executions.map(|Lenient(number)| number),
            environment,
            schedules,
        };
        Ok((function, events))
    }

    fn api(
        &self,
        resource: &Resource<'_>,
        functions: &[Function],
        events: Vec<(String, &Resource<'_>, ApiEvent)>,
    ) -> Result<Api, TemplateError> {
        let names = ["StageName", "Auth", "Cors", "GatewayResponses", "BinaryMediaTypes", "MinimumCompressionSize"];
        let properties: ApiProperties = self.properties(resource, &resource.body["Properties"], &names)?;
        let ApiAuth { default_authorizer, api_key_required, mut authorizers } = properties.auth;

        let authorizer = match &default_authorizer {
            Some(name) => match authorizers.remove(name) {
                Some(authorizer) => Some(build_authorizer(resource, authorizer, functions)?),
                None => return Err(resource.wrong("the DefaultAuthorizer is not among the Authorizers")),
            },
            None => None,
        };
        let key_by_default = api_key_required.is_some_and(|Lenient(required)| required);
        let mut routes = Vec::new();
        for (function, owner, event) in events {
            let is_protected = match event.auth.authorizer.as_deref() {
                Some("NONE") => false,
                Some(name) if default_authorizer.as_deref() != Some(name) => {
                    return Err(owner.wrong("an event names an authorizer other than the default"));
                }
                Some(_) | None => authorizer.is_some(),
            };
            routes.push(Route {
                method: event.method.to_uppercase(),
                path: event.path,
                function,
                authorized: is_protected,
                api_key_required: event.auth.api_key_required.map_or(key_by_default, |Lenient(required)| required),
            });
        }
        let gateway_responses =
            properties.gateway_responses.into_iter().map(|(name, response)| (name, response.into())).collect();
        Ok(Api {
            stage: properties.stage_name,
            routes,
            authorizer,
            gateway_responses,
            cors: properties.cors.map(Cors::from),
            // SAM encodes the slash as in a JSON pointer.
            binary_media_types: properties.binary_media_types.iter().map(|kind| kind.replace("~1", "/")).collect(),
            minimum_compression_size: properties.minimum_compression_size.map(|Lenient(bytes)| bytes),
        })
    }

    fn table(&self, resource: &Resource<'_>) -> Result<Table, TemplateError> {
        let properties = self.resolver.resolve(&resource.body["Properties"]);
        let properties = properties.map_err(|source| resource.unresolved(source))?;
        Ok(Table { name: resource.id.to_owned(), properties: properties.unwrap_or_default() })
    }

    fn plan(&self, resource: &Resource<'_>) -> Result<Plan, TemplateError> {
        let names = ["UsagePlanName", "ApiStages", "Throttle", "Quota", "Tags"];
        let properties: PlanProperties = self.properties(resource, &resource.body["Properties"], &names)?;
        let tags: BTreeMap<_, _> = properties.tags.into_iter().map(|tag| (tag.key, tag.value)).collect();
        let Some(name) = tags.get("plan").cloned() else {
            return Err(resource.wrong("the tag `plan` is missing"));
        };
        if properties.quota.as_ref().is_some_and(|quota| quota.period != "MONTH") {
            return Err(resource.wrong("local supports only monthly quotas"));
        }
        Ok(Plan {
            id: plan_id(resource.id),
            name,
            usage_plan_name: properties.usage_plan_name,
            tags,
            stages: properties.api_stages,
            rate: properties.throttle.rate_limit.0,
            burst: properties.throttle.burst_limit.0,
            quota: properties.quota.map(|quota| quota.limit.0),
        })
    }
}

fn build_authorizer(
    resource: &Resource<'_>,
    properties: AuthorizerProperties,
    functions: &[Function],
) -> Result<Authorizer, TemplateError> {
    if properties.function_payload_type.is_some_and(|kind| kind != "TOKEN") {
        return Err(resource.wrong("local supports only TOKEN authorizers"));
    }
    let id = properties.function_arn.rsplit(':').next().unwrap_or_default();
    let Some(function) = functions.iter().find(|function| function.logical_id == id) else {
        return Err(resource.wrong("the authorizer's FunctionArn is not that of a function in this template"));
    };
    let Identity { header, validation_expression, reauthorize_every } = properties.identity;
    Ok(Authorizer {
        function: function.name.clone(),
        header: header.unwrap_or_else(|| "Authorization".to_owned()),
        validation_expression,
        ttl: Duration::from_secs(reauthorize_every.map_or(300, |Lenient(seconds)| seconds)),
    })
}

impl From<GatewayResponseProperties> for GatewayResponse {
    fn from(properties: GatewayResponseProperties) -> Self {
        let GatewayResponseProperties { status_code, response_parameters, mut response_templates } = properties;
        Self {
            status: status_code.map(|Lenient(status)| status),
            headers: response_parameters.headers.into_iter().map(|(name, value)| (name, source(&value))).collect(),
            body: response_templates.remove("application/json"),
        }
    }
}

impl From<CorsProperty> for Cors {
    fn from(property: CorsProperty) -> Self {
        match property {
            CorsProperty::Origin(origin) => Self { allow_origin: Some(unquote(&origin)), ..Self::default() },
            CorsProperty::Settings(CorsSettings { allow_origin, allow_methods, allow_headers, max_age }) => Self {
                allow_origin: allow_origin.as_deref().map(unquote),
                allow_methods: allow_methods.as_deref().map(unquote),
                allow_headers: allow_headers.as_deref().map(unquote),
                max_age: max_age.as_deref().map(unquote),
            },
        }
    }
}

fn source(value: &str) -> HeaderSource {
    match value.strip_prefix("context.") {
        Some(variable) => HeaderSource::Context(variable.to_owned()),
        None => HeaderSource::Static(unquote(value)),
    }
}

/// Removes the single quotes around API Gateway's static values.
fn unquote(value: &str) -> String {
    value.strip_prefix('\'').and_then(|value| value.strip_suffix('\'')).unwrap_or(value).to_owned()
}

/// Merges by SAM's rule: mappings are merged, lists are joined, and everything else is replaced.
/// <https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-specification-template-anatomy-globals.html>
fn merge(global: &Value, own: &Value) -> Value {
    match (global, own) {
        (Value::Object(global), Value::Object(own)) if !is_intrinsic(global) && !is_intrinsic(own) => {
            let mut merged = global.clone();
            for (key, value) in own {
                let value = merged.get(key).map_or_else(|| value.clone(), |global| merge(global, value));
                merged.insert(key.clone(), value);
            }
            Value::Object(merged)
        }
        (Value::Array(global), Value::Array(own)) => Value::Array(global.iter().chain(own).cloned().collect()),
        (global, Value::Null) => global.clone(),
        (_, own) => own.clone(),
    }
}

impl Resource<'_> {
    fn read<T: DeserializeOwned>(&self, value: Value) -> Result<T, TemplateError> {
        serde_json::from_value(value).map_err(|source| TemplateError::Property { resource: self.id.to_owned(), source })
    }

    fn unresolved(&self, source: super::IntrinsicError) -> TemplateError {
        TemplateError::Intrinsic { resource: self.id.to_owned(), source }
    }

    fn wrong(&self, reason: &'static str) -> TemplateError {
        TemplateError::Resource { resource: self.id.to_owned(), reason }
    }
}

/// Parses a rate expression, such as `rate(5 minutes)`.
/// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html>
fn rate(text: &str) -> Option<Duration> {
    let (count, unit) = text.strip_prefix("rate(")?.strip_suffix(')')?.split_once(' ')?;
    let count: u64 = count.parse().ok()?;
    match unit.trim_end_matches('s') {
        "minute" => Some(Duration::from_mins(count)),
        "hour" => Some(Duration::from_hours(count)),
        "day" => Some(Duration::from_hours(count.checked_mul(24)?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::template::{API_ID, ApiStage, yaml};

    fn shipped(overrides: &[(&str, &str)]) -> Template {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml");
        let overrides = overrides.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Template::read(path.as_ref(), &overrides).unwrap()
    }

    fn failure(text: &str) -> String {
        Template::parse(text, &BTreeMap::new()).unwrap_err().to_string()
    }

    #[test]
    fn functions_have_the_globals_and_their_own() {
        let template = shipped(&[("Issuers", "[1]"), ("LogLevel", "DEBUG"), ("UserPool", "false")]);
        let function = |name| template.functions.iter().find(|function| function.name == name).unwrap();
        let authorizer = function("authorizer");
        assert_eq!(authorizer.timeout, Duration::from_secs(10));
        assert_eq!(authorizer.memory_mb, 256);
        assert_eq!(authorizer.environment["TABLE_NAME"], "Table");
        assert_eq!(authorizer.environment["ISSUERS"], "[1]");
        assert_eq!(authorizer.environment["AWS_LAMBDA_LOG_LEVEL"], "DEBUG");
        assert!(!function("records").environment.contains_key("ISSUERS"));
    }

    #[test]
    fn a_schedule_is_a_rate() {
        assert_eq!(rate("rate(1 minute)"), Some(Duration::from_mins(1)));
        assert_eq!(rate("rate(2 days)"), Some(Duration::from_hours(48)));
        for text in ["cron(0 12 * * ? *)", "rate(minute)", "rate(1 week)", "1 minute"] {
            assert_eq!(rate(text), None, "{text}");
        }
        let tenants = shipped(&[]).functions.into_iter().find(|function| function.name == "tenants").unwrap();
        assert_eq!(tenants.schedules, [Duration::from_mins(1)]);
    }

    #[test]
    fn the_user_pool_comes_with_its_trigger_and_is_trusted_by_the_authorizer() {
        let issuers = |template: &Template| {
            let authorizer = template.functions.iter().find(|function| function.name == "authorizer").unwrap();
            serde_json::from_str::<Value>(&authorizer.environment["USER_POOL_ISSUERS"]).unwrap()
        };
        let has_trigger = |template: &Template| template.functions.iter().any(|function| function.name == "claims");
        let (with, without) = (shipped(&[]), shipped(&[("UserPool", "false")]));
        assert!(has_trigger(&with) && !has_trigger(&without));
        assert_eq!(issuers(&with)[0]["clientIds"], json!(["UserClient", "MachineClient", "OperatorClient"]));
        assert_eq!(issuers(&without), json!([]));
    }

    #[test]
    fn routes_are_protected_unless_they_opt_out() {
        let api = shipped(&[]).api;
        assert_eq!(api.stage, "v1");
        let route = |path: &str| api.routes.iter().find(|route| route.path == path).cloned().unwrap();
        let open = Route {
            method: "GET".to_owned(),
            path: "/health".to_owned(),
            function: "health".to_owned(),
            authorized: false,
            api_key_required: false,
        };
        assert_eq!(route("/health"), open);
        let records = route("/collections/{collection}/records/{id}");
        assert!(records.authorized && records.api_key_required && records.function == "records");
    }

    #[test]
    fn the_authorizer_is_a_function_with_its_settings() {
        let authorizer = shipped(&[]).api.authorizer.unwrap();
        assert_eq!((authorizer.function.as_str(), authorizer.header.as_str()), ("authorizer", "Authorization"));
        assert_eq!(authorizer.ttl, Duration::from_mins(5));
        assert!(authorizer.validation_expression.unwrap().starts_with("^[Bb][Ee][Aa][Rr][Ee][Rr] +(tnt_"));
    }

    #[test]
    fn cors_is_off_without_an_origin_and_on_with_one() {
        let off = shipped(&[]).api;
        assert_eq!(off.cors.unwrap().allow_origin, None);
        assert!(!off.gateway_responses["UNAUTHORIZED"].headers.contains_key("Access-Control-Allow-Origin"));

        let on = shipped(&[("CorsAllowedOrigin", "https://app.example")]).api;
        let cors = on.cors.unwrap();
        assert_eq!(cors.allow_origin.as_deref(), Some("https://app.example"));
        assert_eq!(cors.max_age.as_deref(), Some("7200"));
        let unauthorized = &on.gateway_responses["UNAUTHORIZED"];
        assert_eq!(unauthorized.status, Some(401));
        let value = |text: &str| HeaderSource::Static(text.to_owned());
        assert_eq!(unauthorized.headers["Access-Control-Allow-Origin"], value("https://app.example"));
        assert_eq!(unauthorized.headers["WWW-Authenticate"], value(r#"Bearer error="invalid_token""#));
        let denied = &on.gateway_responses["ACCESS_DENIED"];
        assert_eq!(denied.headers["WWW-Authenticate"], HeaderSource::Context("authorizer.challenge".to_owned()));
        assert!(unauthorized.body.as_deref().unwrap().contains("$context.requestId"));
    }

    #[test]
    fn plans_and_tables_are_read() {
        let template = shipped(&[("FreeRate", "7")]);
        let free = Plan {
            id: "freeplan".to_owned(),
            name: "free".to_owned(),
            usage_plan_name: Some("local-free".to_owned()),
            tags: BTreeMap::from([("plan".to_owned(), "free".to_owned())]),
            stages: vec![ApiStage { api_id: API_ID.to_owned(), stage: "v1".to_owned() }],
            rate: 7.0,
            burst: 10,
            quota: Some(100_000),
        };
        assert_eq!(template.plans.len(), 3);
        assert!(template.plans.contains(&free));
        assert_eq!(template.tables[0].name, "Table");
        assert_eq!(template.tables[0].properties["KeySchema"][0]["KeyType"], "HASH");
        assert_eq!(template.api.binary_media_types, ["application/octet-stream"]);
        assert_eq!(template.api.minimum_compression_size, Some(0));
    }

    #[test]
    fn an_error_names_its_resource() {
        let function = "Resources: {F: {Type: AWS::Serverless::Function, ";
        assert_eq!(
            failure(&format!("{function}Properties: {{}}}}}}")),
            "resource `F`: Metadata.BuildProperties.Binary is missing"
        );
        let named = format!("{function}Metadata: {{BuildProperties: {{Binary: f}}}}, Properties: ");
        assert_eq!(
            failure(&format!("{named}{{Timeout: soon}}}}}}")),
            "resource `F`: `soon`: invalid digit found in string"
        );
        assert_eq!(
            failure(&format!("{named}{{Timeout: !Ref Nobody}}}}}}")),
            "resource `F`: `Nobody` is neither a parameter nor a resource"
        );
        assert_eq!(
            failure(&format!("{named}{{}}}}}}")),
            "the template must have exactly one AWS::Serverless::Api, but has 0"
        );
    }

    #[test]
    fn a_resource_whose_condition_fails_is_left_out() {
        let text = "
Conditions: {Never: !Equals [1, 2]}
Resources:
  Api: {Type: AWS::Serverless::Api, Properties: {StageName: v1}}
  Table: {Type: AWS::DynamoDB::Table, Condition: Never, Properties: {}}
";
        assert!(Template::parse(text, &BTreeMap::new()).unwrap().tables.is_empty());
    }

    #[test]
    fn globals_are_merged_by_the_rule_of_sam() {
        let merged = merge(
            &yaml::parse("{a: {x: 1, y: 1}, b: [1], c: 1, d: !Ref X}").unwrap(),
            &yaml::parse("{a: {y: 2}, b: [2], c: 2, d: !Ref Y}").unwrap(),
        );
        assert_eq!(merged, yaml::parse("{a: {x: 1, y: 2}, b: [1, 2], c: 2, d: !Ref Y}").unwrap());
    }
}
