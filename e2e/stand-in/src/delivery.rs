//! Sends responses, with the fault that a behaviour describes.

use std::io::{self, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::Behaviour;
use crate::http::{Head, Length, Response};
use crate::wire::{AfterResponse, Wire};

impl Wire {
    /// Sends the response with this behaviour.
    pub(crate) fn send(
        &mut self,
        head: &Head,
        response: &Response,
        behaviour: &Behaviour,
    ) -> io::Result<AfterResponse> {
        let keep_alive = self.keeps_alive(head);
        let body = match head.method.as_str() {
            "HEAD" => &[],
            _ => response.body.as_slice(),
        };
        let length = response.body.len();
        let (first, rest) = body.split_at(body.len() / 2);
        let after_response = if keep_alive { AfterResponse::KeepAlive } else { AfterResponse::Close };

        match behaviour {
            Behaviour::Ok
            | Behaviour::Status { .. }
            | Behaviour::Redirect { .. }
            | Behaviour::Html
            | Behaviour::EmptyBody
            | Behaviour::InvalidUtf8
            | Behaviour::Body(_) => {
                self.write(&[&response.head(Length::Known(length), keep_alive), body].concat())?;
                Ok(after_response)
            }
            Behaviour::ResetBeforeAnswer => Ok(AfterResponse::Reset),
            Behaviour::CloseBeforeAnswer => Ok(AfterResponse::Close),
            Behaviour::Raw(bytes) => {
                self.write(bytes)?;
                Ok(AfterResponse::Close)
            }
            Behaviour::ResetMidBody => {
                // Announces at least one byte, because half of an empty body would be the whole body.
                let start = response.head(Length::Known(length.max(1)), keep_alive);
                self.write(&[&start, first].concat())?;
                Ok(AfterResponse::Reset)
            }
            Behaviour::StallBeforeHeader(how_long) => {
                if !self.wait(*how_long) {
                    return Ok(AfterResponse::Close);
                }
                self.send(head, response, &Behaviour::Ok)
            }
            Behaviour::StallInBody(how_long) => {
                let start = response.head(Length::Known(length), keep_alive);
                self.write(&[&start, first].concat())?;
                if !self.wait(*how_long) {
                    return Ok(AfterResponse::Close);
                }
                self.write(rest)?;
                Ok(after_response)
            }
            Behaviour::Drip { bytes, every } => {
                self.write(&response.head(Length::Known(length), keep_alive))?;
                for (index, piece) in body.chunks((*bytes).max(1)).enumerate() {
                    if index > 0 && !self.wait(*every) {
                        return Ok(AfterResponse::Close);
                    }
                    self.write(piece)?;
                }
                Ok(after_response)
            }
            Behaviour::WrongContentLength => {
                let start = response.head(Length::Known(length + 17), false);
                self.write(&[&start, body].concat())?;
                Ok(AfterResponse::Close)
            }
            Behaviour::ChunkedCut => {
                let start = response.head(Length::Chunked, false);
                self.write(&start)?;
                if !first.is_empty() {
                    self.write_chunk(first)?;
                }
                self.write(format!("{:x}\r\n", rest.len() + 1).as_bytes())?;
                self.write(rest)?;
                Ok(AfterResponse::Close)
            }
            Behaviour::Oversize(bytes) => {
                self.write(&response.head(Length::Chunked, keep_alive))?;
                self.write_oversize(*bytes)?;
                Ok(after_response)
            }
            Behaviour::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(body)?;
                let mut zipped = response.clone().with_header("Content-Encoding", "gzip");
                zipped.body = encoder.finish()?;
                self.send(head, &zipped, &Behaviour::Ok)
            }
            Behaviour::Forever(inner) => self.send(head, response, inner),
        }
    }

    fn write_oversize(&mut self, bytes: u64) -> io::Result<()> {
        const START: &[u8] = b"{\"padding\":\"";
        const END: &[u8] = b"\"}";
        const PIECE: [u8; 16 * 1024] = [b'a'; 16 * 1024];

        self.write_chunk(START)?;
        let mut left = usize::try_from(bytes).unwrap_or(usize::MAX).saturating_sub(START.len() + END.len());
        while left > 0 {
            let (piece, _) = PIECE.split_at(left.min(PIECE.len()));
            self.write_chunk(piece)?;
            left -= piece.len();
        }
        self.write_chunk(END)?;
        self.write(b"0\r\n\r\n")
    }

    fn write_chunk(&mut self, bytes: &[u8]) -> io::Result<()> {
        let size = format!("{:x}\r\n", bytes.len());
        self.write(&[size.as_bytes(), bytes, b"\r\n"].concat())
    }
}
