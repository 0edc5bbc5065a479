//! Choices out of bytes, and bytes out of choices. A target that acts instead of decoding draws its acts from here; its
//! seeds are written by [`Script`], field by field as they are drawn. Bytes that are used up read as zeros, so every
//! input is a whole script.

/// Reads choices.
#[derive(Clone, Debug)]
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// Over these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether everything was used.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One byte.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    /// A number of eight bytes, little-endian.
    pub fn number(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// A number of two bytes, little-endian.
    pub fn short(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// A number below `bound`, from one byte; 0 when there is no other.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound.max(1)
    }

    /// One of these.
    pub fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        from.get(self.below(from.len())).expect("something to pick from")
    }

    /// A byte string: two bytes of length, and as many as there are.
    pub fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.short()).min(self.0.len());
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    /// A byte string as text; what is no UTF-8 is replaced.
    pub fn text(&mut self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    /// All that is left.
    pub fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// Writes choices, for seeds.
#[derive(Clone, Debug, Default)]
pub struct Script(Vec<u8>);

impl Script {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes as they are, or choices of one byte.
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// What [`Input::number`] reads.
    pub fn number(self, number: u64) -> Self {
        self.raw(&number.to_le_bytes())
    }

    /// What [`Input::bytes`] reads.
    pub fn bytes(self, bytes: &[u8]) -> Self {
        let length = u16::try_from(bytes.len()).expect("a seed's byte string");
        self.raw(&length.to_le_bytes()).raw(bytes)
    }

    /// The input.
    pub fn done(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_drawn_and_then_zeros() {
        let script = Script::new().raw(&[7]).number(1 << 40).bytes(b"abc").done();
        let mut input = Input::new(&script);
        assert_eq!((input.byte(), input.number(), input.bytes()), (7, 1 << 40, b"abc".as_slice()));
        assert!(input.is_empty());
        assert_eq!((input.byte(), input.number(), input.bytes()), (0, 0, b"".as_slice()));
        assert_eq!(Input::new(&[9, 0, 1]).bytes(), [1], "a length beyond the end takes what is there");
    }
}
