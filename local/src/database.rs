//! DynamoDB on this machine: an embedded engine behind its own HTTP listener, or one that is already running.

pub mod engine;
mod repair;
mod tables;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use tokio::net::TcpListener;

use crate::server::Server;
use crate::template::Table;
use crate::terminal;
use tables::Client;

/// The engine's file in the data folder.
const FILE: &str = "dynamodb.sqlite";

/// The reason why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The port of the embedded engine cannot be listened on.
    #[error(
        "the embedded DynamoDB cannot listen on {address}: {source}; it uses the port after the API's, so choose \
             another one with --port N"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: std::io::Error,
    },
    /// The data folder cannot be created.
    #[error("the folder {} cannot be created: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The engine does not start, although there is no data.
    #[error("the embedded DynamoDB failed to start: {0}")]
    Engine(#[from] dynoxide::DynoxideError),
    /// The engine does not open its data.
    #[error("the embedded DynamoDB cannot open {}: {source}; move the file away to start without data, or use another \
             folder with --data FOLDER", path.display())]
    Data {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The endpoint of another DynamoDB is not a URL.
    #[error("`{0}` is not the URL of a DynamoDB; --dynamodb-endpoint takes one like http://127.0.0.1:8000")]
    Endpoint(String),
    /// A request could not be sent, or got no response.
    #[error(
        "DynamoDB at {endpoint} cannot be reached: {source}; start it there, or leave --dynamodb-endpoint out to use \
             the embedded one"
    )]
    Request {
        /// The endpoint of the DynamoDB.
        endpoint: String,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// DynamoDB has rejected a request.
    #[error("DynamoDB rejected {operation}: {kind}: {message}")]
    Rejected {
        /// The operation.
        operation: &'static str,
        /// The type of the error.
        kind: String,
        /// The message of the error.
        message: String,
    },
    /// A new table or index does not become active.
    #[error("the table `{0}` did not become active")]
    Inactive(String),
    /// There is a table with the name, and it cannot be changed into the template's.
    #[error(
        "the table `{table}` at {endpoint} does not match the template: {difference} cannot be changed; use another \
             folder with --data FOLDER, or delete the table or the folder if you do not need its data"
    )]
    Mismatch {
        /// The table's name.
        table: String,
        /// The endpoint of the DynamoDB.
        endpoint: String,
        /// The part that differs.
        difference: String,
    },
}

/// A DynamoDB with the tables of a template.
#[derive(Debug)]
pub(crate) struct Database {
    endpoint: String,
    server: Option<Server>,
}

impl Database {
    /// Serves the embedded engine on `port` (0 selects a free one), with its data in `folder` or in memory.
    pub(crate) async fn embedded(folder: Option<&Path>, port: u16) -> Result<Self, DatabaseError> {
        let opened = match folder {
            Some(folder) => {
                std::fs::create_dir_all(folder)
                    .map_err(|source| DatabaseError::Folder { path: folder.to_owned(), source })?;
                engine::open(&folder.join(FILE))?
            }
            None => engine::memory()?,
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let unusable = |source| DatabaseError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(unusable)?;
        let endpoint = format!("http://{}", listener.local_addr().map_err(unusable)?);
        let server = Server::spawn(|stop| async move {
            if let Err(error) = dynoxide::server::serve_with_shutdown(listener, opened, stop).await {
                terminal::print(format_args!("dynamodb | {error}"));
            }
        });
        Ok(Self { endpoint, server: Some(server) })
    }

    /// Uses the DynamoDB at `endpoint`, which is an HTTP URL.
    pub(crate) fn external(endpoint: String) -> Result<Self, DatabaseError> {
        let is_url = endpoint.parse::<http::Uri>().is_ok_and(|url| {
            matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some_and(|host| !host.is_empty())
        });
        if is_url { Ok(Self { endpoint, server: None }) } else { Err(DatabaseError::Endpoint(endpoint)) }
    }

    /// Returns the URL of the DynamoDB.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Creates the tables of the template that do not exist, and repairs the others.
    pub(crate) async fn create(&self, tables: &[Table]) -> Result<(), DatabaseError> {
        let client = Client::new(&self.endpoint);
        for table in tables {
            client.create(table).await?;
        }
        Ok(())
    }

    /// Ends the embedded engine.
    pub(crate) async fn shutdown(self) {
        if let Some(server) = self.server {
            server.shutdown().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn table() -> Table {
        Table {
            name: "Things".to_owned(),
            properties: json!({
                "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
                "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
                "BillingMode": "PAY_PER_REQUEST",
                "DeletionProtectionEnabled": "true",
                "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": true},
                "SSESpecification": {"SSEEnabled": true},
                "StreamSpecification": {"StreamViewType": "NEW_AND_OLD_IMAGES"},
                "TimeToLiveSpecification": {"AttributeName": "expiresAt", "Enabled": true},
            }),
        }
    }

    #[tokio::test]
    async fn a_table_has_the_properties_of_its_template() {
        let database = Database::embedded(None, 0).await.unwrap();
        database.create(&[table()]).await.unwrap();
        let client = Client::new(database.endpoint());
        let name = json!({"TableName": "Things"});
        let found = client.call("DescribeTable", &name).await.unwrap();
        assert_eq!(found["Table"]["KeySchema"], table().properties["KeySchema"]);
        assert_eq!(found["Table"]["StreamSpecification"]["StreamViewType"], "NEW_AND_OLD_IMAGES");
        let lifetime = client.call("DescribeTimeToLive", &name).await.unwrap();
        assert_eq!(lifetime["TimeToLiveDescription"]["AttributeName"], "expiresAt");
        database.shutdown().await;
    }

    #[tokio::test]
    async fn data_in_a_folder_survives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        for round in 0..2 {
            let database = Database::embedded(Some(folder.path()), 0).await.unwrap();
            database.create(&[table()]).await.unwrap();
            let client = Client::new(database.endpoint());
            let key = json!({"pk": {"S": "a"}});
            let found = client.call("GetItem", &json!({"TableName": "Things", "Key": &key})).await.unwrap();
            assert_eq!(found.get("Item").is_some(), round == 1);
            client.call("PutItem", &json!({"TableName": "Things", "Item": &key})).await.unwrap();
            database.shutdown().await;
        }
    }

    #[tokio::test]
    async fn an_error_of_dynamodb_is_reported() {
        let database = Database::embedded(None, 0).await.unwrap();
        let mut broken = table();
        broken.properties["KeySchema"] = json!([]);
        let error = database.create(&[broken]).await.unwrap_err().to_string();
        assert!(error.starts_with("DynamoDB rejected CreateTable: ValidationException: "), "{error}");
        database.shutdown().await;
    }

    #[test]
    fn an_endpoint_is_a_url() {
        for endpoint in ["http://127.0.0.1:8000", "http://localhost:8000/", "https://dynamodb.eu-west-1.amazonaws.com"]
        {
            assert!(Database::external(endpoint.to_owned()).is_ok(), "{endpoint}");
        }
        for endpoint in
            ["nonsense", "", "127.0.0.1:8000", "localhost", "http://", "http://:8000", "file:///x", "a b", "é"]
        {
            let error = Database::external(endpoint.to_owned()).unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{endpoint}` is not the URL of a DynamoDB")), "{error}");
        }
    }

    #[tokio::test]
    async fn an_endpoint_without_a_dynamodb_is_reported() {
        let database = Database::external("http://127.0.0.1:1".to_owned()).unwrap();
        let error = database.create(&[table()]).await.unwrap_err();
        assert!(error.to_string().starts_with("DynamoDB at http://127.0.0.1:1 cannot be reached"), "{error}");
    }
}
