//! The calls of `AdminService`.

use madang_proto::{servers::admin_service_server::AdminService, v1};
use tonic::{Request, Response, Status};

use super::explain;
use crate::{
    access::Call,
    error::Result,
    realtime::Node,
    sessions::store::{self, AuditEntry},
};

/// For whoever runs the installation.
#[derive(Debug, Clone)]
pub struct Admin {
    node: Node,
}

impl Admin {
    /// The service of a node.
    pub fn new(node: Node) -> Self {
        Self { node }
    }

    /// Who asked for whom, before it is answered.
    async fn audit(&self, call: &Call, action: &'static str, target: String) -> Result<()> {
        let caller = call.caller.as_deref();
        let entry = AuditEntry {
            at: self.node.clock.now(),
            actor_id: caller.map(|caller| caller.user_id),
            action,
            target,
            address: caller.map_or("", |caller| &caller.address),
            user_agent: caller.map_or("", |caller| &caller.user_agent),
        };
        let mut connection = self.node.database.pool().acquire().await?;
        store::insert_audit(&mut connection, &entry).await
    }
}

#[tonic::async_trait]
impl AdminService for Admin {
    async fn explain(&self, request: Request<v1::ExplainRequest>) -> Result<Response<v1::ExplainResponse>, Status> {
        let call = Call::of(&request)?;
        let answer = explain::explain(&self.node, request.get_ref()).await?;
        let target = answer.person.as_ref().map(|person| person.user_id.clone()).unwrap_or_default();
        self.audit(&call, "explain", target).await?;
        Ok(Response::new(answer))
    }
}
