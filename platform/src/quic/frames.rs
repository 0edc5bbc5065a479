//! Frames on a stream: `u32` LE length, then that many bytes. The length is checked before anything is allocated,
//! memory grows with the bytes that really arrive, and each frame has to arrive within the caller's time. What
//! the bytes mean is the codec's business.

use std::time::Duration;

use bhyt_core::limits::{FRAME_ALLOC_BYTES, FRAME_BYTES_MAX};
use tokio::time::timeout;

use super::codes::RefuseCode;
use super::error::TransportError;

/// The receiving half of a stream. A dropped `next` loses nothing: the partial frame stays here.
#[derive(Debug)]
pub(super) struct FrameReader {
    stream: quinn::RecvStream,
    partial: Partial,
    frames_read: u64,
}

impl FrameReader {
    pub(super) fn new(stream: quinn::RecvStream) -> Self {
        Self { stream, partial: Partial::default(), frames_read: 0 }
    }

    /// The next frame, or `None` when the peer finished between two frames.
    pub(super) async fn next(
        &mut self,
        limit: usize,
        within: Duration,
    ) -> Result<Option<Vec<u8>>, TransportError> {
        let limit = limit.min(FRAME_BYTES_MAX);
        timeout(within, self.fill(limit)).await.unwrap_or(Err(TransportError::SlowPeer { within }))
    }

    /// Tells the peer to send no more.
    pub(super) fn stop(&mut self, code: RefuseCode) {
        // An error says that the stream has ended already, which is what is wanted.
        let _ = self.stream.stop(code.wire_code().into());
    }

    async fn fill(&mut self, limit: usize) -> Result<Option<Vec<u8>>, TransportError> {
        loop {
            if let Some(frame) = self.partial.take_complete(limit)? {
                self.frames_read += 1;
                return Ok(Some(frame));
            }
            let wanted = self.partial.missing();
            match self.stream.read_chunk(wanted, true).await.map_err(TransportError::from_read)? {
                Some(chunk) => self.partial.add(&chunk.bytes),
                None if self.partial.is_empty() => return Ok(None),
                None => return Err(TransportError::FrameCutShort),
            }
        }
    }
}

/// Whoever has read at least one frame, and none in part, has what it wanted; else the peer learns that it has not.
impl Drop for FrameReader {
    fn drop(&mut self) {
        let satisfied = self.frames_read > 0 && self.partial.is_empty();
        self.stop(if satisfied { RefuseCode::Done } else { RefuseCode::Cancelled });
    }
}

/// The sending half of a stream. Whatever is dropped without `finish` is reset, so that a stream cut off by a
/// cancelled task never looks like one that ended well.
#[derive(Debug)]
pub(super) struct FrameWriter {
    stream: quinn::SendStream,
    state: Writing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writing {
    BetweenFrames,
    /// A frame was begun and its future dropped, or the peer was too slow: the rest would be garbage.
    Torn,
    Ended,
}

impl FrameWriter {
    pub(super) fn new(stream: quinn::SendStream) -> Self {
        Self { stream, state: Writing::BetweenFrames }
    }

    pub(super) async fn send(&mut self, payload: &[u8], within: Duration) -> Result<(), TransportError> {
        let frame = encode_frame(payload)?;
        if self.state != Writing::BetweenFrames {
            return Err(TransportError::Finished);
        }
        self.state = Writing::Torn;
        timeout(within, self.stream.write_all(&frame))
            .await
            .map_err(|_| TransportError::SlowPeer { within })?
            .map_err(TransportError::from_write)?;
        self.state = Writing::BetweenFrames;
        Ok(())
    }

    pub(super) fn finish(&mut self) -> Result<(), TransportError> {
        match self.state {
            Writing::BetweenFrames => {
                self.state = Writing::Ended;
                self.stream.finish().map_err(|_| TransportError::Finished)
            }
            Writing::Torn => {
                self.reset(RefuseCode::Cancelled);
                Err(TransportError::Finished)
            }
            Writing::Ended => Ok(()),
        }
    }

    /// Waits until the peer has everything, after `finish`.
    pub(super) async fn delivered(&self, within: Duration) -> Result<(), TransportError> {
        match timeout(within, self.stream.stopped()).await {
            Err(_) => Err(TransportError::SlowPeer { within }),
            Ok(Ok(None)) => Ok(()),
            Ok(Ok(Some(code))) => match RefuseCode::from_wire(code.into_inner()) {
                RefuseCode::Done => Ok(()),
                code => Err(TransportError::ExchangeRefused { code }),
            },
            Ok(Err(quinn::StoppedError::ConnectionLost(error))) => {
                Err(TransportError::from_connection(error))
            }
            Ok(Err(quinn::StoppedError::ZeroRttRejected)) => Err(TransportError::Finished),
        }
    }

    pub(super) fn reset(&mut self, code: RefuseCode) {
        if self.state != Writing::Ended {
            self.state = Writing::Ended;
            // An error says that the stream has ended already, which is what is wanted.
            let _ = self.stream.reset(code.wire_code().into());
        }
    }
}

impl Drop for FrameWriter {
    fn drop(&mut self) {
        self.reset(RefuseCode::Cancelled);
    }
}

/// A frame being put together.
#[derive(Debug, Default)]
struct Partial {
    head: u32,
    head_bytes: u32,
    body: Vec<u8>,
}

impl Partial {
    fn is_empty(&self) -> bool {
        self.head_bytes == 0
    }

    /// Bytes to read next: never beyond the length word before it has been checked, never beyond the frame.
    fn missing(&self) -> usize {
        if self.head_bytes < HEAD_BYTES {
            (HEAD_BYTES - self.head_bytes) as usize
        } else {
            (self.head as usize).saturating_sub(self.body.len())
        }
    }

    /// Takes at most [`Self::missing`] bytes.
    fn add(&mut self, bytes: &[u8]) {
        if self.head_bytes < HEAD_BYTES {
            for byte in bytes {
                self.head |= u32::from(*byte) << (8 * self.head_bytes);
                self.head_bytes += 1;
            }
            return;
        }
        if self.body.is_empty() {
            self.body.reserve_exact(self.missing().min(FRAME_ALLOC_BYTES));
        }
        self.body.extend_from_slice(bytes);
    }

    fn take_complete(&mut self, limit: usize) -> Result<Option<Vec<u8>>, TransportError> {
        if self.head_bytes < HEAD_BYTES {
            return Ok(None);
        }
        let got = self.head as usize;
        if got > limit {
            return Err(TransportError::FrameTooLarge { limit, got });
        }
        if self.missing() > 0 {
            return Ok(None);
        }
        Ok(Some(std::mem::take(self).body))
    }
}

/// One buffer, so that a small frame leaves in one packet.
fn encode_frame(payload: &[u8]) -> Result<Vec<u8>, TransportError> {
    let too_large = TransportError::FrameTooLarge { limit: FRAME_BYTES_MAX, got: payload.len() };
    let length = match u32::try_from(payload.len()) {
        Ok(length) if payload.len() <= FRAME_BYTES_MAX => length,
        _ => return Err(too_large),
    };
    Ok([&length.to_le_bytes(), payload].concat())
}

const HEAD_BYTES: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `bytes` in pieces of `step`, as the reader does.
    fn decode(bytes: &[u8], step: usize, limit: usize) -> Result<Vec<Vec<u8>>, TransportError> {
        let (mut partial, mut frames, mut rest) = (Partial::default(), Vec::new(), bytes);
        loop {
            while let Some(frame) = partial.take_complete(limit)? {
                frames.push(frame);
            }
            if rest.is_empty() {
                assert!(partial.is_empty());
                return Ok(frames);
            }
            let piece = rest.len().min(step).min(partial.missing());
            partial.add(&rest[..piece]);
            rest = &rest[piece..];
        }
    }

    #[test]
    fn frames_come_out_whole_however_they_are_cut() {
        let frames = vec![b"a".to_vec(), Vec::new(), vec![7; 70_000]];
        let bytes: Vec<u8> = frames.iter().flat_map(|frame| encode_frame(frame).unwrap()).collect();
        for step in [1, 2, 3, 4, 5, 1_200, 65_536] {
            assert_eq!(decode(&bytes, step, FRAME_BYTES_MAX).unwrap(), frames, "step {step}");
        }
    }

    #[test]
    fn a_length_over_the_limit_is_refused_without_memory() {
        let mut partial = Partial::default();
        partial.add(&u32::MAX.to_le_bytes());
        let error = partial.take_complete(100).unwrap_err();
        assert!(matches!(error, TransportError::FrameTooLarge { limit: 100, got: 0xffff_ffff }));
        assert_eq!(partial.body.capacity(), 0);
    }

    #[test]
    fn memory_follows_the_bytes_that_came() {
        let mut partial = Partial::default();
        partial.add(&(FRAME_BYTES_MAX as u32).to_le_bytes());
        assert!(partial.take_complete(FRAME_BYTES_MAX).unwrap().is_none());
        partial.add(&[1]);
        assert!(partial.body.capacity() <= FRAME_ALLOC_BYTES);
    }

    #[test]
    fn an_own_payload_over_the_limit_is_refused() {
        assert!(encode_frame(&vec![0; FRAME_BYTES_MAX]).is_ok());
        let error = encode_frame(&vec![0; FRAME_BYTES_MAX + 1]).unwrap_err();
        assert!(matches!(error, TransportError::FrameTooLarge { .. }));
    }
}
