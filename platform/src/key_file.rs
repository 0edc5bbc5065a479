//! Secrets of 32 bytes in small text files: one line, `bhyt-key 1 <use> <64 hex digits>`.
//!
//! Promises: a new file is readable by its owner only, is on the disk when [`create_key_file`] returns, and never replaces
//! another. Refuses: a file that others may read (on unix), a key made for another use, anything that is not exactly
//! one such line. Buffers are wiped; errors show no part of a key.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use zeroize::{Zeroize, Zeroizing};

use crate::files::{self, FileAccess, FileError, FileOperation};

/// Reads the key in `path`, which must have been made for `usage`.
pub fn read_key_file(path: &Path, usage: KeyUsage<'_>) -> Result<SecretBytes, KeyFileError> {
    let mut file = File::open(path).map_err(FileError::at(FileOperation::Open, path))?;
    refuse_open_to_others(path, &file)?;
    // One byte more than a key file may have, so that a longer one is noticed and never held. The buffer has its final
    // size from the start: growing would leave copies behind.
    let mut text = Zeroizing::new([0_u8; KEY_FILE_BYTES_MAX + 1]);
    let length =
        read_up_to(&mut file, text.as_mut_slice()).map_err(FileError::at(FileOperation::Read, path))?;
    let line = text.get(..length).unwrap_or_default();
    decode_line(path, line, usage)
}

/// Refuses a file of secrets that others may read (on unix).
///
/// # Errors
/// [`KeyFileError::OpenToOthers`], or that it cannot be looked at.
pub fn check_owner_only(path: &Path) -> Result<(), KeyFileError> {
    let file = File::open(path).map_err(FileError::at(FileOperation::Open, path))?;
    refuse_open_to_others(path, &file)
}

/// Writes `secret` to a new file. Fails with [`KeyFileError::Exists`] when `path` is taken, by whatever.
///
/// Whoever dies in the middle leaves no file there: half a key would keep a server from starting until somebody removed it.
pub fn create_key_file(path: &Path, usage: KeyUsage<'_>, secret: &SecretBytes) -> Result<(), KeyFileError> {
    match files::create_atomic(path, &encode_line(usage, secret), FileAccess::OwnerOnly) {
        Err(error) if error.is_taken() => Err(KeyFileError::Exists { path: path.to_owned() }),
        created => Ok(created?),
    }
}

/// What a key is for: 1 to 24 lower-case letters, digits and hyphens. One key has one use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyUsage<'a>(&'a str);

impl<'a> KeyUsage<'a> {
    /// `None` for a name that could not be told apart in a key file.
    pub const fn new(name: &'a str) -> Option<Self> {
        let mut rest = name.as_bytes();
        if rest.is_empty() || rest.len() > KEY_USAGE_BYTES_MAX {
            return None;
        }
        while let [byte, after @ ..] = rest {
            if !matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-') {
                return None;
            }
            rest = after;
        }
        Some(Self(name))
    }

    /// The name.
    pub const fn name(self) -> &'a str {
        self.0
    }
}

/// 32 secret bytes, wiped when dropped and never shown.
#[derive(Clone)]
pub struct SecretBytes(Zeroizing<[u8; 32]>);

impl SecretBytes {
    /// Takes the bytes in; wiping the caller's copy is the caller's.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes. Copies are the caller's to wipe.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes(..)")
    }
}

/// Why a key file was not read or made.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// There is a file already. Keys are never overwritten; a new one gets a new file.
    #[error("{} exists already", .path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Others than the owner may read the file. `chmod 600` it, and ask who has read it.
    #[error("{} may be read by others than its owner (mode {mode:03o}); it needs 600", .path.display())]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// The permission bits found.
        mode: u32,
    },
    /// The file was written by a newer program.
    #[error("the key file {} is of a newer format", .path.display())]
    NewerVersion {
        /// The file.
        path: PathBuf,
    },
    /// The key was made for something else.
    #[error("the key in {} is for another use", .path.display())]
    OtherUse {
        /// The file.
        path: PathBuf,
    },
    /// Not one line `bhyt-key 1 <use> <64 hex digits>`.
    #[error("{} is not a key file", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// The system refused.
    #[error(transparent)]
    File(#[from] FileError),
}

impl KeyFileError {
    /// Whether the file is simply not there.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::File(error) if error.is_missing())
    }
}

fn encode_line(usage: KeyUsage<'_>, secret: &SecretBytes) -> Zeroizing<Vec<u8>> {
    let mut line = Zeroizing::new(Vec::with_capacity(KEY_FILE_BYTES_MAX));
    for part in [WORD, b" ", VERSION, b" ", usage.0.as_bytes(), b" "] {
        line.extend_from_slice(part);
    }
    for byte in secret.as_bytes() {
        line.extend([byte >> 4, byte & 15].map(hex_digit));
    }
    line.push(b'\n');
    line
}

fn decode_line(path: &Path, line: &[u8], usage: KeyUsage<'_>) -> Result<SecretBytes, KeyFileError> {
    let malformed = || KeyFileError::Malformed { path: path.to_owned() };
    let line = line.strip_suffix(b"\n").ok_or_else(malformed)?;
    let mut words = line.split(|byte| *byte == b' ');
    if words.next() != Some(WORD) {
        return Err(malformed());
    }
    match words.next() {
        Some(VERSION) => {}
        Some(other) if !other.is_empty() && other.iter().all(u8::is_ascii_digit) => {
            return Err(KeyFileError::NewerVersion { path: path.to_owned() });
        }
        _ => return Err(malformed()),
    }
    let (found, digits) = (words.next(), words.next());
    let digits: &[u8; 64] = digits.and_then(|digits| digits.try_into().ok()).ok_or_else(malformed)?;
    if words.next().is_some() {
        return Err(malformed());
    }
    if found != Some(usage.0.as_bytes()) {
        return Err(KeyFileError::OtherUse { path: path.to_owned() });
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let value = pair.iter().try_fold(0, |high, digit| Some(high << 4 | hex_value(*digit)?));
        *byte = value.ok_or_else(malformed)?;
    }
    let secret = SecretBytes::new(bytes);
    bytes.zeroize();
    Ok(secret)
}

fn read_up_to(file: &mut File, buffer: &mut [u8]) -> Result<usize, io::Error> {
    let mut length = 0;
    while let Some(free) = buffer.get_mut(length..).filter(|free| !free.is_empty()) {
        match file.read(free) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

#[cfg(unix)]
fn refuse_open_to_others(path: &Path, file: &File) -> Result<(), KeyFileError> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = file.metadata().map_err(FileError::at(FileOperation::Read, path))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::OpenToOthers { path: path.to_owned(), mode });
    }
    Ok(())
}

/// Without unix modes the folder's access list decides, and is the operator's.
#[cfg(not(unix))]
fn refuse_open_to_others(_path: &Path, _file: &File) -> Result<(), KeyFileError> {
    Ok(())
}

fn hex_digit(value: u8) -> u8 {
    if value < 10 { b'0' + value } else { b'a' + value - 10 }
}

fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

const WORD: &[u8] = b"bhyt-key";
const VERSION: &[u8] = b"1";
const KEY_USAGE_BYTES_MAX: usize = 24;
const KEY_FILE_BYTES_MAX: usize = 8 + 1 + 1 + 1 + KEY_USAGE_BYTES_MAX + 1 + 64 + 1;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const TERMINAL: KeyUsage<'_> = KeyUsage::new("terminal").unwrap();

    fn check(content: &[u8]) -> Result<SecretBytes, KeyFileError> {
        decode_line(Path::new("key"), content, TERMINAL)
    }

    #[test]
    fn a_key_comes_back_and_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("terminal.key");
        assert!(read_key_file(&path, TERMINAL).unwrap_err().is_missing());
        create_key_file(&path, TERMINAL, &SecretBytes::new([0xa7; 32])).unwrap();
        let error = create_key_file(&path, TERMINAL, &SecretBytes::new([1; 32])).unwrap_err();
        assert!(matches!(error, KeyFileError::Exists { .. }));
        assert_eq!(read_key_file(&path, TERMINAL).unwrap().as_bytes(), &[0xa7; 32]);
        let other = KeyUsage::new("operator").unwrap();
        let error = read_key_file(&path, other).unwrap_err();
        assert!(matches!(error, KeyFileError::OtherUse { .. }));
    }

    #[test]
    fn a_key_that_is_being_made_is_there_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<_> = (0..200).map(|at| folder.path().join(format!("{at}.key"))).collect();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for path in &paths {
                    create_key_file(path, TERMINAL, &SecretBytes::new([9; 32])).unwrap();
                }
            });
            for path in &paths {
                // As a server does that starts meanwhile, or after the maker has died.
                let mut seen = std::iter::repeat_with(|| read_key_file(path, TERMINAL));
                let first = seen.find(|read| !read.as_ref().is_err_and(KeyFileError::is_missing));
                assert_eq!(first.unwrap().unwrap().as_bytes(), &[9; 32]);
            }
        });
        let left = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, paths.len());
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("terminal.key");
        create_key_file(&path, TERMINAL, &SecretBytes::new([3; 32])).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        for mode in [0o640, 0o604, 0o620, 0o601] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = read_key_file(&path, TERMINAL).unwrap_err();
            assert!(matches!(error, KeyFileError::OpenToOthers { mode: found, .. } if found == mode));
        }
    }

    #[test]
    fn anything_but_the_one_line_is_refused() {
        let hex = "5a".repeat(32);
        let good = format!("bhyt-key 1 terminal {hex}\n");
        assert_eq!(check(good.as_bytes()).unwrap().as_bytes(), &[0x5a; 32]);
        for bad in [
            String::new(),
            good.trim_end().to_owned(),
            format!("{good}\n"),
            format!("bhyt-key 1 terminal {hex} \n"),
            format!("bhyt-key  1 terminal {hex}\n"),
            format!("bhyt-kex 1 terminal {hex}\n"),
            format!("bhyt-key 1 terminal {}\n", hex.to_uppercase()),
            format!("bhyt-key 1 terminal {hex}5\n"),
            format!("bhyt-key x terminal {hex}\n"),
            format!("bhyt-key 1 terminal {}5g\n", "5a".repeat(31)),
        ] {
            let error = check(bad.as_bytes()).unwrap_err();
            assert!(matches!(error, KeyFileError::Malformed { .. }), "{bad:?}: {error:?}");
        }
        let newer = check(b"bhyt-key 2 terminal whatever\n").unwrap_err();
        assert!(matches!(newer, KeyFileError::NewerVersion { .. }));
    }

    /// Cut, longer, or with a bit changed, a line is refused, or is another key: there is no checksum, and whoever uses the
    /// wrong key is refused by those who know the right one. Never is it the same key in another writing.
    #[test]
    fn a_key_has_one_writing() {
        let good = format!("bhyt-key 1 terminal {}\n", "5a".repeat(32)).into_bytes();
        for cut in 0..good.len() {
            assert!(check(&good[..cut]).is_err(), "cut at {cut}");
        }
        for tail in ["\n", "\0", " ", "\r\n", "bhyt-key 1 terminal"] {
            assert!(check(&[&good[..], tail.as_bytes()].concat()).is_err(), "{tail:?}");
        }
        let digits = good.len() - 65..good.len() - 1;
        for bit in 0..good.len() * 8 {
            let mut changed = good.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            match check(&changed) {
                Ok(key) => assert!(digits.contains(&(bit / 8)) && key.as_bytes() != &[0x5a; 32], "bit {bit}"),
                Err(KeyFileError::Malformed { .. }) => {}
                Err(KeyFileError::OtherUse { .. }) => assert!((11..19).contains(&(bit / 8)), "bit {bit}"),
                Err(KeyFileError::NewerVersion { .. }) => assert_eq!(bit / 8, 9, "bit {bit}"),
                Err(error) => panic!("bit {bit}: {error:?}"),
            }
        }
        // What is longer than a key file may be is never read to its end.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long.key");
        create_key_file(&path, TERMINAL, &SecretBytes::new([1; 32])).unwrap();
        let long = [fs::read(&path).unwrap(), vec![b' '; 1 << 20]].concat();
        fs::write(&path, long).unwrap();
        assert!(matches!(read_key_file(&path, TERMINAL), Err(KeyFileError::Malformed { .. })));
    }

    #[test]
    fn errors_and_debug_show_no_key() {
        let secret = SecretBytes::new([0x5a; 32]);
        assert_eq!(format!("{secret:?}"), "SecretBytes(..)");
        let error = check(b"bhyt-key 1 terminal 5a5a\n").unwrap_err();
        assert!(!format!("{error:?} {error}").contains("5a"));
    }

    #[test]
    fn usages_are_plain_words() {
        for bad in ["", "Card", "two words", "a\n", "abcdefghijklmnopqrstuvwxy"] {
            assert_eq!(KeyUsage::new(bad), None);
        }
        assert_eq!(KeyUsage::new("store-2").map(KeyUsage::name), Some("store-2"));
    }
}
