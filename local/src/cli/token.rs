//! The command `cargo run -- token acme`, which prints an access token.

use std::error::Error;

use crate::issuer::Issuer;
use crate::lock::FolderLock;
use crate::seed;
use crate::terminal::output;
use clap::Args;
use serde::Deserialize;

use super::Place;

#[derive(Debug, Args)]
pub(super) struct Token {
    /// acme, globex, operator, or a tenant's id.
    client: String,
    /// The scopes, separated by spaces [default: all scopes that the client can have].
    #[arg(long)]
    scope: Option<String>,
    /// The lifetime of the token in seconds [default: one hour].
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    expires_in: Option<i64>,
}

/// The response of the token endpoint (RFC 6749, sections 5.1 and 5.2).
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum TokenResponse {
    Success { access_token: String },
    Error { error: String, error_description: Option<String> },
}

/// An error from the request for a token.
#[derive(Debug, thiserror::Error)]
enum NoToken {
    #[error("{error}: {description}")]
    Rejected { error: String, description: String },
    #[error(
        "the program on port {port} is not a local ({source}); pass the port of your local with --port N, or start it \
         there with cargo run"
    )]
    Foreign { port: u16, source: reqwest::Error },
}

impl Token {
    pub(super) async fn print(self, place: &Place) -> Result<(), Box<dyn Error>> {
        let token = match self.request(place).await {
            // The local that will run there with the data of this folder will have the same signing key.
            Err(error) if error.is_connect() => {
                let token = self.sign(place)?;
                let port = place.port;
                eprintln!(
                    "nothing is listening on port {port}: start it with cargo run, and the token will be valid there, \
                     or pass another port with --port N"
                );
                token
            }
            Err(source) => return Err(NoToken::Foreign { port: place.port, source }.into()),
            Ok(TokenResponse::Success { access_token }) => access_token,
            Ok(TokenResponse::Error { error, error_description }) => {
                return Err(NoToken::Rejected { error, description: error_description.unwrap_or_default() }.into());
            }
        };
        output(format_args!("{token}"));
        Ok(())
    }

    async fn request(&self, place: &Place) -> Result<TokenResponse, reqwest::Error> {
        let expires_in = self.expires_in.map(|seconds| seconds.to_string());
        let form = [
            ("grant_type", Some("client_credentials")),
            ("client_id", Some(self.client.as_str())),
            ("scope", self.scope.as_deref()),
            ("expires_in", expires_in.as_deref()),
        ];
        let form: Vec<_> = form.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let url = format!("{}/_local/oauth2/token", crate::base_url(place.port));
        reqwest::Client::new().post(url).form(&form).send().await?.json().await
    }

    fn sign(&self, place: &Place) -> Result<String, Box<dyn Error>> {
        let template = place.template()?;
        let folder = place.folder(&template);
        let base_url = crate::base_url(place.port);
        // If a local with this folder runs on another port, it would reject a token for this port.
        let _lock = FolderLock::take(&folder, &base_url)?;
        let issuer = Issuer::open(Some(&folder), &base_url, &seed::names(), crate::contract(&template)?.scopes())?;
        Ok(issuer.token(&self.client, self.scope.as_deref(), self.expires_in, None)?.access_token)
    }
}
