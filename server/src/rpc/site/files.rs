//! The web app's files, from a folder or from this program.
//!
//! Always true: what has a name of its content (`/assets/`) may be kept for ever, everything else is asked for again; a path that
//! names no file is the app's own and answered with its page, unless it looks like a file.

use std::{convert::Infallible, path::Path};

use http::{HeaderValue, StatusCode, header};
use tonic::body::Body;
use tower::ServiceExt as _;
use tower_http::services::{ServeDir, ServeFile, fs::ServeFileSystemResponseBody};

#[cfg(feature = "embedded-web")]
use super::embedded;
use crate::rpc::{Request, Response};

/// Where the build puts what it names by its content.
const BY_CONTENT: &str = "/assets/";

/// For a year, and not asked for again within it (RFC 8246).
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// Kept, but asked for again each time.
const ASK: HeaderValue = HeaderValue::from_static("no-cache");

/// The files, each also as the build has compressed it (`.br`, `.gz`).
#[derive(Debug, Clone)]
pub(super) enum Files {
    /// Of a folder.
    Folder(Box<Folder>),
    /// Built into this program.
    #[cfg(feature = "embedded-web")]
    Embedded,
}

/// A folder of files.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    /// By their paths.
    files: ServeDir,
    /// What the app's own paths show.
    page: ServeFile,
}

impl Folder {
    fn at(folder: &Path) -> Self {
        Self {
            files: ServeDir::new(folder).precompressed_br().precompressed_gzip(),
            page: ServeFile::new(folder.join("index.html")).precompressed_br().precompressed_gzip(),
        }
    }
}

impl Files {
    /// Those of the folder, or else of the program, if it has some.
    pub(super) fn of(folder: Option<&Path>) -> Option<Self> {
        let folder = folder.map(|folder| Self::Folder(Folder::at(folder).into()));
        #[cfg(feature = "embedded-web")]
        let folder = folder.or(Some(Self::Embedded));
        folder
    }

    /// Answers a GET or HEAD.
    pub(super) async fn serve(&self, request: Request) -> Response {
        let path = request.uri().path().to_owned();
        let again = copy_head(&request);
        let mut response = self.file(request).await;
        if response.status() == StatusCode::NOT_FOUND && is_the_apps(&path) {
            response = self.page(again).await;
        }
        let by_content = path.starts_with(BY_CONTENT) && response.status().is_success();
        response.headers_mut().insert(header::CACHE_CONTROL, if by_content { FOR_EVER } else { ASK });
        response
    }

    async fn file(&self, request: Request) -> Response {
        match self {
            Self::Folder(folder) => served(folder.files.clone().oneshot(request).await),
            #[cfg(feature = "embedded-web")]
            Self::Embedded => embedded::show(&request, request.uri().path().trim_start_matches('/')),
        }
    }

    async fn page(&self, request: Request) -> Response {
        match self {
            Self::Folder(folder) => served(folder.page.clone().oneshot(request).await),
            #[cfg(feature = "embedded-web")]
            Self::Embedded => embedded::show(&request, "index.html"),
        }
    }
}

fn served(Ok(found): Result<http::Response<ServeFileSystemResponseBody>, Infallible>) -> Response {
    found.map(Body::new)
}

/// A path within the app, such as a room's; the last part of a file's has a dot.
fn is_the_apps(path: &str) -> bool {
    !path.starts_with(BY_CONTENT) && !path.rsplit('/').next().is_some_and(|last| last.contains('.'))
}

/// The same request without its body; a GET has none.
fn copy_head(request: &Request) -> Request {
    let mut copy = Request::new(Body::empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    copy.headers_mut().clone_from(request.headers());
    copy
}

#[cfg(test)]
mod tests {
    use super::is_the_apps;

    #[test]
    fn the_apps_own_paths_are_its_page_and_missing_files_are_missing() {
        for own in ["/", "/rooms/1", "/settings/"] {
            assert!(is_the_apps(own), "{own}");
        }
        for file in ["/favicon.ico", "/assets/gone", "/a/b.js", "/.env"] {
            assert!(!is_the_apps(file), "{file}");
        }
    }
}
