//! Whatever bytes a stream brings: the engine takes every frame that can be read without a panic or an error, and nothing
//! of it outlives the next epoch.
//!
//! Input: frames, each with its length before it, as protobuf's delimited streams. A frame without content ends the stream
//! and begins another.

#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use madang_proto::v1::{ServerFrame, Welcome};
use madang_sdk_core::simulation::Core;
use prost::Message as _;

/// Frames applied at once, as by the engine.
const BATCH: usize = 64;

fn welcome(epoch: &str) -> Welcome {
    Welcome { user_id: "me".to_owned(), epoch: epoch.to_owned(), ..Welcome::default() }
}

thread_local! {
    /// One client for all inputs: to empty its store is much less work than to make one.
    static CORE: RefCell<Core> = RefCell::new(Core::new(None));
}

fuzz_target!(|bytes: &[u8]| CORE.with_borrow_mut(|core| take(core, bytes)));

fn take(core: &mut Core, mut rest: &[u8]) {
    core.renew(None);
    core.hello();
    assert!(core.welcome(&welcome("broken")));
    core.set_focus(["room".to_owned()]);
    let mut batch = Vec::new();
    while let Ok(frame) = ServerFrame::decode_length_delimited(&mut rest) {
        let ends = frame.frame.is_none();
        batch.push(frame);
        if ends || batch.len() == BATCH || rest.is_empty() {
            core.apply(std::mem::take(&mut batch));
            core.snapshot();
        }
        if ends {
            core.hello();
        }
        if rest.is_empty() {
            break;
        }
    }
    core.hello();
    assert!(core.welcome(&welcome("whole")));
    let store = core.snapshot();
    assert!(store.rooms.is_empty(), "{store:?}");
    assert_eq!((store.user_rev, store.watermark, store.unread_total), (0, 0, 0));
}
