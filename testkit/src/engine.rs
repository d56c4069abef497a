//! The DynamoDB that `local` embeds, in memory and at an address of its own.

use local::template::Table;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// The properties of a table in the template that its creation takes as they are.
const PROPERTIES: [&str; 5] =
    ["AttributeDefinitions", "BillingMode", "GlobalSecondaryIndexes", "KeySchema", "StreamSpecification"];

/// A running engine. It ends when this is dropped.
#[derive(Debug)]
pub struct Engine {
    /// Its URL.
    pub endpoint: String,
    server: AbortHandle,
}

impl Engine {
    /// Starts an engine with these tables and their streams, so that a write costs the same as under `local`.
    pub async fn start(tables: &[Table]) -> Self {
        let engine = local::engine::memory().unwrap();
        for table in tables {
            let mut properties = table.properties.clone();
            properties.as_object_mut().unwrap().retain(|name, _| PROPERTIES.contains(&&**name));
            properties["StreamSpecification"]["StreamEnabled"] = true.into();
            properties["TableName"] = table.name.clone().into();
            engine.create_table(serde_json::from_value(properties).unwrap()).unwrap();
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(dynoxide::server::serve_on(listener, engine)).abort_handle();
        Self { endpoint, server }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.server.abort();
    }
}
