//! Streams as a device without a client core sees them: what is said, and each frame that comes back.

use std::time::Duration;

use madang_proto::v1::{self, client_frame, server_frame::Frame};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::people::Guest;

/// Longest wait for a frame that must come: the server looks at its streams twice a second.
const PATIENCE: Duration = Duration::from_secs(10);

/// An open stream.
pub struct Stream {
    said: Option<mpsc::Sender<v1::ClientFrame>>,
    heard: Streaming<v1::ServerFrame>,
}

impl Stream {
    /// Opens a stream of this device; says Hello.
    pub async fn open(guest: &Guest, hello: v1::Hello) -> Self {
        Self::try_open(guest, Some(client_frame::Frame::Hello(hello))).await.expect("a stream")
    }

    /// Opens a stream with this first frame, or with none.
    pub async fn try_open(guest: &Guest, first: Option<client_frame::Frame>) -> Result<Self, Status> {
        Self::try_open_bare(guest, first.map(|frame| v1::ClientFrame { frame: Some(frame) })).await
    }

    /// Opens a stream with this first frame as it is, or with none.
    pub async fn try_open_bare(guest: &Guest, first: Option<v1::ClientFrame>) -> Result<Self, Status> {
        let (said, says) = mpsc::channel(64);
        if let Some(frame) = first {
            said.send(frame).await.expect("room for a frame");
        }
        let request = guest.calls.request(ReceiverStream::new(says));
        let heard = guest.calls.sync().connect(request).await?.into_inner();
        Ok(Self { said: Some(said), heard })
    }

    /// Opens a stream as a browser does.
    pub async fn watch(guest: &Guest, hello: v1::Hello) -> Result<Self, Status> {
        let request = guest.calls.request(v1::WatchRequest { hello: Some(hello) });
        let heard = guest.calls.sync().watch(request).await?.into_inner();
        Ok(Self { said: None, heard })
    }

    /// Says something.
    pub async fn say(&self, frame: client_frame::Frame) {
        self.say_bare(v1::ClientFrame { frame: Some(frame) }).await;
    }

    /// Says a frame as it is. A stream that has ended takes nothing any more.
    pub async fn say_bare(&self, frame: v1::ClientFrame) {
        let said = self.said.as_ref().expect("not a browser's stream");
        let _ = said.send(frame).await;
    }

    /// The next frame; `None` when the stream is over.
    pub async fn try_next(&mut self) -> Result<Option<Frame>, Status> {
        let frame = tokio::time::timeout(PATIENCE, self.heard.message()).await;
        frame.unwrap_or_else(|_| panic!("no frame in {PATIENCE:?}")).map(|frame| frame.and_then(|frame| frame.frame))
    }

    /// The next frame.
    pub async fn next(&mut self) -> Frame {
        self.try_next().await.expect("the stream works").expect("the stream goes on")
    }

    /// Takes frames up to the first that is wanted.
    pub async fn until<T>(&mut self, mut wanted: impl FnMut(Frame) -> Option<T>) -> T {
        loop {
            if let Some(found) = wanted(self.next().await) {
                return found;
            }
        }
    }

    /// Takes frames up to Drained.
    pub async fn until_drained(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        loop {
            let frame = self.next().await;
            let drained = matches!(frame, Frame::Drained(_));
            frames.push(frame);
            if drained {
                return frames;
            }
        }
    }

    /// Takes frames up to a refusal of this kind of frame; answers with the refusals before it and itself.
    pub async fn refusals_until(&mut self, frame_name: &str) -> Vec<v1::Refused> {
        let mut refusals = Vec::new();
        loop {
            if let Frame::Refused(refused) = self.next().await {
                let last = refused.frame == frame_name;
                refusals.push(refused);
                if last {
                    return refusals;
                }
            }
        }
    }

    /// Waits for the end: the last frame, behind which nothing comes and which is no failure of the call.
    pub async fn closing(&mut self) -> v1::Closing {
        let closing = self.until(|frame| if let Frame::Closing(closing) = frame { Some(closing) } else { None }).await;
        assert_eq!(self.try_next().await.expect("an end in order"), None, "something comes behind {closing:?}");
        closing
    }

    /// Waits for the end and checks its reason.
    pub async fn closes_with(&mut self, reason: v1::ClosingReason) -> v1::Closing {
        let closing = self.closing().await;
        assert_eq!(closing.reason(), reason, "{closing:?}");
        closing
    }
}
