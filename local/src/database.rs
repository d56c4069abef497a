//! DynamoDB on this machine: an embedded engine behind its own HTTP listener, or one that is there already.

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

/// The file in the data folder.
const FILE: &str = "dynamodb.sqlite";

/// Why there is no database.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// Its port cannot be had.
    #[error(
        "the embedded DynamoDB cannot listen on {address}: {source}; it uses the port after the API's, so choose \
             another one with --port N"
    )]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The data folder cannot be made.
    #[error("the folder {} cannot be created: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The engine does not start without data.
    #[error("the embedded DynamoDB failed to start: {0}")]
    Engine(#[from] dynoxide::DynoxideError),
    /// The engine does not open its data.
    #[error("the embedded DynamoDB cannot open {}: {source}; move the file away to start without data, or use another \
             folder with --data FOLDER", path.display())]
    Data {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The address of another DynamoDB is not one.
    #[error("`{0}` is not the URL of a DynamoDB; --dynamodb-endpoint takes one like http://127.0.0.1:8000")]
    Endpoint(String),
    /// A request could not be made or answered.
    #[error(
        "DynamoDB at {endpoint} cannot be reached: {source}; start it there, or leave --dynamodb-endpoint out to use \
             the embedded one"
    )]
    Request {
        /// Where it is.
        endpoint: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// DynamoDB has refused a request.
    #[error("DynamoDB rejected {operation}: {kind}: {message}")]
    Refused {
        /// The API's operation.
        operation: &'static str,
        /// The type of the error.
        kind: String,
        /// What it says.
        message: String,
    },
    /// A new table or index does not come to life.
    #[error("the table `{0}` did not become active")]
    Inactive(String),
    /// There is a table of the name, and it cannot be made into the template's.
    #[error(
        "the table `{table}` at {endpoint} does not match the template: {difference} cannot be changed; use another \
             folder with --data FOLDER, or delete the table or the folder if you do not need its data"
    )]
    Mismatch {
        /// The table's name.
        table: String,
        /// Where it is.
        endpoint: String,
        /// What differs.
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
    /// Serves the embedded engine on `port` (0 picks one), with its data in `folder` or in memory.
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

    /// Uses the one at `endpoint`, an HTTP URL.
    pub(crate) fn external(endpoint: String) -> Result<Self, DatabaseError> {
        let is_url = endpoint.parse::<http::Uri>().is_ok_and(|url| {
            matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some_and(|host| !host.is_empty())
        });
        if is_url { Ok(Self { endpoint, server: None }) } else { Err(DatabaseError::Endpoint(endpoint)) }
    }

    /// Where it is.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Makes the tables what the template says: creates those that are not there, and repairs the others.
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
    async fn a_table_has_what_its_template_says() {
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
    async fn data_in_a_folder_is_there_again() {
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
    async fn what_dynamodb_refuses_is_told() {
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
    async fn nobody_at_the_endpoint_is_told() {
        let database = Database::external("http://127.0.0.1:1".to_owned()).unwrap();
        let error = database.create(&[table()]).await.unwrap_err();
        assert!(error.to_string().starts_with("DynamoDB at http://127.0.0.1:1 cannot be reached"), "{error}");
    }
}
