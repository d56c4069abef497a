//! The whole API on this machine, in one process tree: Lambda, API Gateway, DynamoDB and an OpenID Connect issuer.
//!
//! [`Local::start`] reads the template, gets the functions' binaries, opens the database with the template's tables, and
//! serves everything else on one port of the loopback interface:
//!
//! | path | response |
//! |---|---|
//! | `/` | a page for browsers, which explains what is running |
//! | `/_local/functions` | the functions and their counters |
//! | `/_local/runtime/...` | the Lambda Runtime API |
//! | `/_local/apigateway/...` | API Gateway's management calls for API keys |
//! | `/_local/dynamodb` | DynamoDB for functions, which enforces their roles |
//! | `/_local/.well-known/openid-configuration`, `/_local/jwks.json`, `/_local/oauth2/token` | the issuer |
//! | anything else | the API, as API Gateway serves it |
//!
//! `README.md` lists what is modeled of AWS, and what is not.

pub mod binaries;
mod cli;
mod database;
mod files;
pub mod fixtures;
pub mod gateway;
pub mod guard;
mod home;
pub mod iam;
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
use contract::{Contract, ContractError};
use serde_json::json;
use service::runtime::aws;
use service::runtime::config::AwsConfig;
use service::store::Store;
use tokio::net::TcpListener;

use binaries::{Binaries, BinariesError};
pub use cli::main;
use database::Database;
pub use database::{DatabaseError, engine};
use gateway::{Access, ApiKeys, Gateway, GatewayError};
use guard::{Denial, Guard};
use home::Home;
use issuer::{AUDIENCE, Issuer, IssuerError};
use lock::{FolderLock, LockError};
use management::Management;
use runtime::{Functions, LogFormat, RuntimeOptions};
use schedule::Schedules;
use seed::SeedError;
use server::Server;
use template::{Template, TemplateError};

/// The place where data is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// The memory of this process.
    Memory,
    /// This folder, which is created if necessary.
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

/// The options of [`Local::start`].
#[derive(Debug, Clone)]
pub struct Options {
    /// The path of the template, whose folder is the workspace.
    pub template: PathBuf,
    /// The port to listen on. The embedded DynamoDB uses the next one. 0 selects two free ports.
    pub port: u16,
    /// The place for the data of the embedded DynamoDB, the API keys and the issuer's signing key.
    pub data: Data,
    /// The URL of a DynamoDB that is used instead of the embedded one.
    pub dynamodb_endpoint: Option<String>,
    /// The URL at which functions manage API keys, if it is not the one that `local` serves.
    pub api_gateway_endpoint: Option<String>,
    /// Whether functions may do only what their roles in the template allow.
    pub iam: bool,
    /// Whether missing demo tenants are created.
    pub seed: bool,
    /// Values for the template's parameters.
    pub overrides: BTreeMap<String, String>,
    /// The maximum number of execution environments of a function without `ReservedConcurrentExecutions`.
    pub environments: usize,
    /// The source of the functions' binaries.
    pub binaries: Binaries,
    /// Whether the output of functions is discarded, and no access log is printed.
    pub quiet: bool,
}

impl Options {
    /// Returns the options for the template at this path: free ports, demo tenants, and data in memory.
    pub fn new(template: impl Into<PathBuf>) -> Self {
        Self {
            template: template.into(),
            port: 0,
            data: Data::Memory,
            dynamodb_endpoint: None,
            api_gateway_endpoint: None,
            iam: true,
            seed: true,
            overrides: BTreeMap::new(),
            environments: runtime::default_environments(),
            binaries: Binaries::Build,
            quiet: false,
        }
    }
}

/// The reason why [`Local::start`] fails.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port cannot be listened on.
    #[error(
        "cannot listen on {address}: {source}; if another local is running there, stop it, or choose another port with \
             --port N"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: std::io::Error,
    },
    /// The data folder cannot be used.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The template cannot be used.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The contract cannot be used.
    #[error(transparent)]
    Contract(#[from] ContractError),
    /// The binaries of the functions cannot be found or built.
    #[error(transparent)]
    Binaries(#[from] BinariesError),
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The API keys cannot be read.
    #[error("the API keys cannot be read from {}: {source}; move the file away, and the API keys of the tenants in \
             the table are restored", path.display())]
    Keys {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The issuer cannot start.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    /// The API cannot be served.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// No function has the environment variable `TABLE_NAME`, so the table with the tenants is not known.
    #[error("no function in the template has the environment variable TABLE_NAME")]
    NoTable,
    /// The demo tenants cannot be created.
    #[error("the demo tenants cannot be created: {0}")]
    Seed(#[from] SeedError),
}

/// A running `local`.
#[derive(Debug)]
pub struct Local {
    base_url: String,
    stage: String,
    functions: Functions,
    schedules: Schedules,
    issuer: Issuer,
    keys: ApiKeys,
    guard: Guard,
    database: Database,
    server: Server,
    /// Released last, when nothing uses the data folder any more.
    _lock: Option<FolderLock>,
}

impl Local {
    /// Starts everything. The processes of a function start with its first event.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        // The port comes first, so that a port in use is reported before anything is built.
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
        let listener = TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })?;
        Self::start_on(listener, options).await
    }

    /// Starts everything on a listener instead of the port in `options`, for a caller that needs the address beforehand.
    pub async fn start_on(listener: TcpListener, options: Options) -> Result<Self, StartError> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
        let bound = listener.local_addr().map_err(|source| StartError::Listen { address, source })?;
        let base_url = base_url(bound.port());

        let folder = options.data.folder();
        let lock = folder.map(|folder| FolderLock::take(folder, &base_url)).transpose()?;
        let overrides = overrides(options.overrides, &base_url);
        let template = Template::read(&options.template, &overrides)?;
        let roles = if options.iam { Template::roles(&options.template, &overrides)? } else { Vec::new() };
        let contract = contract(&options.template)?;
        let issuer = Issuer::open(folder, &base_url, &seed::names(), contract.scopes())?;
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
        let guard = Guard::new(roles, options.quiet);
        let management = Management::new(keys.clone(), &template.plans, guard.clone());

        let runtime = RuntimeOptions {
            base_url: base_url.clone(),
            api_gateway_endpoint: options.api_gateway_endpoint.unwrap_or_else(|| management::endpoint(&base_url)),
            dynamodb_endpoint: guard::endpoint(&base_url),
            environments: options.environments,
            quiet: options.quiet,
            // On AWS, CloudWatch reads the log; here, people do.
            log_format: LogFormat::Text,
        };
        let functions = template.functions.iter().filter_map(|function| {
            let program = binaries.remove(&function.name)?;
            Some((function.clone(), program))
        });
        let functions = Functions::new(functions, &runtime);
        let schedules = Schedules::start(&functions, &template.functions);
        let gateway = Gateway::new(&template, functions.clone(), keys.clone())?;
        let dynamodb = guard::router(guard.clone(), &template.tables, database.endpoint());
        let router = functions.router().merge(issuer.router()).merge(management.router()).merge(dynamodb);
        let stage = template.api.stage;
        let server = serve(listener, router, gateway, Home::new(&base_url, &stage), options.quiet);
        restore::api_keys(&store, &keys).await;
        if options.seed {
            seed::seed(&functions, &store, &keys).await?;
        }
        Ok(Self { base_url, stage, functions, schedules, issuer, keys, guard, database, server, _lock: lock })
    }

    /// Returns the URL of the API: `http://127.0.0.1:3000/v1`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}/{}", self.base_url, self.stage)
    }

    /// Returns the URL under which everything is served: `http://127.0.0.1:3000`.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Returns the URL of DynamoDB, where everything is allowed. Functions use [`guard::endpoint`].
    #[must_use]
    pub fn dynamodb_endpoint(&self) -> &str {
        self.database.endpoint()
    }

    /// Returns the functions.
    #[must_use]
    pub fn functions(&self) -> &Functions {
        &self.functions
    }

    /// Returns the issuer.
    #[must_use]
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// Returns the API keys.
    #[must_use]
    pub fn keys(&self) -> &ApiKeys {
        &self.keys
    }

    /// Returns the operations of functions that their roles have denied.
    #[must_use]
    pub fn denials(&self) -> Vec<Denial> {
        self.guard.denials()
    }

    /// Ends everything. Requests in progress get an error.
    pub async fn shutdown(self) {
        drop(self.schedules);
        // The functions come first, because a server waits for the requests on which they work.
        self.functions.shutdown().await;
        self.server.shutdown().await;
        self.database.shutdown().await;
    }
}

/// Returns the URL of a local on this port.
#[must_use]
pub fn base_url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// Returns the port of the embedded DynamoDB of a local on this port.
#[must_use]
pub fn dynamodb_port(port: u16) -> u16 {
    // 0 selects a free port, and so does the port after the last one, which wraps to 0.
    if port == 0 { 0 } else { port.wrapping_add(1) }
}

/// Returns the folder of a template.
#[must_use]
pub fn workspace(template: &Path) -> &Path {
    template.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Reads the contract, which is beside the template.
pub fn contract(template: &Path) -> Result<Contract, ContractError> {
    Contract::read(&workspace(template).join(contract::FILE))
}

/// Adds the defaults of `local` to parameters of the template: its own issuer, and no user pool. Nobody could sign in to the user
/// pool, and the authorizer would request its JWKS from the internet.
#[must_use]
pub fn overrides(mut overrides: BTreeMap<String, String>, base_url: &str) -> BTreeMap<String, String> {
    let issuer = issuer::url(base_url);
    let issuers = json!([{
        "issuer": issuer,
        "jwksUri": issuer::jwks_url(&issuer),
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
        // A small response must not wait until there is more to send. A socket without this option works all the same.
        let _ignored = stream.set_nodelay(true);
    });
    Server::spawn(|stop| async move {
        if let Err(error) = axum::serve(listener, app).with_graceful_shutdown(stop).await {
            terminal::print(format_args!("local | {error}"));
        }
    })
}

#[cfg(test)]
mod tests;
