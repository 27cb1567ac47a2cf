//! People: found, and remembered.

use madang_proto::v1::{
    BatchGetUsersRequest, CustomStatus, SearchUsersRequest, SetStatusRequest, UpdateProfileRequest, User, UserStatus,
};

use crate::{
    client::Client,
    error::ClientError,
    store::{Durability, people},
};

/// What a profile is to say; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProfileChange {
    /// Shown name; cannot be cleared.
    pub display_name: Option<String>,
    /// Title.
    pub title: Option<String>,
    /// About the person.
    pub bio: Option<String>,
    /// Telephone.
    pub phone: Option<String>,
}

impl Client {
    /// Changes one's own profile; it is shown at once. The answer is the id of the change.
    pub async fn update_profile(&self, profile: ProfileChange) -> Result<String, ClientError> {
        let ProfileChange { display_name, title, bio, phone } = profile;
        self.change(UpdateProfileRequest { display_name, title, bio, phone }, self.change_id()).await
    }

    /// Sets one's own status as a whole; it is shown at once. The answer is the id of the change.
    pub async fn set_status(&self, status: UserStatus, custom: Option<CustomStatus>) -> Result<String, ClientError> {
        let request = SetStatusRequest { status: status.into(), custom_status: custom };
        self.change(request, self.change_id()).await
    }

    /// People whose login or name begins with a text; the first page.
    pub async fn search_users(&self, prefix: &str) -> Result<Vec<User>, ClientError> {
        let request = SearchUsersRequest { prefix: prefix.to_owned(), ..SearchUsersRequest::default() };
        let asked_at = self.changes_of_all().await?;
        let answer = self.inner.connection.call(&request).await?;
        self.keep(answer.users, asked_at).await
    }

    /// A profile, from the store or else from the server. `None`: no such person.
    pub async fn user(&self, user_id: &str) -> Result<Option<User>, ClientError> {
        let id = user_id.to_owned();
        let held = self.inner.store.read(move |r| people::find(r.conn, &id)).await?;
        if held.is_some() {
            return Ok(held);
        }
        let request = BatchGetUsersRequest { user_ids: vec![user_id.to_owned()] };
        let asked_at = self.changes_of_all().await?;
        let answer = self.inner.connection.call(&request).await?;
        Ok(self.keep(answer.users, asked_at).await?.pop())
    }

    async fn changes_of_all(&self) -> Result<i64, ClientError> {
        self.inner.store.read(|r| people::changes_of_all(r.conn)).await
    }

    /// Keeps profiles that were asked for; those that have changed meanwhile are asked for again.
    async fn keep(&self, users: Vec<User>, asked_at: i64) -> Result<Vec<User>, ClientError> {
        let keep = move |w: &mut crate::store::Write<'_>| {
            let outdated = people::take(w, &users, asked_at)?;
            Ok((users, outdated))
        };
        let (users, outdated) = self.inner.store.write(Durability::Frames, keep).await?;
        self.inner.want_people(outdated);
        Ok(users)
    }
}
