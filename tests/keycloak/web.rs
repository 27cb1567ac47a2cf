//! The web app at a company's Keycloak, in real browsers: `web/stories/keycloak` plays it.

use std::{path::Path, process::Stdio};

use crate::company::{Company, PASSWORD};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_opens_the_web_app_signs_in_at_keycloaks_page_chats_and_signs_out() {
    let company = Company::open().await;
    let (ann, bob) = (company.employee("ann", &[]).await, company.employee("bob", &[]).await);
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web");
    let mut story = tokio::process::Command::new("npm");
    story.arg("--prefix").arg(web).args(["run", "--silent", "keycloak", "--", &company.address()]);
    story.args([&*ann.person.login, &*bob.person.login, PASSWORD]);
    let played = story.stdin(Stdio::null()).kill_on_drop(true).output().await.expect("npm runs");
    let said = [played.stdout, played.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(played.status.success(), "{said}");
    company.world.end().await;
}
