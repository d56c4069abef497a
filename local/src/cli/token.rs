//! `cargo run -- token acme`.

use std::error::Error;

use clap::Args;
use local::issuer::Issuer;
use local::lock::FolderLock;
use local::seed;
use serde::Deserialize;

use super::Place;

#[derive(Debug, Args)]
pub(super) struct Token {
    /// acme, globex, operator, or a tenant's id.
    client: String,
    /// The scopes, separated by spaces [default: all scopes that the client can have].
    #[arg(long)]
    scope: Option<String>,
    /// How many seconds the token is valid [default: one hour].
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    expires_in: Option<i64>,
}

/// RFC 6749, sections 5.1 and 5.2.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Answer {
    Token { access_token: String },
    Refusal { error: String, error_description: Option<String> },
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
enum NoToken {
    #[error("{error}: {description}")]
    Refused { error: String, description: String },
    #[error(
        "the program on port {port} is not a local ({source}); pass the port of your local with --port N, or start it \
         there with cargo run"
    )]
    Foreign { port: u16, source: reqwest::Error },
}

impl Token {
    pub(super) async fn print(self, place: &Place) -> Result<(), Box<dyn Error>> {
        let token = match self.ask(place).await {
            // What will run there, with the data of this folder, takes the same key.
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
            Ok(Answer::Token { access_token }) => access_token,
            Ok(Answer::Refusal { error, error_description }) => {
                return Err(NoToken::Refused { error, description: error_description.unwrap_or_default() }.into());
            }
        };
        println!("{token}");
        Ok(())
    }

    async fn ask(&self, place: &Place) -> Result<Answer, reqwest::Error> {
        let expires_in = self.expires_in.map(|seconds| seconds.to_string());
        let form = [
            ("grant_type", Some("client_credentials")),
            ("client_id", Some(self.client.as_str())),
            ("scope", self.scope.as_deref()),
            ("expires_in", expires_in.as_deref()),
        ];
        let form: Vec<_> = form.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let url = format!("{}/_local/oauth2/token", local::base_url(place.port));
        reqwest::Client::new().post(url).form(&form).send().await?.json().await
    }

    fn sign(&self, place: &Place) -> Result<String, Box<dyn Error>> {
        let folder = place.folder(&place.template()?);
        let base_url = local::base_url(place.port);
        // Where one runs with this folder on another port, a token for this port would be refused there.
        let _lock = FolderLock::take(&folder, &base_url)?;
        let issuer = Issuer::open(Some(&folder), &base_url, &seed::names())?;
        Ok(issuer.token(&self.client, self.scope.as_deref(), self.expires_in, None)?.access_token)
    }
}
