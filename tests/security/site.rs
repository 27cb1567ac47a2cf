//! The web app's files: what is served, how long it may be kept, and what is not to be had.

use std::{fs, path::PathBuf};

use madang_tests::{World, WorldConfig};

use crate::web::{Page, exchange};

fn root() -> PathBuf {
    std::env::temp_dir().join(format!("madang-site-{}", std::process::id())).join("dist")
}

async fn world() -> World {
    let root = root();
    fs::create_dir_all(root.join("assets")).expect("a folder");
    fs::write(root.join("index.html"), "<!doctype html><title>Madang</title>").expect("a file");
    fs::write(root.join("assets/app-1f2e.js"), "export const madang = 1;").expect("a file");
    fs::write(root.join("assets/app-1f2e.js.br"), "pressed").expect("a file");
    fs::write(root.join("../secret.txt"), "a secret").expect("a file");
    let settings = |config: &mut madang_server::config::Config| config.web_root = Some(self::root());
    World::with(WorldConfig { settings: Some(settings), ..WorldConfig::default() }).await
}

async fn ask(world: &World, method: &str, path: &str, headers: &str) -> Page {
    let request = format!("{method} {path} HTTP/1.1\r\nhost: madang.test\r\nconnection: close\r\n{headers}\r\n");
    exchange(world, request.as_bytes()).await
}

async fn get(world: &World, path: &str) -> Page {
    ask(world, "GET", path, "").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_app_is_served_beside_the_calls_and_kept_for_as_long_as_its_name_says() {
    let world = world().await;
    for path in ["/", "/index.html", "/rooms/018f", "/settings"] {
        let page = get(&world, path).await;
        assert_eq!((page.status, page.header("cache-control").as_deref()), (200, Some("no-cache")), "{path}: {page:?}");
        assert_eq!(page.header("content-type").as_deref(), Some("text/html"), "{path}");
        assert!(page.body.starts_with(b"<!doctype html>"), "{path}");
    }
    let known = get(&world, "/config.json").await;
    let known: serde_json::Value = serde_json::from_slice(&known.body).expect("JSON");
    assert_eq!((&known["issuer"], &known["client_id"]), (&world.stack.issuer.url().into(), &"madang-app".into()));
    let script = get(&world, "/assets/app-1f2e.js").await;
    assert_eq!(script.header("cache-control").as_deref(), Some("public, max-age=31536000, immutable"));
    assert_eq!(script.body, b"export const madang = 1;");
    let pressed = ask(&world, "GET", "/assets/app-1f2e.js", "accept-encoding: br\r\n").await;
    assert_eq!((pressed.header("content-encoding").as_deref(), &*pressed.body), (Some("br"), &b"pressed"[..]));
    let head = ask(&world, "HEAD", "/", "").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    let when = get(&world, "/").await.header("last-modified").expect("a time");
    let again = ask(&world, "GET", "/", &format!("if-modified-since: {when}\r\n")).await;
    assert_eq!((again.status, again.body.len()), (304, 0), "{again:?}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_says_what_a_page_may_do() {
    let world = world().await;
    for path in ["/", "/assets/app-1f2e.js", "/assets/gone.js", "/rooms/1"] {
        let page = get(&world, path).await;
        let policy = page.header("content-security-policy").expect("a policy");
        for part in
            ["default-src 'none'", "script-src 'self';", "frame-ancestors 'none'", "require-trusted-types-for 'script'"]
        {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(page.header("x-content-type-options").as_deref(), Some("nosniff"), "{path}");
        assert_eq!(page.header("referrer-policy").as_deref(), Some("no-referrer"), "{path}");
        assert_eq!(page.header("cross-origin-opener-policy").as_deref(), Some("same-origin"), "{path}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_outside_the_apps_folder_is_to_be_had() {
    let world = world().await;
    for path in [
        "/../secret.txt",
        "/assets/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e%2fsecret.txt",
        "/assets/%2e%2e/%2e%2e/secret.txt",
        "/..\\secret.txt",
        "//secret.txt",
        "/etc/passwd.txt",
        "/.env",
        "/assets/",
        "/assets/gone.js",
        "/%00.txt",
        "/%ff.txt",
    ] {
        let page = get(&world, path).await;
        assert!(!String::from_utf8_lossy(&page.body).contains("secret"), "{path}: {page:?}");
        assert!(matches!(page.status, 400 | 404 | 405), "{path}: {page:?}");
    }
    for method in ["PUT", "DELETE", "TRACE", "PATCH"] {
        let page = ask(&world, method, "/index.html", "content-length: 0\r\n").await;
        assert!(!page.body.starts_with(b"<!doctype"), "{method}: {page:?}");
    }
    // The app is for whoever asks; calls still want a token.
    let page = ask(&world, "GET", "/madang.v1.IdentityService/GetMe", "content-type: application/grpc\r\n").await;
    assert!(!page.body.starts_with(b"<!doctype"), "{page:?}");
    world.end().await;
}
