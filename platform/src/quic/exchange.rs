//! One exchange: a bidirectional stream on which the client asks and the server answers, frame by frame. Each
//! side finishes its direction when it has said all. An exchange dropped before that is given up, and the peer
//! is told so.

use std::time::Duration;

use tokio::sync::watch;

use super::codes::RefuseCode;
use super::error::TransportError;
use super::frames::{FrameReader, FrameWriter};

/// One question and its answer. Made by [`ClientConnection::open_exchange`](super::ClientConnection::open_exchange)
/// and [`ServerConnection::accept_exchange`](super::ServerConnection::accept_exchange).
#[derive(Debug)]
pub struct Exchange {
    writer: FrameWriter,
    reader: FrameReader,
    send_within: Duration,
    _running: Option<Running>,
}

impl Exchange {
    pub(super) fn new(
        (send, receive): (quinn::SendStream, quinn::RecvStream),
        send_within: Duration,
        running: Option<Running>,
    ) -> Self {
        Self {
            writer: FrameWriter::new(send),
            reader: FrameReader::new(receive),
            send_within,
            _running: running,
        }
    }

    /// Sends one frame of at most [`FRAME_BYTES_MAX`](bhyt_core::limits::FRAME_BYTES_MAX) bytes. Waits while the
    /// peer takes nothing, for the send time of the settings at most; the exchange is given up after that. Not
    /// cancel-safe: when the future is dropped the direction is reset.
    ///
    /// # Errors
    /// `FrameTooLarge`, `SlowPeer`, `ExchangeRefused` (the peer stopped listening; its answer may still be read),
    /// `Closed`, `Finished`.
    pub async fn send(&mut self, payload: &[u8]) -> Result<(), TransportError> {
        let sent = self.writer.send(payload, self.send_within).await;
        if matches!(sent, Err(TransportError::SlowPeer { .. })) {
            self.give_up(RefuseCode::Slow);
        }
        sent
    }

    /// The next frame of at most `limit` bytes (and of [`FRAME_BYTES_MAX`](bhyt_core::limits::FRAME_BYTES_MAX)), which
    /// has to be complete `within` the time from this call; `None` when the peer has finished. Cancel-safe. A frame
    /// over the limit, or too slow, gives up the exchange; the connection goes on.
    ///
    /// # Errors
    /// `FrameTooLarge`, `SlowPeer`, `FrameCutShort`, `ExchangeRefused`, `Closed`.
    pub async fn receive(
        &mut self,
        limit: usize,
        within: Duration,
    ) -> Result<Option<Vec<u8>>, TransportError> {
        let received = self.reader.next(limit, within).await;
        match &received {
            Err(TransportError::SlowPeer { .. }) => self.give_up(RefuseCode::Slow),
            Err(TransportError::FrameTooLarge { .. } | TransportError::FrameCutShort) => {
                self.give_up(RefuseCode::BadFrame);
            }
            _ => {}
        }
        received
    }

    /// Says that nothing more will be sent; the peer's `receive` gives `None` after the last frame. Twice is once.
    /// What was sent is delivered even when the exchange is dropped now, as long as the connection lives.
    ///
    /// # Errors
    /// `Finished` when a frame was cut off before, so that the direction can only be reset.
    pub fn finish(&mut self) -> Result<(), TransportError> {
        self.writer.finish()
    }

    /// Finishes, and waits until the peer's side has every byte, or has read a frame and wants no more. For answers
    /// that must not be lost to a shutdown; it costs a round trip.
    ///
    /// # Errors
    /// `SlowPeer`, `ExchangeRefused` (`Cancelled`: the peer left without reading a frame), `Closed`, `Finished`.
    pub async fn delivered(&mut self, within: Duration) -> Result<(), TransportError> {
        self.writer.finish()?;
        self.writer.delivered(within).await
    }

    /// Gives up both directions at once and tells the peer why. What was sent and not yet delivered is lost, unless
    /// this side had finished.
    pub fn refuse(mut self, code: RefuseCode) {
        self.give_up(code);
    }

    fn give_up(&mut self, code: RefuseCode) {
        self.writer.reset(code);
        self.reader.stop(code);
    }
}

/// Counts an exchange as running for as long as it lives, so that a shutdown can wait for it.
#[derive(Debug)]
pub(super) struct Running(watch::Sender<usize>);

impl Running {
    pub(super) fn begin(count: &watch::Sender<usize>) -> Self {
        count.send_modify(|running| *running += 1);
        Self(count.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running = running.saturating_sub(1));
    }
}
