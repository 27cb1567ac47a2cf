//! The operator's door: a socket in the file system. Whoever is the user that the node runs as, or root, may call what
//! administrators may call, without a token; the others are not answered.

use std::{
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use hyper::{body::Incoming, client::conn, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use madang_proto::{
    servers::admin_service_server::{AdminServiceServer, SERVICE_NAME},
    v1::admin_service_client::AdminServiceClient,
};
use tokio::{
    net::{UnixListener, UnixStream},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tonic::{body::Body, service::Routes};
use tower::Service as _;

use super::{Request, Response, authorize};
use crate::{access::Call, admin::Admin, error::Error, limits::ConnectionAge, realtime::Node};

/// Connections at once: people at terminals.
const MOST_CONNECTIONS: usize = 8;

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A socket that is removed when the node ends.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    /// Listens at a path; one that an earlier node has left there is replaced. Fails when the path cannot be used, or
    /// somebody answers there.
    pub fn bind(path: &Path) -> io::Result<Self> {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "a node answers there"));
        }
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Answers until `stop`.
    pub async fn serve(self, node: Node, stop: CancellationToken) {
        let routes = Routes::new(AdminServiceServer::new(Admin::new(node))).prepare();
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                Some(_) = connections.join_next() => continue,
                accepted = self.listener.accept(), if connections.len() < MOST_CONNECTIONS => accepted,
            };
            match accepted {
                Ok((stream, _)) if is_operator(&stream) => _ = connections.spawn(answer(stream, routes.clone())),
                Ok(_) => tracing::warn!("somebody else knocked at the operator's door"),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Permissions of a file come after its making, and not every system asks for them at a socket: the peer itself is asked.
fn is_operator(stream: &UnixStream) -> bool {
    let ours = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == 0 || peer.uid() == ours)
}

async fn answer(stream: UnixStream, routes: Routes) {
    let service = service_fn(move |request: http::Request<Incoming>| pass(request.map(Body::new), routes.clone()));
    let served = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
    let _ = tokio::time::timeout(PATIENCE, served).await;
}

async fn pass(request: Request, mut routes: Routes) -> Result<Response, std::convert::Infallible> {
    let path = request.uri().path().strip_prefix('/').unwrap_or_default();
    let is_admins = path.strip_prefix(SERVICE_NAME).is_some_and(|method| method.starts_with('/'));
    let row = authorize::row(request.uri().path(), false).filter(|_| is_admins);
    let Some(row) = row else { return Ok(tonic::Status::from(authorize::unknown()).into_http()) };
    let (mut head, body) = request.into_parts();
    head.extensions.insert(Call {
        policy: row.policy(),
        caller: None,
        request_id: "operator".into(),
        deadline: Instant::now() + PATIENCE,
        connection: ConnectionAge::default(),
    });
    let answer = routes.call(Request::from_parts(head, body)).await;
    Ok(answer.unwrap_or_else(|error| tonic::Status::from(Error::Internal(format!("{error:?}"))).into_http()))
}

/// Calls to a node at its socket.
pub async fn knock(
    path: &Path,
) -> anyhow::Result<
    AdminServiceClient<
        impl tonic::client::GrpcService<Body, ResponseBody = Incoming, Future: Send, Error = hyper::Error> + Clone,
    >,
> {
    let stream = UnixStream::connect(path).await?;
    let (sender, connection) = conn::http2::handshake::<_, _, Body>(TokioExecutor::new(), TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let service = tower::service_fn(move |request: Request| sender.clone().send_request(request));
    Ok(AdminServiceClient::with_origin(service, http::Uri::from_static("http://operator")))
}
