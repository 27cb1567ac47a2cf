//! What the library's side of a call costs: it is called as other languages do, by the functions that it exports. Prints a
//! line of JSON, for `cargo xtask bench ffi`.
#![expect(clippy::print_stdout, reason = "the figures are what was asked for")]
#![expect(unsafe_code, reason = "functions of C are called")]

use std::{error::Error, hint::black_box, sync::Arc, time::Instant};

use madang_sdk_core::StoreLocation;
use madang_sdk_ffi::{Client, ClientError, TokenProvider, TokenRequest, UniFfiTag, types::ClientConfig};
use uniffi::{Lower, RustBuffer, RustCallStatus};

/// Calls of a round, and rounds: the middle one counts.
const CALLS: u32 = 100_000;
const ROUNDS: usize = 21;

unsafe extern "C" {
    fn uniffi_madang_sdk_ffi_fn_clone_client(client: u64, status: &mut RustCallStatus) -> u64;
    fn uniffi_madang_sdk_ffi_fn_method_client_set_metered(client: u64, metered: i8, status: &mut RustCallStatus);
    fn uniffi_madang_sdk_ffi_fn_method_client_state(client: u64, status: &mut RustCallStatus) -> RustBuffer;
    fn ffi_madang_sdk_ffi_rustbuffer_free(buffer: RustBuffer, status: &mut RustCallStatus);
}

/// Nobody is asked.
struct NoTokens;

impl TokenProvider for NoTokens {
    fn token_wanted(&self, request: Arc<TokenRequest>) -> Result<(), ClientError> {
        request.give("t".into());
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = Client::open(nowhere(), Arc::new(NoTokens)).await?;
    let client = <Arc<Client> as Lower<UniFfiTag>>::lower(client).as_raw();
    let mut status = RustCallStatus::default();
    let call = each(|| {
        // SAFETY: the handle is of a client that lives; a call takes one of its own.
        unsafe {
            let taken = uniffi_madang_sdk_ffi_fn_clone_client(client, &mut status);
            uniffi_madang_sdk_ffi_fn_method_client_set_metered(taken, 0, &mut status);
        }
    });
    let answer = each(|| {
        // SAFETY: as above; the buffer is given back once.
        unsafe {
            let taken = uniffi_madang_sdk_ffi_fn_clone_client(client, &mut status);
            let answer = uniffi_madang_sdk_ffi_fn_method_client_state(taken, &mut status);
            ffi_madang_sdk_ffi_rustbuffer_free(black_box(answer), &mut status);
        }
    });
    println!("{{\"call_ns\":{call:.1},\"answer_ns\":{answer:.1}}}");
    Ok(())
}

/// Nobody listens at port 1.
fn nowhere() -> ClientConfig {
    ClientConfig {
        server: "http://127.0.0.1:1".into(),
        store: StoreLocation::Memory,
        network: None,
        mode: None,
        key: None,
        language: None,
        platform: None,
        app_version: None,
        device_id: None,
        backoff: None,
    }
}

/// Nanoseconds of one.
fn each(mut work: impl FnMut()) -> f64 {
    let mut round = || {
        let began = Instant::now();
        (0..CALLS).for_each(|_| work());
        began.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
    };
    let mut times: Vec<f64> = (0..ROUNDS).map(|_| round()).collect();
    times.sort_by(f64::total_cmp);
    times[ROUNDS / 2]
}
