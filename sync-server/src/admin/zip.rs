//! A ZIP archive of small files, stored as they are: whoever gets one opens it with what every computer has. Names are
//! UTF-8. Not for files over 4 GiB or more than 65,535 of them.

use crc32fast::hash;

/// The end of an archive, as it grows.
#[derive(Debug, Default)]
pub(super) struct Zip {
    directory: Vec<u8>,
    offset: u32,
    count: u16,
}

impl Zip {
    /// The bytes of the next file; `None` when the archive is full.
    pub(super) fn file(&mut self, name: &str, body: &[u8]) -> Option<Vec<u8>> {
        let (size, name_bytes) = (u32::try_from(body.len()).ok()?, u16::try_from(name.len()).ok()?);
        let mut shared = Vec::new();
        // Version 2.0, names in UTF-8, stored, 1 January 1980: an archive of the same data is the same.
        for word in [20_u16, 0x0800, 0, 0, 0x21] {
            shared.extend(word.to_le_bytes());
        }
        for word in [hash(body), size, size] {
            shared.extend(word.to_le_bytes());
        }
        shared.extend(name_bytes.to_le_bytes());
        shared.extend(0_u16.to_le_bytes());
        let local = [b"PK\x03\x04", shared.as_slice(), name.as_bytes(), body].concat();
        self.directory.extend(b"PK\x01\x02\x14\x00");
        self.directory.extend(&shared);
        // No comment, one disk, no attributes.
        self.directory.extend([0; 10]);
        self.directory.extend(self.offset.to_le_bytes());
        self.directory.extend(name.as_bytes());
        self.offset = self.offset.checked_add(u32::try_from(local.len()).ok()?)?;
        self.count = self.count.checked_add(1)?;
        Some(local)
    }

    /// The last bytes.
    pub(super) fn end(self) -> Option<Vec<u8>> {
        let mut bytes = self.directory;
        let length = u32::try_from(bytes.len()).ok()?;
        bytes.extend(b"PK\x05\x06\x00\x00\x00\x00");
        bytes.extend(self.count.to_le_bytes());
        bytes.extend(self.count.to_le_bytes());
        bytes.extend(length.to_le_bytes());
        bytes.extend(self.offset.to_le_bytes());
        bytes.extend([0; 2]);
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_these_bytes() {
        let mut zip = Zip::default();
        let local = zip.file("a", b"bc").unwrap();
        let end = zip.end().unwrap();
        assert_eq!((local.len(), end.len()), (30 + 1 + 2, 46 + 1 + 22));
        assert!(local.starts_with(b"PK\x03\x04\x14\x00\x00\x08\x00\x00") && local.ends_with(b"abc"));
        assert_eq!(local[14..18], hash(b"bc").to_le_bytes());
        assert!(end.starts_with(b"PK\x01\x02\x14\x00\x14\x00\x00\x08"));
        // The directory begins where the files end.
        assert_eq!(end[46 + 1 + 16..46 + 1 + 20], 33_u32.to_le_bytes());
    }
}
