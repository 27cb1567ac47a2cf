//! The way to the server: names, sockets, a proxy, TLS, and what is told of it when there is none.
//!
//! Always true: every wait ends by the client's clock; whatever fails is a [`Failure`] with a reason that a screen can
//! show; a connection that has gone silent is found out, whoever uses it. It knows nothing of calls but whether they are
//! answered in gRPC.

mod connector;
mod dial;
mod failure;
mod first_words;
mod http2;
mod line;
mod proxy;
mod pulse;
mod route;
#[cfg(test)]
mod tests;
mod tls;

pub(crate) use self::{
    failure::Failure,
    line::{Line, Wire},
    route::Route,
};
