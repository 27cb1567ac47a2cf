//! Opens the connections of a line, whenever the calls on it need one.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::Uri;
use hyper_util::rt::TokioIo;
use tower::Service;

use super::{Failure, Route, failure::Trouble, first_words::FirstWords, line::Reins, pulse::Pulse, route::Socket};
use crate::{diagnostics::Recorder, error::LocalReason};

type Connection = TokioIo<Pulse<FirstWords<Box<dyn Socket>>>>;

/// Opens connections.
pub(super) struct Connector {
    pub(super) route: Arc<Route>,
    pub(super) record: Arc<Recorder>,
    pub(super) trouble: Trouble,
    pub(super) reins: Reins,
}

impl Service<Uri> for Connector {
    type Response = Connection;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Connection, Failure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let (route, record) = (Arc::clone(&self.route), Arc::clone(&self.record));
        let (trouble, reins) = (self.trouble.clone(), self.reins.clone());
        Box::pin(async move {
            let mut cut = reins.cut.clone();
            let opened = tokio::select! {
                opened = route.open() => opened,
                Ok(_) = cut.wait_for(|cut| *cut) => Err(Failure::new(LocalReason::Unreachable, "given up")),
            };
            let socket = match opened {
                Ok(socket) => socket,
                Err(failure) => {
                    record.not_connected(failure.reason);
                    return Err(failure);
                }
            };
            record.connected();
            let socket = FirstWords::new(socket, trouble.clone(), &*route.clock);
            Ok(TokioIo::new(Pulse::new(socket, Arc::clone(&route.clock), record, trouble, &reins)))
        })
    }
}
