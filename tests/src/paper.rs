//! What a program prints, for a test to read back: one writer behind both programs' `Output`.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

/// Output that a test reads back.
#[derive(Clone, Debug, Default)]
pub struct Paper(Arc<Mutex<Vec<u8>>>);

impl Paper {
    /// What was printed so far.
    ///
    /// # Panics
    /// When it is not UTF-8.
    pub fn text(&self) -> String {
        let bytes = self.0.lock().expect("a writer that did not panic").clone();
        String::from_utf8(bytes).expect("UTF-8")
    }
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("a writer that did not panic").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
