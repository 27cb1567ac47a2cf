//! How a question is put to the server: as bytes, encoded before and decoded after, so that all calls go one way. A type of
//! client for each would be the largest part of the library.

use madang_proto::Call;
use prost::{
    Message as _,
    bytes::{Buf as _, BufMut as _, Bytes},
};
use tonic::{
    Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::http::uri::PathAndQuery,
};

use crate::{error::ClientError, net::Wire};

/// Puts an encoded question; the encoded answer.
pub(crate) async fn ask(wire: Wire, path: &'static str, question: Request<Bytes>) -> Result<Bytes, Status> {
    let mut client = Grpc::new(wire);
    client.ready().await.map_err(|error| Status::unknown(format!("not ready: {error}")))?;
    Ok(client.unary(question, PathAndQuery::from_static(path), Encoded).await?.into_inner())
}

/// Reads an answer.
pub(crate) fn read<C: Call>(answer: Bytes) -> Result<C::Answer, ClientError> {
    C::Answer::decode(answer).map_err(|error| Status::internal(error.to_string()).into())
}

/// Lets through what is encoded already.
struct Encoded;

impl Codec for Encoded {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(item);
        Ok(())
    }
}

impl Decoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(bytes.copy_to_bytes(bytes.remaining())))
    }
}
