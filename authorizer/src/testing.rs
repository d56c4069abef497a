//! A replacement for issuers and DynamoDB in unit tests: signing keys, and responses to HTTP requests.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512, RsaEncoding,
};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use service::domain::issuer::{Issuers, PlainHttp};
use service::domain::machine_token::Secret;
use service::runtime::aws;
use service::runtime::config::{AwsConfig, IssuersConfig};
use service::store::Store;

use crate::Authorizer;

pub(crate) const ACME: &str = "01K0ACME000000000000000000";
pub(crate) const ISSUER: &str = "https://issuer.example";
pub(crate) const JWKS_URI: &str = "https://keys.example/jwks.json";

type Sign = Box<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;

/// A key pair of an issuer.
pub(crate) struct Signer {
    pub(crate) algorithm: &'static str,
    pub(crate) public: Value,
    sign: Sign,
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) static RSA: LazyLock<Signer> = LazyLock::new(|| rsa(&RSA_PAIR, "rsa", "RS256"));
pub(crate) static OTHER_RSA: LazyLock<Signer> = LazyLock::new(|| rsa(&OTHER_RSA_PAIR, "rsa", "RS256"));
pub(crate) static EC: LazyLock<Signer> = LazyLock::new(|| ec(&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256", "ec", "ES256"));
pub(crate) static EC_384: LazyLock<Signer> =
    LazyLock::new(|| ec(&ECDSA_P384_SHA384_FIXED_SIGNING, "P-384", "ec-384", "ES384"));

static RSA_PAIR: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate(KeySize::Rsa2048).unwrap());
static OTHER_RSA_PAIR: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate(KeySize::Rsa2048).unwrap());

/// A signer for each algorithm. The RSA signers share the key of [`RSA`].
pub(crate) fn every_signer() -> [&'static Signer; 9] {
    static OF_RSA: LazyLock<[Signer; 5]> = LazyLock::new(|| {
        ["RS384", "RS512", "PS256", "PS384", "PS512"].map(|algorithm| rsa(&RSA_PAIR, "rsa", algorithm))
    });
    let [rs384, rs512, ps256, ps384, ps512] = &*OF_RSA;
    [&RSA, rs384, rs512, ps256, ps384, ps512, &EC, &EC_384, &ED]
}

fn rsa(pair: &'static KeyPair, kid: &str, algorithm: &'static str) -> Signer {
    let part = |number: aws_lc_rs::io::Positive<'_>| encode(number.big_endian_without_leading_zero());
    let (n, e) = (part(pair.public_key().modulus()), part(pair.public_key().exponent()));
    let encoding: &'static dyn RsaEncoding = match algorithm {
        "RS256" => &RSA_PKCS1_SHA256,
        "RS384" => &RSA_PKCS1_SHA384,
        "RS512" => &RSA_PKCS1_SHA512,
        "PS256" => &RSA_PSS_SHA256,
        "PS384" => &RSA_PSS_SHA384,
        "PS512" => &RSA_PSS_SHA512,
        other => panic!("{other}"),
    };
    Signer {
        algorithm,
        public: json!({"kty": "RSA", "kid": kid, "n": n, "e": e}),
        sign: Box::new(move |input| {
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(encoding, &SystemRandom::new(), input, &mut signature).unwrap();
            signature
        }),
    }
}

fn ec(signing: &'static EcdsaSigningAlgorithm, curve: &str, kid: &str, algorithm: &'static str) -> Signer {
    let pair = EcdsaKeyPair::generate(signing).unwrap();
    let point = pair.public_key().as_ref()[1..].to_vec();
    let (x, y) = point.split_at(point.len() / 2);
    Signer {
        algorithm,
        public: json!({"kty": "EC", "kid": kid, "crv": curve, "x": encode(x), "y": encode(y)}),
        sign: Box::new(move |input| pair.sign(&SystemRandom::new(), input).unwrap().as_ref().to_vec()),
    }
}

pub(crate) static ED: LazyLock<Signer> = LazyLock::new(|| {
    let pair = Ed25519KeyPair::generate().unwrap();
    Signer {
        algorithm: "EdDSA",
        public: json!({"kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": encode(pair.public_key().as_ref())}),
        sign: Box::new(move |input| pair.sign(input).as_ref().to_vec()),
    }
});

impl Signer {
    pub(crate) fn kid(&self) -> &str {
        self.public["kid"].as_str().unwrap()
    }

    /// A token with this header and these claims, signed by this key.
    pub(crate) fn token(&self, header: &Value, claims: &Value) -> String {
        self.token_of(&header.to_string(), &claims.to_string())
    }

    /// The same for texts, which may differ from what a library would write.
    pub(crate) fn token_of(&self, header: &str, claims: &str) -> String {
        let input = format!("{}.{}", encode(header), encode(claims));
        let signature = (self.sign)(input.as_bytes());
        format!("{input}.{}", encode(signature))
    }

    /// The public key as in a PEM file, for attacks that use it as a shared secret.
    pub(crate) fn public_der(&self) -> Vec<u8> {
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(self.public[name].as_str().unwrap()).unwrap();
        let components = aws_lc_rs::signature::RsaPublicKeyComponents { n: bytes("n"), e: bytes("e") };
        let key: aws_lc_rs::rsa::PublicEncryptingKey = components.try_into().unwrap();
        AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(&key).unwrap().as_ref().to_vec()
    }
}

/// The services that the authorizer reaches through its connector.
#[derive(Debug, Clone, Default)]
pub(crate) struct World(Arc<Mutex<State>>);

#[derive(Debug, Default)]
pub(crate) struct State {
    /// The issuer's keys. Without any, the issuer fails.
    pub(crate) keys: Option<Vec<Value>>,
    /// The tenant's row. Without one, the tenant does not exist.
    pub(crate) tenant: Option<Value>,
    /// The single tenants' issuers and the opaque keys, by partition key.
    pub(crate) issuers: HashMap<String, Value>,
    /// The keys of single tenants' issuers, by JWKS URI.
    pub(crate) other_keys: HashMap<String, Vec<Value>>,
    /// The JWKS URIs of issuers that never respond.
    pub(crate) hanging: Vec<String>,
    /// The grants of machine tokens, by partition key.
    pub(crate) grants: HashMap<String, Value>,
    /// The updates of items, as DynamoDB gets them.
    pub(crate) updates: Vec<Value>,
    /// Whether DynamoDB does not respond to an update.
    pub(crate) updates_stall: bool,
    /// Whether DynamoDB fails.
    pub(crate) table_fails: bool,
    /// Every URI that was requested, in order.
    pub(crate) requested: Vec<String>,
}

impl World {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of requests for the issuer's JWKS.
    pub(crate) fn key_fetches(&self) -> usize {
        self.state().requested.iter().filter(|uri| *uri == JWKS_URI).count()
    }

    /// The number of requests to the table, including retries.
    pub(crate) fn table_reads(&self) -> usize {
        self.state().requested.iter().filter(|uri| uri.contains("dynamodb")).count()
    }

    pub(crate) fn connector(&self) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }

    pub(crate) fn store(&self) -> Store {
        let config = AwsConfig::local("http://dynamodb");
        Store::new(aws::dynamodb(&config, self.connector()), "table")
    }

    /// An authorizer in this world, with changes to the settings of its only issuer.
    pub(crate) fn authorizer(&self, settings: &Value) -> Authorizer {
        let mut issuer = json!({"issuer": ISSUER, "jwksUri": JWKS_URI, "audiences": ["tenantry"]});
        let changes = settings.as_object().cloned().unwrap_or_default();
        issuer.as_object_mut().unwrap().extend(changes);
        Authorizer::new(stack(&json!([issuer])), self.store(), self.connector())
    }
}

impl HttpConnector for World {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mut state = self.state();
        state.requested.push(request.uri().to_owned());
        if state.hanging.iter().any(|uri| uri == request.uri()) {
            return HttpConnectorFuture::new(std::future::pending());
        }
        let (status, body) = if request.uri().contains("dynamodb") {
            let body: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
            let is_update = request.headers().get("x-amz-target").is_some_and(|target| target.ends_with("UpdateItem"));
            let partition = body["Key"]["pk"]["S"].as_str().unwrap().to_owned();
            if is_update {
                state.updates.push(body);
                if state.updates_stall {
                    return HttpConnectorFuture::new(std::future::pending());
                }
            }
            let item = match partition.split('#').next() {
                Some("TOKEN") => state.grants.get(&partition),
                Some("ISSUER" | "TENANTKEY") => state.issuers.get(&partition),
                _ => state.tenant.as_ref(),
            };
            match (item, state.table_fails) {
                (_, true) => (500, json!({"__type": "InternalServerError"})),
                (Some(item), false) if !is_update => (200, json!({"Item": item})),
                _ => (200, json!({})),
            }
        } else if request.uri() == JWKS_URI {
            state.keys.as_ref().map_or((500, json!({})), |keys| (200, json!({"keys": keys})))
        } else {
            let keys = state.other_keys.get(request.uri());
            keys.map_or((404, json!({})), |keys| (200, json!({"keys": keys})))
        };
        let response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body.to_string()));
        HttpConnectorFuture::ready(Ok(response))
    }
}

/// The issuers of a stack on Lambda.
pub(crate) fn stack(issuers: &Value) -> IssuersConfig {
    let plain_http = PlainHttp::Never;
    IssuersConfig { issuers: Issuers::parse(&issuers.to_string(), plain_http).unwrap(), plain_http }
}

/// A tenant's row.
pub(crate) fn row(status: &str, issuer: &str) -> Value {
    json!({
        "pk": {"S": format!("TENANT#{ACME}")},
        "sk": {"S": "TENANT"},
        "name": {"S": "Acme"},
        "plan": {"S": "free"},
        "status": {"S": status},
        "issuers": {"L": [{"S": issuer}]},
        "apiKey": {"S": "the-key-of-acme-0000"},
    })
}

/// Adds an issuer of a single tenant, with a key of its own.
pub(crate) fn add_issuer(world: &World, tenant: &str, iss: &str, signer: &Signer, changes: &Value) {
    let mut config = json!({"issuer": iss, "audiences": ["tenantry"]});
    config.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    let item = json!({
        "pk": {"S": format!("ISSUER#{iss}")},
        "sk": {"S": "ISSUER"},
        "tenant": {"S": tenant},
        "config": {"S": config.to_string()},
    });
    let mut state = world.state();
    state.issuers.insert(format!("ISSUER#{iss}"), item);
    state.other_keys.insert(format!("{iss}/.well-known/jwks.json"), vec![signer.public.clone()]);
}

/// Adds a machine token of the tenant. Returns the token and the partition key of its grant.
pub(crate) fn machine_token(world: &World, changes: &Value) -> (String, String) {
    let secret = Secret::generate();
    let partition = format!("TOKEN#{}", secret.digest());
    let mut grant = json!({
        "pk": {"S": partition},
        "sk": {"S": "TOKEN"},
        "tenant": {"S": ACME},
        "token": {"S": "01K0T0KEN00000000000000000"},
        "scopes": {"SS": ["records:read", "retired:scope"]},
    });
    grant.as_object_mut().unwrap().extend(changes.as_object().cloned().unwrap());
    world.state().grants.insert(partition.clone(), grant);
    (secret.expose().to_owned(), partition)
}

/// A world without faults, with an active tenant.
pub(crate) fn new_world() -> World {
    let world = World::default();
    world.state().keys = Some([&RSA, &EC, &EC_384, &ED].map(|signer| signer.public.clone()).to_vec());
    world.state().tenant = Some(row("active", ISSUER));
    world
}
