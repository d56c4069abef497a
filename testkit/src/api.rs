//! The API of `template.yaml`, started afresh for each test.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use local::binaries::Binaries;
use local::runtime::Invoke as _;
use local::{Local, Options, management};
use reqwest::Client;
use serde_json::Value;
use service::runtime::config::AwsConfig;
use tokio::net::TcpListener;

use crate::api_gateway::ApiGateway;
use crate::{Caller, binaries, workspace};

/// The whole API, running, with a proxy before API Gateway's management calls.
#[derive(Debug)]
pub struct Api {
    /// The API itself.
    pub local: Local,
    /// The proxy through which the functions manage API keys.
    pub api_gateway: ApiGateway,
    /// An HTTP client, without a token.
    pub client: Client,
}

impl Api {
    /// Starts the API with the demo tenants, in memory and on free ports.
    pub async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    /// Starts the API as [`Api::start`] does, after changes to these options.
    pub async fn start_with(change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options::new(workspace().join("template.yaml"));
        options.quiet = true;
        change(&mut options);
        if matches!(options.binaries, Binaries::Build) {
            options.binaries = Binaries::Directory(binaries().await.to_owned());
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await.unwrap();
        let base_url = local::base_url(listener.local_addr().unwrap().port());
        let api_gateway = ApiGateway::start(&management::endpoint(&base_url)).await;
        options.api_gateway_endpoint = Some(api_gateway.endpoint.clone());
        Self { local: Local::start_on(listener, options).await.unwrap(), api_gateway, client: Client::new() }
    }

    /// Starts the API with another value of a template's parameter.
    pub async fn start_with_parameter(name: &str, value: &str) -> Self {
        Self::start_with(|options| options.overrides = BTreeMap::from([(name.into(), value.into())])).await
    }

    /// Returns a client of a tenant, with all of the tenant's scopes.
    pub async fn caller(&self, tenant: &str) -> Caller<'_> {
        self.caller_with(tenant, &[]).await
    }

    /// Returns a client whose request for a token has these further parameters.
    pub async fn caller_with(&self, tenant: &str, parameters: &[(&str, &str)]) -> Caller<'_> {
        Caller::new(self, Some(self.token(tenant, parameters).await))
    }

    /// Returns a client with this token, or with none.
    #[must_use]
    pub fn caller_of(&self, token: Option<&str>) -> Caller<'_> {
        Caller::new(self, token.map(ToOwned::to_owned))
    }

    /// Requests a token of the local issuer, with further parameters of the token endpoint.
    pub async fn token(&self, client_id: &str, parameters: &[(&str, &str)]) -> String {
        self.issue(client_id, parameters, None).await
    }

    /// Requests a token of the local issuer that is bound to this certificate, in PEM and percent-encoded.
    pub async fn bound_token(&self, client_id: &str, certificate: &str) -> String {
        self.issue(client_id, &[], Some(certificate)).await
    }

    async fn issue(&self, client_id: &str, parameters: &[(&str, &str)], certificate: Option<&str>) -> String {
        let mut form = vec![("grant_type", "client_credentials"), ("client_id", client_id)];
        form.extend(parameters);
        let url = format!("{}/_local/oauth2/token", self.local.base_url());
        let mut request = self.client.post(url).form(&form);
        if let Some(certificate) = certificate {
            request = request.header(local::gateway::CERTIFICATE, certificate);
        }
        let response: Value = request.send().await.unwrap().json().await.unwrap();
        response["access_token"].as_str().unwrap_or_else(|| panic!("{response}")).to_owned()
    }

    /// Returns how often a function was invoked.
    pub async fn invocations(&self, function: &str) -> u64 {
        let url = format!("{}/_local/functions", self.local.base_url());
        let functions: Vec<Value> = self.client.get(url).send().await.unwrap().json().await.unwrap();
        functions.iter().find(|one| one["name"] == function).unwrap()["invocations"].as_u64().unwrap()
    }

    /// Returns the configuration with which the API's table is called directly.
    #[must_use]
    pub fn aws_config(&self) -> AwsConfig {
        AwsConfig::local(self.local.dynamodb_endpoint())
    }

    /// Invokes the function `tenants` as the schedule does.
    pub async fn sweep(&self) {
        let event = include_bytes!("../../events/tenants-sweep.json").to_vec();
        assert_eq!(self.local.functions().invoke("tenants", event).await.unwrap(), b"null");
    }

    /// Ends everything.
    pub async fn shutdown(self) {
        self.local.shutdown().await;
    }
}
