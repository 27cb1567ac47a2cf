//! The services behind the door; one line each.

use std::sync::Arc;

use madang_proto::{
    REQUEST_BYTES,
    servers::{
        admin_service_server::AdminServiceServer, identity_service_server::IdentityServiceServer,
        message_service_server::MessageServiceServer, read_service_server::ReadServiceServer,
        room_service_server::RoomServiceServer, sync_service_server::SyncServiceServer,
        user_service_server::UserServiceServer,
    },
};
use tonic::service::{Routes, RoutesBuilder};
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

use crate::{
    admin::Admin,
    messages::{Messages, Writer},
    reads::{Reads, Receipts},
    realtime::{Node, Opener},
    rooms::Rooms,
    sessions::Sessions,
    sync::{Renew, Sync},
    users::{self, SignIn},
};

/// What the services and the door are made of.
#[derive(Clone)]
pub struct Parts {
    /// The node.
    pub node: Node,
    /// From tokens to callers.
    pub sign_in: Arc<SignIn>,
    /// Device sessions.
    pub sessions: Arc<Sessions>,
    /// Sends and marks.
    pub writer: Writer,
    /// Gathers receipts.
    pub receipts: Receipts,
    /// Whether the node serves, as load balancers ask.
    pub health: HealthReporter,
}

macro_rules! add {
    ($routes:ident, $server:ident, $service:expr) => {
        $routes.add_service($server::new($service).max_decoding_message_size(REQUEST_BYTES));
    };
}

/// All services.
pub(super) fn routes(parts: &Parts) -> Routes {
    let node = || parts.node.clone();
    let (writer, receipts) = (|| parts.writer.clone(), || parts.receipts.clone());
    let mut routes = Routes::builder();
    add!(routes, IdentityServiceServer, users::identity::service::Identity::new(node(), Arc::clone(&parts.sessions)));
    add!(routes, UserServiceServer, users::service::Users::new(node()));
    add!(routes, RoomServiceServer, Rooms::new(node()));
    add!(routes, MessageServiceServer, Messages::new(node(), writer()));
    add!(routes, ReadServiceServer, Reads::new(node(), writer(), receipts()));
    add!(routes, AdminServiceServer, Admin::new(node()));
    add!(routes, SyncServiceServer, Sync::new(node(), receipts(), renew(&parts.sign_in)));
    add!(routes, HealthServer, HealthService::from_health_reporter(parts.health.clone()));
    if parts.node.config.reflection {
        add_reflection(&mut routes);
    }
    routes.routes()
}

/// How streams have a fresh token checked.
fn renew(sign_in: &Arc<SignIn>) -> Renew {
    let sign_in = Arc::clone(sign_in);
    Arc::new(move |token: String, opener: Opener| {
        let sign_in = Arc::clone(&sign_in);
        Box::pin(async move { sign_in.renew(&opener, &token).await })
    })
}

fn add_reflection(routes: &mut RoutesBuilder) {
    let builder = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(madang_proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    // The older name is what many tools still ask for.
    if let (Ok(new), Ok(old)) = (builder().build_v1(), builder().build_v1alpha()) {
        routes.add_service(new).add_service(old);
    }
}
