//! What all tests of a process share: a PostgreSQL cluster, a template with the migrations, an issuer.

use std::sync::LazyLock;

use anyhow::{Context as _, Result};
use madang_devstack::{
    issuer::{Issuer, IssuerConfig, Person},
    postgres::{Cluster, TestDatabase},
};
use tokio::{runtime::Runtime, sync::OnceCell};

/// People that stories may have beyond ann, bob, cat and dan.
const CROWD: usize = 12;

/// What all tests of a process share.
pub struct Stack {
    cluster: Cluster,
    template: String,
    /// Signs everybody in.
    pub issuer: Issuer,
}

/// Lives as long as the process: a test's own runtime would take the issuer with it.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads can be had")
});

static STACK: OnceCell<Stack> = OnceCell::const_new();

/// The stack of this process; the first caller starts it.
pub async fn stack() -> Result<&'static Stack> {
    STACK.get_or_try_init(|| async { RUNTIME.spawn(start()).await.context("the stack's start panicked")? }).await
}

async fn start() -> Result<Stack> {
    let cluster = Cluster::join().await?;
    let template =
        cluster.template(&migrations_hash(), async |url| Ok(madang_server::app::migrate(&url).await?)).await?;
    let mut people = Person::everyone();
    people.extend((0..CROWD).map(|n| Person::new(&format!("guest{n}"), "Crowd")));
    let issuer = Issuer::start(IssuerConfig { people, ..IssuerConfig::default() }).await?;
    Ok(Stack { cluster, template, issuer })
}

/// Changes with the migrations, so that a template is never out of date.
fn migrations_hash() -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for migration in madang_server::app::migrations() {
        for byte in migration {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    format!("m{hash:016x}")
}

impl Stack {
    /// A database of one's own.
    pub async fn database(&self) -> Result<TestDatabase> {
        self.cluster.database_from(&self.template, "world").await
    }
}

impl std::fmt::Debug for Stack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stack").field("template", &self.template).finish_non_exhaustive()
    }
}
