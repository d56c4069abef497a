//! HTTP between API Gateway and a function: requests, replies and problems.

mod accept;
mod body;
pub mod conditional;
mod encoding;
mod handler;
mod idempotent;
mod items;
mod number;
mod outgoing;
mod path;
mod problem;
mod query;
mod quota;
mod reply;
mod request;
mod respond;
mod serve;
mod typed;

pub use crate::runtime::Exit;
pub use body::Body;
pub use handler::{Handler, Scheduled};
pub use idempotent::{IdempotentWrite, WriteReply};
pub use items::{Items, Resource, problem};
pub use number::WholeNumber;
pub use problem::{Code, Problem};
pub use query::Query;
pub use reply::Reply;
pub use request::Inbound;
pub use serve::{run_metered, serve, serve_scheduled};
