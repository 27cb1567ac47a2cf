//! Names to sockets: all addresses of a name, the next 250 ms after the last (RFC 8305), and the first that answers wins.

use std::{fmt, future::Future, io, net::SocketAddr, pin::Pin, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::net::{TcpStream, lookup_host};

use super::Failure;
use crate::{clock::Clock, error::LocalReason};

/// The next address is tried so long after the last one; recommended by RFC 8305, 5.
const STEP: Duration = Duration::from_millis(250);
/// Addresses that are tried; a name with more has enough with these.
const ADDRESSES: usize = 16;

/// Addresses on their way.
pub(super) type Resolving = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Who knows names.
pub(super) trait Resolver: Send + Sync + fmt::Debug {
    /// Addresses of a name, in the order in which the system prefers them.
    fn resolve(&self, host: String, port: u16) -> Resolving;
}

/// The system.
#[derive(Debug)]
pub(super) struct System;

impl Resolver for System {
    fn resolve(&self, host: String, port: u16) -> Resolving {
        Box::pin(async move { Ok(lookup_host((host, port)).await?.collect()) })
    }
}

/// A socket to one of the addresses of a name; says when there are any.
pub(super) async fn dial(
    resolver: &dyn Resolver,
    clock: &dyn Clock,
    host: &str,
    port: u16,
    on_its_way: &(dyn Fn() + Sync),
) -> Result<TcpStream, Failure> {
    let unknown = |why: String| Failure::new(LocalReason::NameNotFound, format!("the name: {why}"));
    let addresses = resolver.resolve(host.to_owned(), port).await.map_err(|error| unknown(error.to_string()))?;
    if addresses.is_empty() {
        return Err(unknown("it has no address".into()));
    }
    on_its_way();
    let socket = race(clock, in_turn(addresses)).await.map_err(|error| Failure::of_socket(&error))?;
    // A socket that does not take this is as good, only slower.
    let _ = socket.set_nodelay(true);
    Ok(socket)
}

/// The families in turn, beginning with the one that the system prefers (RFC 8305, 4).
fn in_turn(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (ours, others): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|address| address.is_ipv6() == first);
    let mut others = others.into_iter();
    let mut turns: Vec<_> = ours.into_iter().flat_map(|address| [Some(address), others.next()]).flatten().collect();
    turns.extend(others);
    turns.truncate(ADDRESSES);
    turns
}

async fn race(clock: &dyn Clock, addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut addresses = addresses.into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        match addresses.next() {
            Some(address) => attempts.push(TcpStream::connect(address)),
            None if attempts.is_empty() => return Err(failed),
            None => {}
        }
        tokio::select! {
            Some(attempt) = attempts.next() => match attempt {
                Ok(socket) => return Ok(socket),
                Err(error) => failed = error,
            },
            () = clock.sleep(STEP), if addresses.len() > 0 => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_families_take_turns_and_none_is_left_out() {
        let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let given = addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "127.0.0.1:1"]);
        assert_eq!(in_turn(given), addresses(&["[::1]:1", "127.0.0.1:1", "[::2]:1", "[::3]:1"]));
        let given = addresses(&["127.0.0.1:1", "[::1]:1", "[::2]:1"]);
        assert_eq!(in_turn(given), addresses(&["127.0.0.1:1", "[::1]:1", "[::2]:1"]));
    }
}
