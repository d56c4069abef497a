//! The option `--expose`, which makes the ports of `local` available on another address of this machine.
//!
//! A container has a loopback interface of its own, so the functions of `sam local` cannot reach a listener on 127.0.0.1. They
//! can reach the address that this machine has on Docker's bridge.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::{Local, terminal};
use clap::Args;
use http::Uri;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The pause after a connection could not be accepted, for example because the process has too many open files.
const PAUSE: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub(super) struct Expose {
    /// Listen on this address of this machine as well, for containers: on Linux, Docker's bridge is at 172.17.0.1.
    #[arg(long, value_name = "ADDRESS", value_parser = one_interface)]
    expose: Option<IpAddr>,
}

/// The error if an exposed address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}, the address in --expose: {source}")]
pub(super) struct ExposeError {
    address: SocketAddr,
    source: io::Error,
}

/// The relays to the loopback interface. They end when this is dropped.
#[derive(Debug, Default)]
pub(super) struct Exposed {
    _relays: JoinSet<()>,
}

/// Parses the address of one interface. The unspecified address would include the interfaces that lead out of this machine.
fn one_interface(text: &str) -> Result<IpAddr, String> {
    let address: IpAddr = text.parse().map_err(|_| "this is not an IP address".to_owned())?;
    if address.is_unspecified() {
        return Err("this stands for every network of this machine; use the address of Docker's bridge".into());
    }
    Ok(address)
}

impl Expose {
    /// Exposes the port of `local`, and with `database` the one of its DynamoDB, if the option is given.
    pub(super) async fn open(&self, local: &Local, database: bool) -> Result<Exposed, ExposeError> {
        let Some(address) = self.expose else { return Ok(Exposed::default()) };
        let mut relays = JoinSet::new();
        let urls = [Some(local.base_url()), database.then(|| local.dynamodb_endpoint())];
        for port in urls.into_iter().flatten().filter_map(port) {
            let address = SocketAddr::from((address, port));
            let listener = TcpListener::bind(address).await.map_err(|source| ExposeError { address, source })?;
            let who = address.ip();
            terminal::print(format_args!(
                "warning: http://{address} is open to every program that can reach {who}: it needs no password"
            ));
            relays.spawn(serve(listener, SocketAddr::from((Ipv4Addr::LOCALHOST, port))));
        }
        Ok(Exposed { _relays: relays })
    }
}

fn port(url: &str) -> Option<u16> {
    url.parse::<Uri>().ok()?.port_u16()
}

async fn serve(listener: TcpListener, target: SocketAddr) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(relay(stream, target))),
                Err(_) => tokio::time::sleep(PAUSE).await,
            },
            Some(_ended) = connections.join_next() => {}
        }
    }
}

async fn relay(mut outer: TcpStream, target: SocketAddr) {
    let Ok(mut inner) = TcpStream::connect(target).await else { return };
    // A small response must not wait until there is more to send. A socket without this option works all the same.
    let _ignored = (outer.set_nodelay(true), inner.set_nodelay(true));
    // An error means that one end has gone away, which ends the other one, too.
    let _ended = copy_bidirectional(&mut outer, &mut inner).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_interface_can_be_exposed() {
        assert_eq!(one_interface("172.17.0.1"), Ok(IpAddr::from([172, 17, 0, 1])));
        for text in ["0.0.0.0", "::", "docker0", "172.17.0.1:3000", ""] {
            assert!(one_interface(text).is_err(), "{text}");
        }
    }
}
