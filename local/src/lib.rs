//! The whole API on this machine, in one process tree: Lambda, API Gateway, DynamoDB and an OpenID Connect issuer.
//!
//! [`Local::start`] reads the template, gets the functions' binaries, opens the database with the template's tables, and
//! serves everything else on one port of the loopback interface:
//!
//! | path | what |
//! |---|---|
//! | `/` | a page for browsers that says what this is |
//! | `/_local/functions` | the functions and their counts |
//! | `/_local/runtime/...` | the Lambda Runtime API |
//! | `/_local/apigateway/...` | API Gateway's management calls, for API keys |
//! | `/_local/.well-known/openid-configuration`, `/_local/jwks.json`, `/_local/oauth2/token` | the issuer |
//! | anything else | the API, as API Gateway would serve it |

pub mod binaries;
mod bucket;
mod database;
mod files;
pub mod gateway;
mod home;
pub mod issuer;
pub mod lock;
pub mod management;
mod restore;
pub mod runtime;
mod schedule;
pub mod seed;
mod server;
pub mod template;
pub mod terminal;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request};
use axum::serve::ListenerExt as _;
use serde_json::json;
use service::runtime::aws;
use service::runtime::config::AwsConfig;
use service::store::Store;
use tokio::net::TcpListener;

use binaries::{Binaries, BinariesError};
use database::Database;
pub use database::{DatabaseError, engine};
use gateway::{Access, ApiKeys, Gateway, GatewayError};
use home::Home;
use issuer::{AUDIENCE, Issuer, IssuerError};
use lock::{FolderLock, LockError};
use management::Management;
use runtime::{Functions, LogFormat, RuntimeOptions};
use schedule::Schedules;
use seed::SeedError;
use server::Server;
use template::{Template, TemplateError};

/// Where data is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// Nowhere: it ends with the process.
    Memory,
    /// In this folder, which is made if need be.
    Folder(PathBuf),
}

impl Data {
    fn folder(&self) -> Option<&Path> {
        match self {
            Self::Memory => None,
            Self::Folder(folder) => Some(folder),
        }
    }
}

/// What to run, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// The template; its folder is the workspace.
    pub template: PathBuf,
    /// The port to listen on. The embedded DynamoDB takes the next one. 0 picks two that are free.
    pub port: u16,
    /// Where the embedded DynamoDB, the API keys and the issuer's key are.
    pub data: Data,
    /// Another DynamoDB than the embedded one.
    pub dynamodb_endpoint: Option<String>,
    /// Another endpoint at which functions manage API keys than the one that `local` serves.
    pub api_gateway_endpoint: Option<String>,
    /// Whether the demo tenants are written, where they are missing.
    pub seed: bool,
    /// Values for the template's parameters.
    pub overrides: BTreeMap<String, String>,
    /// How many execution environments a function has whose template reserves no number of them.
    pub environments: usize,
    /// Where the functions' binaries come from.
    pub binaries: Binaries,
    /// Whether what functions print is dropped.
    pub quiet: bool,
}

impl Options {
    /// The template at this path, on ports that are free, with demo tenants and nothing kept.
    pub fn new(template: impl Into<PathBuf>) -> Self {
        Self {
            template: template.into(),
            port: 0,
            data: Data::Memory,
            dynamodb_endpoint: None,
            api_gateway_endpoint: None,
            seed: true,
            overrides: BTreeMap::new(),
            environments: runtime::default_environments(),
            binaries: Binaries::Build,
            quiet: false,
        }
    }
}

/// Why it does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port cannot be had.
    #[error(
        "cannot listen on {address}: {source}; if another local is running there, stop it, or choose another port with \
             --port N"
    )]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The data folder cannot be used.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The template cannot be used.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The functions are not there.
    #[error(transparent)]
    Binaries(#[from] BinariesError),
    /// There is no database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The API keys cannot be read.
    #[error("the API keys cannot be read from {}: {source}; move the file away, and the API keys of the tenants in \
             the table are restored", path.display())]
    Keys {
        /// Their file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is no issuer.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    /// The API cannot be served.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// No function has the variable `TABLE_NAME`, so it is not known where tenants are kept.
    #[error("no function in the template has the variable TABLE_NAME")]
    NoTable,
    /// The demo tenants cannot be written.
    #[error("the demo tenants cannot be created: {0}")]
    Seed(#[from] SeedError),
}

/// All of it, running.
#[derive(Debug)]
pub struct Local {
    base_url: String,
    stage: String,
    functions: Functions,
    schedules: Schedules,
    issuer: Issuer,
    keys: ApiKeys,
    database: Database,
    server: Server,
    /// Released last, when nothing uses the data any more.
    _lock: Option<FolderLock>,
}

impl Local {
    /// Starts everything. Functions start with their first event.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        // First, so that a port in use is reported before anything is built.
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
        let listener = TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })?;
        Self::start_on(listener, options).await
    }

    /// Starts everything on a listener instead of the port in `options`, for a caller that has to know the address before.
    pub async fn start_on(listener: TcpListener, options: Options) -> Result<Self, StartError> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
        let bound = listener.local_addr().map_err(|source| StartError::Listen { address, source })?;
        let base_url = base_url(bound.port());

        let folder = options.data.folder();
        let lock = folder.map(|folder| FolderLock::take(folder, &base_url)).transpose()?;
        let issuer = Issuer::open(folder, &base_url, &seed::names())?;
        let template = Template::read(&options.template, &overrides(options.overrides, &issuer))?;
        let table = template.functions.iter().find_map(|function| function.environment.get("TABLE_NAME"));
        let table = table.ok_or(StartError::NoTable)?.clone();

        let external = options.dynamodb_endpoint.map(Database::external).transpose()?;
        let root = workspace(&options.template);
        let names = template.functions.iter().map(|function| function.name.as_str());
        let mut binaries = options.binaries.locate(root, names).await?;

        let database = match external {
            Some(external) => external,
            None => Database::embedded(folder, dynamodb_port(options.port)).await?,
        };
        database.create(&template.tables).await?;
        let store = Store::new(aws::dynamodb(&AwsConfig::local(database.endpoint()), aws::connector()), table);
        let keys = folder
            .map_or_else(|| Ok(ApiKeys::default()), ApiKeys::open)
            .map_err(|source| StartError::Keys { path: folder.map(ApiKeys::file).unwrap_or_default(), source })?;
        let management = Management::new(keys.clone(), &template.plans);

        let runtime = RuntimeOptions {
            base_url: base_url.clone(),
            api_gateway_endpoint: options.api_gateway_endpoint.unwrap_or_else(|| management::endpoint(&base_url)),
            dynamodb_endpoint: database.endpoint().to_owned(),
            environments: options.environments,
            quiet: options.quiet,
            // On AWS a machine reads the log, here a person does.
            log_format: LogFormat::Text,
        };
        let functions = template.functions.iter().filter_map(|function| {
            let program = binaries.remove(&function.name)?;
            Some((function.clone(), program))
        });
        let functions = Functions::new(functions, &runtime);
        let schedules = Schedules::start(&functions, &template.functions);
        let gateway = Gateway::new(&template, functions.clone(), keys.clone())?;
        let router = functions.router().merge(issuer.router()).merge(management.router());
        let stage = template.api.stage;
        let server = serve(listener, router, gateway, Home::new(&base_url, &stage), options.quiet);
        restore::api_keys(&store, &keys).await;
        if options.seed {
            seed::seed(&functions, &store, &keys).await?;
        }
        Ok(Self { base_url, stage, functions, schedules, issuer, keys, database, server, _lock: lock })
    }

    /// Where the API is: `http://127.0.0.1:3000/v1`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}/{}", self.base_url, self.stage)
    }

    /// Where everything is: `http://127.0.0.1:3000`.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Where DynamoDB is.
    #[must_use]
    pub fn dynamodb_endpoint(&self) -> &str {
        self.database.endpoint()
    }

    /// The functions.
    #[must_use]
    pub fn functions(&self) -> &Functions {
        &self.functions
    }

    /// The issuer.
    #[must_use]
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// The API keys.
    #[must_use]
    pub fn keys(&self) -> &ApiKeys {
        &self.keys
    }

    /// Ends everything. What is under way gets an error.
    pub async fn shutdown(self) {
        drop(self.schedules);
        // First the functions: a server waits for the requests that they work on.
        self.functions.shutdown().await;
        self.server.shutdown().await;
        self.database.shutdown().await;
    }
}

/// Where a local on this port is.
#[must_use]
pub fn base_url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// The port of the embedded DynamoDB beside a local on this port.
#[must_use]
pub fn dynamodb_port(port: u16) -> u16 {
    // Any, next to any and next to the last.
    if port == 0 { 0 } else { port.wrapping_add(1) }
}

/// The folder of a template.
#[must_use]
pub fn workspace(template: &Path) -> &Path {
    template.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The parameters of the template, with this issuer where no other is wanted, and without a user pool: nobody could sign
/// in to it, and the authorizer would look for its keys on the internet.
#[must_use]
pub fn overrides(mut overrides: BTreeMap<String, String>, issuer: &Issuer) -> BTreeMap<String, String> {
    let issuers = json!([{
        "issuer": issuer.url(),
        "jwksUri": issuer.jwks_url(),
        "audiences": [AUDIENCE],
        "operatorClients": [seed::OPERATOR],
        "tenantClaim": "tenant",
        "defaultForTenants": true,
    }]);
    overrides.entry("Issuers".to_owned()).or_insert_with(|| issuers.to_string());
    overrides.entry("UserPool".to_owned()).or_insert_with(|| "false".to_owned());
    overrides
}

fn serve(listener: TcpListener, router: axum::Router, gateway: Gateway<Functions>, home: Home, quiet: bool) -> Server {
    let (gateway, home) = (Arc::new(gateway), Arc::new(home));
    let api = move |ConnectInfo(peer): ConnectInfo<SocketAddr>, request: Request| {
        let (gateway, home) = (Arc::clone(&gateway), Arc::clone(&home));
        async move {
            if let Some(page) = home.page(&request) {
                return page;
            }
            let response = gateway.handle(request, peer).await;
            if let Some(access) = response.extensions().get::<Access>().filter(|_| !quiet) {
                terminal::print(format_args!("{access}"));
            }
            response
        }
    };
    let app = router.fallback(api).into_make_service_with_connect_info::<SocketAddr>();
    let listener = listener.tap_io(|stream| {
        // Small answers must not wait for more; a socket that refuses the option serves all the same.
        let _refused = stream.set_nodelay(true);
    });
    Server::spawn(|stop| async move {
        if let Err(error) = axum::serve(listener, app).with_graceful_shutdown(stop).await {
            terminal::print(format_args!("local | {error}"));
        }
    })
}

#[cfg(test)]
mod tests;
