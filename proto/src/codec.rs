//! The server's codec. tonic answers a request that cannot be decoded with INTERNAL; here it is a typed refusal, and the
//! limits of all fields are checked in the same place, so that no handler can forget them.

use std::marker::PhantomData;

use bytes::{Buf, BufMut, Bytes};
use prost::{
    DecodeError, Message,
    encoding::{DecodeContext, WireType},
};
use tonic::{
    Status,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

use crate::{Check, Path, Refusal, v1::ErrorReason};

/// Encodes with prost; decodes and checks.
#[derive(Debug, Clone)]
pub struct ServerCodec<Encode, Decode>(PhantomData<(Encode, Decode)>);

impl<Encode, Decode> Default for ServerCodec<Encode, Decode> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

/// Buffers of one stream. Small, because most streams are idle most of the time and each keeps its own; writes join at
/// 32 KiB (measured: joining pending frames into one write is worth three to four times the deliveries).
const BUFFERS: (usize, usize) = (256, 32 * 1024);

impl<Encode, Decode> Codec for ServerCodec<Encode, Decode>
where
    Encode: Message + Send + 'static,
    Decode: Message + Default + Check + Send + 'static,
{
    type Encode = Encode;
    type Decode = Decode;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self(PhantomData)
    }

    fn decoder(&mut self) -> Self {
        Self(PhantomData)
    }
}

impl<Encode: Message, Decode> Encoder for ServerCodec<Encode, Decode> {
    type Item = Encode;
    type Error = Status;

    fn encode(&mut self, item: Encode, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(out).map_err(|_| Refusal::new(ErrorReason::Internal, "the answer could not be encoded").into())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFERS.0, BUFFERS.1)
    }
}

impl<Encode, Decode: Message + Default + Check> Decoder for ServerCodec<Encode, Decode> {
    type Item = Decode;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<Decode>, Status> {
        let message = Decode::decode(bytes)
            .map_err(|error| Refusal::new(ErrorReason::MalformedRequest, format!("malformed request: {error}")))?;
        let mut violations = Vec::new();
        message.check(&Path::Root, &mut violations);
        if violations.is_empty() { Ok(Some(message)) } else { Err(Refusal::fields(violations).into()) }
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFERS.0, BUFFERS.1)
    }
}

/// A `ServerFrame` that is encoded already: one encoding serves all its receivers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EncodedFrame(pub Bytes);

impl EncodedFrame {
    /// Encodes a frame.
    pub fn new(frame: &crate::v1::ServerFrame) -> Self {
        Self(frame.encode_to_vec().into())
    }
}

impl Message for EncodedFrame {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        buf.put_slice(&self.0);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire: WireType,
        buf: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        prost::encoding::skip_field(wire, tag, buf, context)
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn clear(&mut self) {
        self.0 = Bytes::new();
    }
}
