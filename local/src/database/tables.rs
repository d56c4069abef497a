//! The creation of tables from the JSON of a template, with the
//! [DynamoDB API](https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/).
//!
//! CloudFormation's properties have the form of a `CreateTable` request, with a few exceptions. The SDK has builders instead
//! of JSON, so it would need code for each property; here only the exceptions need code.

use std::error::Error;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use serde_json::{Map, Value, json};

use super::{DatabaseError, repair};
use crate::template::{REGION, Table};

/// The properties that `CreateTable` takes unchanged. The others are about backups, encryption and deletion protection.
const PASSED_ON: [&str; 6] = [
    "AttributeDefinitions",
    "BillingMode",
    "GlobalSecondaryIndexes",
    "KeySchema",
    "LocalSecondaryIndexes",
    "ProvisionedThroughput",
];

/// The pause between two checks whether a new table is active.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// The maximum number of these checks.
const POLLS: u32 = 100;

/// The timeout of a request. None of the requests here is slow.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A client of a DynamoDB on this machine. It signs requests, because the engine requires it, with credentials that nothing
/// verifies.
pub(super) struct Client<'a> {
    endpoint: &'a str,
    http: reqwest::Client,
}

impl<'a> Client<'a> {
    pub(super) fn new(endpoint: &'a str) -> Self {
        Self { endpoint, http: reqwest::Client::new() }
    }

    /// Creates the table, or finds the one with its name, and changes it into the template's. The settings that a new table
    /// gets after its creation are a repair like any other, so the next start finishes one that was interrupted.
    pub(super) async fn create(&self, table: &Table) -> Result<(), DatabaseError> {
        match self.call("CreateTable", &creation(table)).await {
            Ok(_) => {}
            Err(DatabaseError::Rejected { kind, .. }) if kind == "ResourceInUseException" => {}
            Err(error) => return Err(error),
        }
        let found = self.wait(&table.name).await?;
        let repairs = repair::updates(table, &found["Table"]).map_err(|difference| DatabaseError::Mismatch {
            table: table.name.clone(),
            endpoint: self.endpoint.to_owned(),
            difference,
        })?;
        for repair in repairs {
            self.call("UpdateTable", &repair).await?;
            self.wait(&table.name).await?;
        }
        self.expire(table).await
    }

    /// Turns on the expiry of items, if the template has it.
    async fn expire(&self, table: &Table) -> Result<(), DatabaseError> {
        let wanted = &table.properties["TimeToLiveSpecification"];
        if !wanted.is_object() {
            return Ok(());
        }
        let found = self.call("DescribeTimeToLive", &json!({"TableName": table.name})).await?;
        let found = &found["TimeToLiveDescription"];
        let is_on = matches!(found["TimeToLiveStatus"].as_str(), Some("ENABLED" | "ENABLING"));
        if is_on && found["AttributeName"] != wanted["AttributeName"] {
            return Err(DatabaseError::Mismatch {
                table: table.name.clone(),
                endpoint: self.endpoint.to_owned(),
                difference: format!("the attribute {} by which items expire", found["AttributeName"]),
            });
        }
        if !is_on {
            let request = json!({"TableName": table.name, "TimeToLiveSpecification": wanted});
            self.call("UpdateTimeToLive", &request).await?;
        }
        Ok(())
    }

    /// Waits until the table and its indexes are active, and returns their description.
    async fn wait(&self, name: &str) -> Result<Value, DatabaseError> {
        for _ in 0..POLLS {
            let found = self.call("DescribeTable", &json!({ "TableName": name })).await?;
            let table = &found["Table"];
            let indexes = table["GlobalSecondaryIndexes"].as_array().into_iter().flatten();
            // Amazon's DynamoDB Local gives indexes of a new table no status.
            let mut statuses = indexes.filter_map(|index| index["IndexStatus"].as_str());
            if table["TableStatus"] == "ACTIVE" && statuses.all(|status| status == "ACTIVE") {
                return Ok(found);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Err(DatabaseError::Inactive(name.to_owned()))
    }

    pub(super) async fn call(&self, operation: &'static str, request: &Value) -> Result<Value, DatabaseError> {
        let unreachable = |source| DatabaseError::Request { endpoint: self.endpoint.to_owned(), source };
        let (status, response) = self.send(operation, request).await.map_err(unreachable)?;
        if status.is_success() {
            return Ok(response);
        }
        let kind = response["__type"].as_str().unwrap_or_default();
        // The member is `message` in DynamoDB, and sometimes `Message` in DynamoDB Local.
        let message = response["message"].as_str().or_else(|| response["Message"].as_str()).unwrap_or_default();
        Err(DatabaseError::Rejected {
            operation,
            kind: kind.rsplit('#').next().unwrap_or_default().to_owned(),
            message: message.to_owned(),
        })
    }

    async fn send(
        &self,
        operation: &str,
        request: &Value,
    ) -> Result<(http::StatusCode, Value), Box<dyn Error + Send + Sync>> {
        let body = request.to_string();
        let mut request = http::Request::post(self.endpoint)
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
            .body(body.clone())?;
        let identity = Credentials::new("local", "local", None, None, "local").into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region(REGION)
            .name("dynamodb")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()?
            .into();
        let headers = request.headers().iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let signable = SignableRequest::new("POST", self.endpoint, headers, SignableBody::Bytes(body.as_bytes()))?;
        let (instructions, _signature) = sign(signable, &params)?.into_parts();
        instructions.apply_to_request_http1x(&mut request);

        let mut request = reqwest::Request::try_from(request)?;
        *request.timeout_mut() = Some(TIMEOUT);
        let response = self.http.execute(request).await?;
        let status = response.status();
        Ok((status, response.json().await?))
    }
}

fn creation(table: &Table) -> Value {
    let mut request: Map<_, _> =
        PASSED_ON.iter().filter_map(|name| Some(((*name).to_owned(), table.properties.get(name)?.clone()))).collect();
    request.insert("TableName".to_owned(), json!(table.name));
    if let Some(stream) = repair::stream(table) {
        request.insert("StreamSpecification".to_owned(), stream);
    }
    Value::Object(request)
}
