//! The calls of `UserService`.

use madang_proto::{
    servers::user_service_server::UserService,
    v1::{
        BatchGetUsersRequest, BatchGetUsersResponse, GetUserRequest, GetUserResponse, SearchUsersRequest,
        SearchUsersResponse, SetStatusRequest, SetStatusResponse, UpdateProfileRequest, UpdateProfileResponse, User,
    },
};
use sqlx::postgres::PgConnection;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{
    key,
    people::profile_change,
    store::{self, Profile, ProfileUpdate},
    wire::{self, Viewer},
};
use crate::{
    access::Call,
    error::{Error, Reason, Refusal, Result},
    ids::UserId,
    page,
    realtime::{Changes, Node},
};

/// People on a page (contract: 50, 200).
const PAGE: (i64, i64) = (50, 200);

/// Profiles of people.
#[derive(Debug, Clone)]
pub struct Users {
    node: Node,
}

impl Users {
    /// The calls on one node.
    pub fn new(node: Node) -> Self {
        Self { node }
    }

    fn viewer(&self, call: &Call) -> Result<Viewer> {
        let sees_contact = self.node.config.show_contact;
        Ok(Viewer { user_id: call.user_id()?, sees_contact, now: self.node.clock.now() })
    }

    async fn get(&self, call: &Call, ids: &[Uuid]) -> Result<Vec<User>> {
        let viewer = self.viewer(call)?;
        let mut connection = self.node.database.pool().acquire().await?;
        let found = store::find_profiles(&mut connection, ids).await?;
        Ok(found.into_iter().map(|profile| wire::user(profile, &viewer)).collect())
    }

    /// The caller's own profile.
    pub(super) async fn own(&self, call: &Call) -> Result<User> {
        let id = call.user_id()?.0;
        self.get(call, &[id]).await?.pop().ok_or_else(|| Error::Internal("the caller has no profile".into()))
    }

    async fn search(&self, call: &Call, request: SearchUsersRequest) -> Result<SearchUsersResponse> {
        let after = match page::after(&request.page_token, 2)? {
            Some(token) => {
                let id = Uuid::try_parse(&token[1]).map_err(|_| page::invalid())?;
                (token[0].clone(), id)
            }
            None => (String::new(), Uuid::nil()),
        };
        let size = page::size(request.page_size, PAGE.0, PAGE.1);
        let mut found = store::search(self.node.database.pool(), &key(&request.prefix), &after, size + 1).await?;
        let more = i64::try_from(found.len()).is_ok_and(|length| length > size);
        if more {
            found.pop();
        }
        let last = found.last().filter(|_| more);
        let next_page_token =
            last.map(|last| page::token(&[&last.login_key, &last.id.to_string()])).unwrap_or_default();
        let viewer = self.viewer(call)?;
        let users = found.into_iter().map(|profile| wire::user(profile, &viewer)).collect();
        Ok(SearchUsersResponse { users, next_page_token })
    }

    async fn update_profile(&self, call: &Call, request: UpdateProfileRequest) -> Result<User> {
        let UpdateProfileRequest { display_name, title, bio, phone } = request;
        let (viewer, to) = (self.viewer(call)?, ProfileUpdate { display_name, title, bio, phone });
        let changed = self.node.change(move |tx| {
            let to = to.clone();
            Box::pin(async move {
                let profile_rev = store::update_profile(tx, viewer.user_id, &to).await?;
                changed(tx, viewer.user_id, profile_rev).await
            })
        });
        Ok(wire::user(changed.await?, &viewer))
    }

    async fn set_status(&self, call: &Call, request: SetStatusRequest) -> Result<User> {
        let (viewer, to) = (self.viewer(call)?, wire::status(request.status, request.custom_status)?);
        let changed = self.node.change(move |tx| {
            let to = to.clone();
            Box::pin(async move {
                let profile_rev = store::update_status(tx, viewer.user_id, &to).await?;
                changed(tx, viewer.user_id, profile_rev).await
            })
        });
        Ok(wire::user(changed.await?, &viewer))
    }
}

/// The profile as it is now, and who is told when it changed.
async fn changed(tx: &mut PgConnection, id: UserId, profile_rev: Option<i64>) -> Result<(Profile, Changes)> {
    let profile = store::find_profiles(tx, &[id.0]).await?.pop();
    let profile = profile.ok_or_else(|| Error::Internal("the caller has no profile".into()))?;
    let mut changes = Changes::default();
    if let Some(profile_rev) = profile_rev {
        changes.profiles.push(profile_change(tx, id, profile_rev).await?);
    }
    Ok((profile, changes))
}

fn not_found(user_id: &str) -> Error {
    Refusal::new(Reason::UserNotFound, "user not found").with("user_id", user_id).into()
}

/// The id of a person in a request; the contract's validator has let it through.
pub(super) fn user_id(text: &str) -> Result<UserId> {
    UserId::parse(text).ok_or_else(|| not_found(text))
}

#[tonic::async_trait]
impl UserService for Users {
    async fn get_user(&self, request: Request<GetUserRequest>) -> Result<Response<GetUserResponse>, Status> {
        let call = Call::of(&request)?;
        let text = request.into_inner().user_id;
        let user = self.get(&call, &[user_id(&text)?.0]).await?.pop().ok_or_else(|| not_found(&text))?;
        Ok(Response::new(GetUserResponse { user: Some(user) }))
    }

    async fn batch_get_users(
        &self,
        request: Request<BatchGetUsersRequest>,
    ) -> Result<Response<BatchGetUsersResponse>, Status> {
        let call = Call::of(&request)?;
        let ids: Result<Vec<Uuid>> = request.into_inner().user_ids.iter().map(|id| Ok(user_id(id)?.0)).collect();
        Ok(Response::new(BatchGetUsersResponse { users: self.get(&call, &ids?).await? }))
    }

    async fn search_users(
        &self,
        request: Request<SearchUsersRequest>,
    ) -> Result<Response<SearchUsersResponse>, Status> {
        let call = Call::of(&request)?;
        Ok(Response::new(self.search(&call, request.into_inner()).await?))
    }

    async fn update_profile(
        &self,
        request: Request<UpdateProfileRequest>,
    ) -> Result<Response<UpdateProfileResponse>, Status> {
        let call = Call::of(&request)?;
        let user = self.update_profile(&call, request.into_inner()).await?;
        Ok(Response::new(UpdateProfileResponse { user: Some(user) }))
    }

    async fn set_status(&self, request: Request<SetStatusRequest>) -> Result<Response<SetStatusResponse>, Status> {
        let call = Call::of(&request)?;
        let user = self.set_status(&call, request.into_inner()).await?;
        Ok(Response::new(SetStatusResponse { user: Some(user) }))
    }
}
