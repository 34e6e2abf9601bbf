//! Sends answers, with the faults of a behaviour.

use std::io::{self, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::Behaviour;
use crate::http::{Answer, Head, Length};
use crate::wire::{After, Wire};

impl Wire {
    /// Sends the answer with this behaviour.
    pub(crate) fn send(&mut self, head: &Head, answer: &Answer, behaviour: &Behaviour) -> io::Result<After> {
        let keep = self.keeps(head);
        let body = match head.method.as_str() {
            "HEAD" => &[],
            _ => answer.body.as_slice(),
        };
        let length = answer.body.len();
        let (first, rest) = body.split_at(body.len() / 2);
        let next = if keep { After::Next } else { After::Close };

        match behaviour {
            Behaviour::Ok
            | Behaviour::Status { .. }
            | Behaviour::Redirect { .. }
            | Behaviour::Html
            | Behaviour::EmptyBody
            | Behaviour::InvalidUtf8
            | Behaviour::Body(_) => {
                self.write(&[&answer.head(Length::Known(length), keep), body].concat())?;
                Ok(next)
            }
            Behaviour::ResetBeforeAnswer => Ok(After::Reset),
            Behaviour::CloseBeforeAnswer => Ok(After::Close),
            Behaviour::Raw(bytes) => {
                self.write(bytes)?;
                Ok(After::Close)
            }
            Behaviour::ResetMidBody => {
                // Announces at least one byte, because half of an empty body would be the whole body.
                let start = answer.head(Length::Known(length.max(1)), keep);
                self.write(&[&start, first].concat())?;
                Ok(After::Reset)
            }
            Behaviour::StallBeforeHeader(how_long) => {
                if !self.wait(*how_long) {
                    return Ok(After::Close);
                }
                self.send(head, answer, &Behaviour::Ok)
            }
            Behaviour::StallInBody(how_long) => {
                let start = answer.head(Length::Known(length), keep);
                self.write(&[&start, first].concat())?;
                if !self.wait(*how_long) {
                    return Ok(After::Close);
                }
                self.write(rest)?;
                Ok(next)
            }
            Behaviour::Drip { bytes, every } => {
                self.write(&answer.head(Length::Known(length), keep))?;
                for (index, piece) in body.chunks((*bytes).max(1)).enumerate() {
                    if index > 0 && !self.wait(*every) {
                        return Ok(After::Close);
                    }
                    self.write(piece)?;
                }
                Ok(next)
            }
            Behaviour::WrongContentLength => {
                let start = answer.head(Length::Known(length + 17), false);
                self.write(&[&start, body].concat())?;
                Ok(After::Close)
            }
            Behaviour::ChunkedCut => {
                let start = answer.head(Length::Chunked, false);
                self.write(&start)?;
                if !first.is_empty() {
                    self.write_chunk(first)?;
                }
                self.write(format!("{:x}\r\n", rest.len() + 1).as_bytes())?;
                self.write(rest)?;
                Ok(After::Close)
            }
            Behaviour::Oversize(bytes) => {
                self.write(&answer.head(Length::Chunked, keep))?;
                self.write_oversize(*bytes)?;
                Ok(next)
            }
            Behaviour::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(body)?;
                let mut zipped = answer.clone().with("Content-Encoding", "gzip");
                zipped.body = encoder.finish()?;
                self.send(head, &zipped, &Behaviour::Ok)
            }
            Behaviour::Forever(inner) => self.send(head, answer, inner),
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
