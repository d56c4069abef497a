//! Tables, made by the [DynamoDB API](https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/) from the JSON of a
//! template.
//!
//! CloudFormation's properties have the form of a `CreateTable` request, with a few exceptions. The SDK takes builders and
//! no JSON, so it would have to be told of each property anew; here only the exceptions are.

use std::error::Error;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use serde_json::{Map, Value, json};

use super::{DatabaseError, repair};
use crate::template::{REGION, Table};

/// What goes into `CreateTable` as it stands. The rest is about backups, encryption and protection from deletion.
const TAKEN: [&str; 6] = [
    "AttributeDefinitions",
    "BillingMode",
    "GlobalSecondaryIndexes",
    "KeySchema",
    "LocalSecondaryIndexes",
    "ProvisionedThroughput",
];

/// How often, and how many times, a new table is looked at until it is active.
const LOOK: Duration = Duration::from_millis(100);
const LOOKS: u32 = 100;

/// No request here is slow.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Calls a DynamoDB on this machine: signed, because it wants that, with credentials that it takes for what they are.
pub(super) struct Client<'a> {
    endpoint: &'a str,
    http: reqwest::Client,
}

impl<'a> Client<'a> {
    pub(super) fn new(endpoint: &'a str) -> Self {
        Self { endpoint, http: reqwest::Client::new() }
    }

    /// Creates the table, or finds one of its name, and makes it what the template says. What a new table needs after its
    /// creation is a repair like any other, so a start that was interrupted in between is finished by the next one.
    pub(super) async fn create(&self, table: &Table) -> Result<(), DatabaseError> {
        match self.call("CreateTable", &creation(table)).await {
            Ok(_) => {}
            Err(DatabaseError::Refused { kind, .. }) if kind == "ResourceInUseException" => {}
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

    /// Turns on the expiry of items, if the template wants it.
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

    /// Waits until the table and its indexes can be used, and describes them.
    async fn wait(&self, name: &str) -> Result<Value, DatabaseError> {
        for _ in 0..LOOKS {
            let found = self.call("DescribeTable", &json!({ "TableName": name })).await?;
            let table = &found["Table"];
            let indexes = table["GlobalSecondaryIndexes"].as_array().into_iter().flatten();
            // Amazon's DynamoDB Local gives indexes of a new table no status.
            let mut statuses = indexes.filter_map(|index| index["IndexStatus"].as_str());
            if table["TableStatus"] == "ACTIVE" && statuses.all(|status| status == "ACTIVE") {
                return Ok(found);
            }
            tokio::time::sleep(LOOK).await;
        }
        Err(DatabaseError::Inactive(name.to_owned()))
    }

    pub(super) async fn call(&self, operation: &'static str, request: &Value) -> Result<Value, DatabaseError> {
        let unreachable = |source| DatabaseError::Request { endpoint: self.endpoint.to_owned(), source };
        let (status, answer) = self.send(operation, request).await.map_err(unreachable)?;
        if status.is_success() {
            return Ok(answer);
        }
        let kind = answer["__type"].as_str().unwrap_or_default();
        // DynamoDB says `message`, its local version now and then `Message`.
        let message = answer["message"].as_str().or_else(|| answer["Message"].as_str()).unwrap_or_default();
        Err(DatabaseError::Refused {
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
        TAKEN.iter().filter_map(|name| Some(((*name).to_owned(), table.properties.get(name)?.clone()))).collect();
    request.insert("TableName".to_owned(), json!(table.name));
    if let Some(stream) = repair::stream(table) {
        request.insert("StreamSpecification".to_owned(), stream);
    }
    Value::Object(request)
}
