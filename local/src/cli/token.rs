//! `cargo run -- token acme`.

use std::error::Error;

use clap::Args;
use local::issuer::Issuer;
use local::seed;
use serde::Deserialize;

use super::Place;

#[derive(Debug, Args)]
pub(super) struct Token {
    /// acme, globex, operator, or a tenant's id.
    client: String,
    /// The scopes, with spaces between them [default: all that the client may have].
    #[arg(long)]
    scope: Option<String>,
    /// How many seconds it is valid [default: an hour].
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

/// The token endpoint refuses.
#[derive(Debug, thiserror::Error)]
#[error("{error}: {description}")]
struct Refused {
    error: String,
    description: String,
}

impl Token {
    pub(super) async fn print(self, place: &Place) -> Result<(), Box<dyn Error>> {
        let token = match self.ask(place).await {
            // Nothing runs there: what will run there, with the data of this workspace, takes the same key.
            Err(error) if error.is_connect() => self.sign(place)?,
            Err(error) => return Err(error.into()),
            Ok(Answer::Token { access_token }) => access_token,
            Ok(Answer::Refusal { error, error_description }) => {
                return Err(Refused { error, description: error_description.unwrap_or_default() }.into());
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
        let folder = Place::folder(&place.template()?);
        let issuer = Issuer::open(Some(&folder), &local::base_url(place.port), &seed::names())?;
        Ok(issuer.token(&self.client, self.scope.as_deref(), self.expires_in, None)?.access_token)
    }
}
