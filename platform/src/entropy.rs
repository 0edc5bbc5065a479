//! Randomness, as an argument: programs pass [`OsEntropy`], tests a [`SeededEntropy`]. Core never draws; hosts draw
//! here and pass bytes in.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};

/// A source of unpredictable bytes, good enough for keys.
pub trait Entropy: Send + Sync + fmt::Debug + 'static {
    /// Fills `out`.
    fn fill(&self, out: &mut [u8]);
}

/// Draws `N` bytes.
pub fn make_bytes<const N: usize>(entropy: &dyn Entropy) -> [u8; N] {
    let mut bytes = [0; N];
    entropy.fill(&mut bytes);
    bytes
}

/// The operating system's source.
#[derive(Clone, Debug)]
pub struct OsEntropy {
    // Only `open` makes one, so that a missing source is found at the start.
    _opened: (),
}

impl OsEntropy {
    /// Draws once, so that a system without randomness is refused at the start and not in the middle of work.
    pub fn open() -> Result<Self, EntropyError> {
        getrandom::fill(&mut [0; 32]).map_err(EntropyError::from_source)?;
        Ok(Self { _opened: () })
    }
}

impl Entropy for OsEntropy {
    fn fill(&self, out: &mut [u8]) {
        // The only failure left is a source that goes away while we run; going on without it would make weak keys.
        getrandom::fill(out).expect("the system's random source answered at the start");
    }
}

/// The operating system gives no random bytes. Nothing of ours can run without.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no random bytes")]
pub struct EntropyError {
    source: io::Error,
}

impl EntropyError {
    fn from_source(error: getrandom::Error) -> Self {
        let kind = || io::ErrorKind::Unsupported.into();
        Self { source: error.raw_os_error().map_or_else(kind, io::Error::from_raw_os_error) }
    }
}

/// Repeats the same bytes for the same seed: for tests and simulations, never for a key that guards anything.
///
/// The bytes are SHA-256(seed ‖ counter), a new counter each 32 bytes and each call.
#[derive(Debug)]
pub struct SeededEntropy {
    seed: u64,
    counter: AtomicU64,
}

impl SeededEntropy {
    /// A source that anybody who knows `seed` can repeat.
    pub fn danger_from_seed(seed: u64) -> Self {
        Self { seed, counter: AtomicU64::new(0) }
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(32) {
            let counter = self.counter.fetch_add(1, Ordering::SeqCst);
            let block = Sha256::new()
                .chain_update(self.seed.to_le_bytes())
                .chain_update(counter.to_le_bytes())
                .finalize();
            for (byte, drawn) in chunk.iter_mut().zip(block) {
                *byte = drawn;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_another_seed_differs() {
        let draw = |seed| {
            let entropy = SeededEntropy::danger_from_seed(seed);
            (make_bytes::<40>(&entropy), make_bytes::<40>(&entropy))
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert_ne!(draw(1).0, draw(1).1);
    }

    #[test]
    fn the_system_source_fills_everything() {
        let entropy = OsEntropy::open().unwrap();
        assert_ne!(make_bytes::<64>(&entropy), [0; 64]);
        assert_ne!(make_bytes::<32>(&entropy), make_bytes::<32>(&entropy));
    }
}
