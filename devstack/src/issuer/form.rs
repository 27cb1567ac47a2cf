//! How forms and queries are read.

use std::collections::HashMap;

use axum::extract::rejection::FormRejection;
use axum::extract::{FromRequest, Request};

use super::CLIENT_ID;
use super::refusal::Refusal;

/// The fields of a form or a query.
pub(super) type Fields = HashMap<String, String>;

/// A field, empty when it is not there.
pub(super) fn field<'a>(fields: &'a Fields, name: &str) -> &'a str {
    fields.get(name).map(String::as_str).unwrap_or_default()
}

/// A form that may not have been readable.
pub(super) struct Form(Result<Fields, FormRejection>);

impl Form {
    pub(super) fn read(self) -> Result<Fields, Refusal> {
        self.0.map_err(|rejection| Refusal::request(rejection.body_text()))
    }
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = std::convert::Infallible;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(axum::Form::from_request(request, state).await.map(|axum::Form(fields)| fields)))
    }
}

/// Only the one public client is known; it has no secret.
pub(super) fn check_client(fields: &Fields) -> Result<(), Refusal> {
    if field(fields, "client_id") == CLIENT_ID {
        return Ok(());
    }
    Err(Refusal::unauthorized("invalid_client", "Invalid client or Invalid client credentials"))
}
