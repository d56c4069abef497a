//! The backends of the functions: a database, `local` for the issuer, and Runtime APIs with a clock.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use axum::serve::ListenerExt as _;
use local::binaries::Binaries;
use local::management;
use local::runtime::{Functions, Invoke as _, LogFormat, RuntimeOptions, default_environments};
use local::template::{Function, Table, Template};
use testkit::Api;
use testkit::dynamodb::DynamoDb;
use testkit::engine::Engine;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use crate::Error;
use crate::binaries::{KINDS, Programs, UNMETERED};
use crate::clock::Clock;

/// The binaries that are measured beside the functions of the template, each with the function whose settings it has.
const OTHERS: [(&str, &str); 4] =
    [("echo", "authorizer"), ("get_item", "records"), (UNMETERED, "records"), (KINDS, "records")];

/// Everything that the functions need.
pub(crate) struct Stage {
    tables: Vec<Table>,
    database: Engine,
    api: Api,
    functions: Vec<(Function, PathBuf)>,
}

impl Stage {
    /// Starts the database and the issuer.
    pub(crate) async fn open(programs: &Programs) -> Result<Self, Error> {
        let template = Programs::template();
        let binaries = Binaries::Directory(programs.directory().to_owned());
        let tables = Template::read(&template, &BTreeMap::new())?.tables;
        let database = Engine::start(&tables).await;
        let api = Api::start_with(|options| {
            options.binaries = binaries;
            options.dynamodb_endpoint = Some(database.endpoint.clone());
        });
        let api = api.await;
        let overrides = local::overrides(BTreeMap::new(), api.local.base_url());
        let mut functions = Template::read(&template, &overrides)?.functions;
        for (name, like) in OTHERS {
            let like = functions.iter().find(|function| function.name == like);
            let like = like.cloned().ok_or("the template lacks a function")?;
            functions.push(Function { name: name.to_owned(), ..like });
        }
        let functions = functions.into_iter().map(|function| {
            let program = programs.path(&function.name);
            (function, program)
        });
        Ok(Self { functions: functions.collect(), api, database, tables })
    }

    /// Requests a demo tenant's token.
    pub(crate) async fn token(&self) -> String {
        self.api.token(local::seed::DEMO[0].name, &[]).await
    }

    /// Starts a Runtime API of its own, whose functions have not started yet.
    pub(crate) async fn runtime(&self) -> Result<Runtime, Error> {
        self.runtime_on(&self.database.endpoint).await
    }

    /// Starts a runtime on an empty database of its own.
    pub(crate) async fn fresh_runtime(&self) -> Result<(Runtime, Engine), Error> {
        let database = Engine::start(&self.tables).await;
        Ok((self.runtime_on(&database.endpoint).await?, database))
    }

    /// Starts a runtime on the shared database, behind a proxy that counts requests. Times are measured without the proxy.
    pub(crate) async fn counted_runtime(&self) -> Result<(Runtime, DynamoDb), Error> {
        let proxy = DynamoDb::before(&self.database.endpoint).await;
        Ok((self.runtime_on(&proxy.endpoint).await?, proxy))
    }

    async fn runtime_on(&self, dynamodb_endpoint: &str) -> Result<Runtime, Error> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let base_url = format!("http://{}", listener.local_addr()?);
        let options = RuntimeOptions {
            api_gateway_endpoint: management::endpoint(&base_url),
            base_url,
            dynamodb_endpoint: dynamodb_endpoint.to_owned(),
            environments: default_environments(),
            quiet: true,
            // What is deployed writes its metrics into its log.
            log_format: LogFormat::Json,
        };
        let functions = Functions::new(self.functions.clone(), &options);
        let clock = Clock::default();
        let api = clock.watch(functions.router());
        let listener = listener.tap_io(|stream| {
            // As `local` serves it: small responses must not wait for more.
            let _unsupported = stream.set_nodelay(true);
        });
        let server = tokio::spawn(async move { axum::serve(listener, api).await }).abort_handle();
        Ok(Runtime { functions, clock, server })
    }

    /// Ends everything.
    pub(crate) async fn close(self) {
        self.api.shutdown().await;
    }
}

/// The functions, and the Runtime API from which they get events.
pub(crate) struct Runtime {
    functions: Functions,
    clock: Clock,
    server: AbortHandle,
}

impl Runtime {
    /// Measures the time from the hand-over of the event to the response, which has to contain `expected`.
    pub(crate) async fn warm(&self, name: &str, event: Vec<u8>, expected: &str) -> Result<Duration, Error> {
        self.clock.take();
        self.invoke(name, event, expected).await?;
        let times = self.clock.take();
        let (start, end) = times.handed_over.zip(times.responded).ok_or("an invocation without times")?;
        Ok(end.duration_since(start))
    }

    /// Measures the time from the start of a first process to its first response, which has to contain `expected`.
    pub(crate) async fn cold(&self, name: &str, event: Vec<u8>, expected: &str) -> Result<Duration, Error> {
        let start = Instant::now();
        self.invoke(name, event, expected).await?;
        let end = self.clock.take().responded.ok_or("an invocation without times")?;
        Ok(end.duration_since(start))
    }

    /// Returns the response, which has to contain `expected`.
    pub(crate) async fn invoke(&self, name: &str, event: Vec<u8>, expected: &str) -> Result<String, Error> {
        let response = String::from_utf8(self.functions.invoke(name, event).await?)?;
        if response.contains(expected) { Ok(response) } else { Err(format!("{name} responded with {response}").into()) }
    }

    /// Ends the functions.
    pub(crate) async fn close(self) {
        self.functions.shutdown().await;
        self.server.abort();
    }
}
