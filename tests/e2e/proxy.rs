//! Behind a real nginx with the configuration of `deploy/proxy`: TLS, native gRPC and gRPC-web on one port.

use std::{
    fs,
    net::{IpAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use madang_proto::v1;
use madang_sdk_core::{ClientConfig, StoreLocation};
use madang_tests::{Person, World, WorldConfig, world::eventually};
use prost::Message as _;

/// Debian puts it where only root looks.
const IN_DEBIAN: &str = "/usr/sbin/nginx";

/// Another machine, as far as nginx can tell.
const ELSEWHERE: [u8; 4] = [127, 0, 0, 5];

/// How long an impatient nginx waits for a word of the node, in place of seven days.
const PATIENCE: Duration = Duration::from_secs(1);

/// A running nginx; it ends with the value.
struct Nginx {
    port: u16,
    /// Its certificate.
    root: String,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Nginx {
    /// Starts one in front of a server, changing nothing in the configuration but addresses and files.
    fn start(server: &str) -> Self {
        Self::with(server, &[])
    }

    /// The same with less patience.
    fn impatient(server: &str) -> Self {
        let patience = format!("_read_timeout {}s;", PATIENCE.as_secs());
        let changes = ["grpc", "proxy"].map(|kind| (format!("{kind}_read_timeout 7d;"), format!("{kind}{patience}")));
        Self::with(server, &changes)
    }

    fn with(server: &str, changes: &[(String, String)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|one| one.local_addr()).expect("a free port").port();
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        fs::write(&certificate, certified.cert.pem()).expect("written");
        fs::write(&key, certified.signing_key.serialize_pem()).expect("written");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/proxy/nginx.conf");
        let mut site = fs::read_to_string(path).expect("the configuration");
        for (ours, here) in [
            ("127.0.0.1:7080", server.trim_start_matches("http://")),
            ("listen 443", &format!("listen 127.0.0.1:{port}")),
            ("chat.example.com;", "localhost;"),
            ("/etc/ssl/chat.example.com.pem", &certificate.display().to_string()),
            ("/etc/ssl/chat.example.com.key", &key.display().to_string()),
        ] {
            assert!(site.contains(ours), "{ours} is in the configuration");
            site = site.replace(ours, here);
        }
        for (ours, here) in changes {
            assert!(site.contains(ours), "{ours} is in the configuration");
            site = site.replace(ours, here);
        }
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("    {name}_temp_path {}/{name};\n", folder.path().display()))
            .concat();
        let whole = format!(
            "daemon off;\nworker_processes 1;\npid {0}/pid;\nerror_log {0}/error.log warn;\nevents {{}}\n\
             http {{\n    access_log off;\n{temporary}{site}}}\n",
            folder.path().display()
        );
        let file = folder.path().join("nginx.conf");
        fs::write(&file, whole).expect("written");
        let mut command = Command::new(if Path::new(IN_DEBIAN).exists() { IN_DEBIAN } else { "nginx" });
        command.arg("-p").arg(folder.path()).arg("-c").arg(&file).stdin(Stdio::null());
        let child = command.spawn().expect("nginx: Debian has it in a package of that name");
        Self { port, root: certified.cert.pem(), child, _folder: folder }
    }

    fn address(&self) -> String {
        format!("https://localhost:{}", self.port)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The master ends its workers.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// The stream of a page, through a proxy.
struct Watched {
    answer: reqwest::Response,
    bytes: Vec<u8>,
}

impl Watched {
    async fn open(nginx: &Nginx, ann: &Person) -> Self {
        let hello = v1::WatchRequest { hello: Some(v1::Hello::default()) }.encode_to_vec();
        let mut body = vec![0];
        body.extend(u32::try_from(hello.len()).expect("a small hello").to_be_bytes());
        body.extend(hello);
        let root = reqwest::Certificate::from_pem(nginx.root.as_bytes()).expect("a certificate");
        let page = reqwest::Client::builder().tls_certs_only([root]).build().expect("a client");
        let answer = eventually("nginx answers", async || {
            let call = page
                .post(format!("{}/madang.v1.SyncService/Watch", nginx.address()))
                .header("content-type", "application/grpc-web+proto")
                .header("authorization", format!("Bearer {}", ann.calls.token))
                .header("madang-device-id", uuid::Uuid::now_v7().to_string())
                .body(body.clone());
            call.send().await.ok().filter(|answer| answer.status() == 200)
        });
        Self { answer: answer.await, bytes: Vec::new() }
    }

    /// The next frame; `None`: the stream is cut off.
    async fn next(&mut self) -> Option<v1::server_frame::Frame> {
        loop {
            if let [0, a, b, c, d, rest @ ..] = self.bytes.as_slice() {
                let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
                if let Some(message) = rest.get(..length) {
                    let frame = v1::ServerFrame::decode(message).expect("a frame");
                    self.bytes.drain(..5 + length);
                    return frame.frame;
                }
            }
            self.bytes.extend(self.answer.chunk().await.ok()??);
        }
    }
}

async fn behind(world: &World, nginx: &Nginx, login: &str) -> Person {
    let mut config = ClientConfig::new(nginx.address(), StoreLocation::Memory);
    config.network.extra_roots = vec![nginx.root.clone()];
    Person::open_with(world, login, &world.server(0), config).await.expect("a client")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_chat_through_nginx_by_streams_that_it_passes_on_frame_by_frame() {
    let world = World::new().await;
    let nginx = Nginx::start(&world.server(0));
    let (ann, bob) = (behind(&world, &nginx, "ann").await, behind(&world, &nginx, "bob").await);
    ann.live().await;
    bob.live().await;
    let room = ann.room("plans", &[&bob]).await;
    bob.sees(&room).await;
    bob.look_at(&[&room]);
    for n in 0..20 {
        ann.say(&room, &format!("message {n}")).await;
    }
    let all =
        eventually("all have come", async || Some(bob.texts(&room).await).filter(|texts| texts.len() >= 20)).await;
    assert_eq!(all, (0..20).map(|n| format!("message {n}")).collect::<Vec<_>>());
    assert_eq!(bob.client.counters().streams, 1, "one stream brought them");
    world.settle().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_calls_through_nginx_and_the_node_knows_from_where() {
    let settings = |config: &mut madang_server::config::Config| config.trusted_proxies = vec![[127, 0, 0, 1].into()];
    let world = World::with(WorldConfig { settings: Some(settings), ..WorldConfig::default() }).await;
    let nginx = Nginx::start(&world.server(0));
    let ann = world.person("ann").await;
    let root = reqwest::Certificate::from_pem(nginx.root.as_bytes()).expect("a certificate");
    let page = reqwest::Client::builder()
        .tls_certs_only([root])
        .local_address(IpAddr::from(ELSEWHERE))
        .build()
        .expect("a client");
    let device_id = uuid::Uuid::now_v7().to_string();
    let call = || {
        page.post(format!("{}/madang.v1.IdentityService/GetMe", nginx.address()))
            .header("content-type", "application/grpc-web+proto")
            .header("authorization", format!("Bearer {}", ann.calls.token))
            .header("madang-device-id", &device_id)
            // Said by the caller about itself.
            .header("x-forwarded-for", "203.0.113.7")
            .body(vec![0_u8; 5])
            .send()
    };
    let answer = eventually("nginx answers", async || call().await.ok()).await;
    assert_eq!(answer.status(), 200);
    let body = answer.bytes().await.expect("a body");
    let length = u32::from_be_bytes([body[1], body[2], body[3], body[4]]) as usize;
    let me = v1::GetMeResponse::decode(&body[5..5 + length]).expect("the message").user.expect("a profile");
    assert_eq!(me.id, ann.id);
    let listed = ann.calls.identity().list_device_sessions(ann.calls.request(v1::ListDeviceSessionsRequest {})).await;
    let listed = listed.expect("a list").into_inner().sessions;
    let there = listed.iter().find(|session| session.device_id == device_id).expect("the page's device");
    assert_eq!(there.address, IpAddr::from(ELSEWHERE).to_string());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_streams_live_behind_nginx_because_the_node_speaks_before_its_patience_ends() {
    let settings = |config: &mut madang_server::config::Config| config.heartbeat = PATIENCE / 4;
    let world = World::with(WorldConfig { settings: Some(settings), ..WorldConfig::default() }).await;
    let nginx = Nginx::impatient(&world.server(0));
    let ann = behind(&world, &nginx, "ann").await;
    ann.live().await;
    let mut page = Watched::open(&nginx, &ann).await;
    let (began, mut heartbeats) = (Instant::now(), 0);
    while began.elapsed() < PATIENCE * 5 {
        let frame = page.next().await.expect("the page's stream goes on");
        heartbeats += u32::from(matches!(frame, v1::server_frame::Frame::Heartbeat(_)));
    }
    assert!(heartbeats >= 5, "{heartbeats} heartbeats");
    assert_eq!(ann.client.counters().streams, 1, "the native stream went on as well");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_impatient_nginx_cuts_off_a_stream_that_is_silent_for_longer() {
    let settings = |config: &mut madang_server::config::Config| config.heartbeat = PATIENCE * 30;
    let world = World::with(WorldConfig { settings: Some(settings), ..WorldConfig::default() }).await;
    let nginx = Nginx::impatient(&world.server(0));
    let ann = world.person("ann").await;
    let mut page = Watched::open(&nginx, &ann).await;
    let began = Instant::now();
    while page.next().await.is_some() {}
    assert!(began.elapsed() < PATIENCE * 15, "it lived for {:?}", began.elapsed());
    world.end().await;
}

#[test]
fn caddy_finds_nothing_wrong_with_its_configuration() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/proxy/Caddyfile");
    let mut command = Command::new("caddy");
    command.args(["validate", "--adapter", "caddyfile", "--config"]).arg(path);
    let said = command.output().expect("caddy: Debian has it in a package of that name");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
}
