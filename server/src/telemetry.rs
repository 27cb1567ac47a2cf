//! Logs as JSON on standard output, metrics in Prometheus' text, and the small server that shows them.
//!
//! Always true: no body, token, e-mail or address is logged. The admin server answers three paths and knows no secrets; it is
//! for the operator's network only.

use std::{convert::Infallible, future::Future, sync::OnceLock, time::Duration};

use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::{net::TcpListener, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::{EnvFilter, Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// Buckets of durations in seconds: from a read in memory to the longest call.
const BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// Time between two rounds in which histograms are folded.
pub const UPKEEP: Duration = Duration::from_secs(5);

/// How long somebody who asks the admin server may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connections to the admin server.
const MOST_CONNECTIONS: usize = 64;

/// Starts logging for this process; `filter` is the setting `log`.
pub fn start_logging(filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).map_err(|error| anyhow::anyhow!("log: {error}"))?;
    // The rollback before each use of a connection makes PostgreSQL say that there was nothing to roll back.
    let filter = filter.add_directive("sqlx::postgres::notice=off".parse()?);
    let lines =
        tracing_subscriber::fmt::layer().json().flatten_event(true).with_current_span(false).with_span_list(false);
    tracing_subscriber::registry().with(lines.with_filter(filter)).try_init()?;
    Ok(())
}

/// The metrics of this process. Nodes in one process (tests) share them.
pub fn metrics() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS);
        let recorder = builder.expect("buckets are not empty").build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("somebody else records this process's metrics");
        }
        handle
    })
}

/// Answers `/metrics`, `/healthz` (the process lives) and `/readyz` (what `is_ready` says) until `stop`.
pub async fn serve_admin<R, F>(listener: TcpListener, is_ready: R, stop: CancellationToken)
where
    R: Fn() -> F + Clone + Send + Sync + 'static,
    F: Future<Output = bool> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept(), if connections.len() < MOST_CONNECTIONS => accepted,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let is_ready = is_ready.clone();
        connections.spawn(async move {
            let service = service_fn(move |request: http::Request<Incoming>| {
                let is_ready = is_ready.clone();
                async move { Ok::<_, Infallible>(answer(request.uri().path(), is_ready).await) }
            });
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer<R, F>(path: &str, is_ready: R) -> Response<Full<Bytes>>
where
    R: Fn() -> F,
    F: Future<Output = bool>,
{
    match path {
        "/metrics" => text(StatusCode::OK, metrics().render()),
        "/healthz" => text(StatusCode::OK, "alive\n".to_owned()),
        "/readyz" if timeout(PATIENCE / 5, is_ready()).await.unwrap_or(false) => {
            text(StatusCode::OK, "ready\n".to_owned())
        }
        "/readyz" => text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n".to_owned()),
        _ => text(StatusCode::NOT_FOUND, "not found\n".to_owned()),
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let kind = header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
