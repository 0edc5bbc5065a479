//! The ministry's envelope: one file of a facility with many dossiers, each of some tables in Base64.
//!
//! ```text
//! GIAMDINHHS
//! ├─ THONGTINDONVI / MACSKCB
//! ├─ THONGTINHOSO
//! │   ├─ NGAYLAP, SOLUONGHOSO
//! │   └─ DANHSACHHOSO / HOSO … / FILEHOSO … { LOAIHOSO, NOIDUNGFILE = Base64 }
//! └─ CHUKYDONVI
//! ```
//!
//! One dossier (hồ sơ) is in memory at a time. The facility's signature is not looked at: who may bring a file in is decided
//! by the operator's key. A dossier that cannot be read is told by its line and the others go on; only what makes the rest
//! of the file unreadable ends it.

use std::io::BufRead;

use base64ct::{Base64, Encoding as _};
use bhyt_core::limits::{DOSSIER_FILES_MAX, XML_FILE_BYTES_MAX};

use super::xml::{Piece, XmlFault, XmlReader};

/// One dossier, its files decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dossier {
    /// The line it begins on.
    pub line: u64,
    /// Its tables, in the order of the file.
    pub files: Vec<DossierFile>,
    /// What is wrong with it, if anything.
    pub fault: Option<DossierFault>,
}

/// One table of a dossier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DossierFile {
    /// `XML1` and so on, in upper case.
    pub table: String,
    /// The line of the envelope on which its content begins.
    pub line: u64,
    /// XML.
    pub content: Vec<u8>,
}

/// Why a dossier is not taken, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DossierFault {
    /// The line.
    pub line: u64,
    /// The element.
    pub field: &'static str,
    /// The word.
    pub reason: &'static str,
}

/// What a whole envelope said of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// MACSKCB.
    pub facility: String,
    /// SOLUONGHOSO, and its line.
    pub dossiers_said: Option<(u64, String)>,
    /// Dossiers there.
    pub dossiers: u64,
}

impl Envelope {
    /// Whether as many dossiers are there as was said; where that stands if not.
    pub fn count_fault(&self) -> Option<DossierFault> {
        let (line, said) = self.dossiers_said.as_ref()?;
        let reason = match said.parse::<u64>() {
            Ok(said) if said == self.dossiers => return None,
            Ok(_) => "count_differs",
            Err(_) => "malformed",
        };
        Some(DossierFault { line: *line, field: DOSSIERS_SAID, reason })
    }
}

/// Reads dossiers.
#[derive(Debug)]
pub struct EnvelopeReader<R> {
    xml: XmlReader<R>,
    /// Names of the elements around, from the root.
    path: Vec<String>,
    envelope: Envelope,
    begun: bool,
}

impl<R: BufRead> EnvelopeReader<R> {
    /// Reads from a stream.
    pub fn new(stream: R) -> Self {
        Self {
            xml: XmlReader::with_long(stream, (CONTENT, XML_FILE_BYTES_MAX)),
            path: Vec::new(),
            envelope: Envelope::default(),
            begun: false,
        }
    }

    /// What the envelope has said so far.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// The line that is being read.
    pub fn line(&self) -> u64 {
        self.xml.line()
    }

    /// Bytes read so far.
    pub fn bytes_read(&self) -> u64 {
        self.xml.bytes_read()
    }

    /// The next dossier; `None` at the end of the envelope.
    ///
    /// # Errors
    /// [`XmlFault`], when nothing more can be read.
    pub fn next_dossier(&mut self) -> Result<Option<Dossier>, XmlFault> {
        let mut gathering: Option<Gathering> = None;
        while let Some(piece) = self.xml.next_piece()? {
            match piece {
                Piece::Open(name) => {
                    if !self.begun && name != ROOT {
                        return Err(XmlFault::IllFormed);
                    }
                    self.begun = true;
                    if name == DOSSIER {
                        gathering = Some(Gathering::new(self.xml.line()));
                    }
                    self.path.push(name);
                }
                Piece::Close => {
                    let closed = self.path.pop().unwrap_or_default();
                    if let Some(gathering) = gathering.as_mut().filter(|_| closed == FILE) {
                        gathering.close_file();
                    }
                    if closed == DOSSIER {
                        self.envelope.dossiers += 1;
                        return Ok(gathering.map(|gathering| gathering.dossier));
                    }
                }
                Piece::Leaf { .. } if !self.begun => return Err(XmlFault::IllFormed),
                Piece::Leaf { name, text, line } => match gathering.as_mut() {
                    Some(gathering) => gathering.take(&name, text, line),
                    None if name == DOSSIER => {
                        self.envelope.dossiers += 1;
                        let fault = DossierFault { line, field: DOSSIER, reason: "missing" };
                        return Ok(Some(Dossier { line, files: Vec::new(), fault: Some(fault) }));
                    }
                    None => self.note(&name, text, line),
                },
            }
        }
        Ok(None)
    }

    fn note(&mut self, name: &str, text: String, line: u64) {
        match name {
            FACILITY => self.envelope.facility = text,
            DOSSIERS_SAID => self.envelope.dossiers_said = Some((line, text)),
            _ => {}
        }
    }
}

/// A dossier that is being read.
struct Gathering {
    dossier: Dossier,
    table: String,
    content: Option<(u64, String)>,
    bytes: usize,
}

impl Gathering {
    fn new(line: u64) -> Self {
        let dossier = Dossier { line, ..Dossier::default() };
        Self { dossier, table: String::new(), content: None, bytes: 0 }
    }

    fn take(&mut self, name: &str, text: String, line: u64) {
        match name {
            TABLE => self.table = text.to_uppercase(),
            // Base64 is a third longer than what it says, so this bounds both.
            CONTENT if self.bytes + text.len() > XML_FILE_BYTES_MAX => self.fail(line, CONTENT, "too_long"),
            CONTENT => {
                self.bytes += text.len();
                self.content = Some((line, text));
            }
            _ => {}
        }
    }

    fn close_file(&mut self) {
        let table = std::mem::take(&mut self.table);
        let content = self.content.take();
        let Some((line, text)) = content.filter(|_| !table.is_empty()) else {
            let field = if table.is_empty() { TABLE } else { CONTENT };
            return self.fail(self.dossier.line, field, "missing");
        };
        if self.dossier.files.len() >= DOSSIER_FILES_MAX {
            return self.fail(line, FILE, "too_many");
        }
        match decode(text) {
            Some(content) => self.dossier.files.push(DossierFile { table, line, content }),
            None => self.fail(line, CONTENT, "base64"),
        }
    }

    /// The first fault is the one told.
    fn fail(&mut self, line: u64, field: &'static str, reason: &'static str) {
        self.dossier.fault.get_or_insert(DossierFault { line, field, reason });
    }
}

/// RFC 4648 §4, whole groups of four; lines may be broken anywhere (RFC 2045 §6.8).
fn decode(mut text: String) -> Option<Vec<u8>> {
    text.retain(|c| !c.is_ascii_whitespace());
    if text.is_empty() { None } else { Base64::decode_vec(&text).ok() }
}

const ROOT: &str = "GIAMDINHHS";
const FACILITY: &str = "MACSKCB";
const DOSSIERS_SAID: &str = "SOLUONGHOSO";
const DOSSIER: &str = "HOSO";
const FILE: &str = "FILEHOSO";
const TABLE: &str = "LOAIHOSO";
const CONTENT: &str = "NOIDUNGFILE";

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(said: &str, dossiers: &str) -> String {
        format!(
            "<GIAMDINHHS>\n<THONGTINDONVI><MACSKCB>99024</MACSKCB></THONGTINDONVI>\n<THONGTINHOSO>\n<NGAYLAP>20261124</NGAYLAP>\n<SOLUONGHOSO>{said}</SOLUONGHOSO>\n<DANHSACHHOSO>\n{dossiers}</DANHSACHHOSO></THONGTINHOSO><CHUKYDONVI/></GIAMDINHHS>"
        )
    }

    fn dossier(content: &str) -> String {
        format!(
            "<HOSO>\n<FILEHOSO><LOAIHOSO>XML1</LOAIHOSO><NOIDUNGFILE>{content}</NOIDUNGFILE></FILEHOSO></HOSO>\n"
        )
    }

    fn read(text: &str) -> (Vec<Dossier>, Result<Envelope, XmlFault>) {
        let mut reader = EnvelopeReader::new(text.as_bytes());
        let mut dossiers = Vec::new();
        loop {
            match reader.next_dossier() {
                Ok(Some(dossier)) => dossiers.push(dossier),
                Ok(None) => return (dossiers, Ok(reader.envelope().clone())),
                Err(fault) => return (dossiers, Err(fault)),
            }
        }
    }

    #[test]
    fn dossiers_come_one_by_one_and_a_bad_one_stops_nothing() {
        let text =
            envelope("3", &[dossier("PGEv\r\nPg=="), dossier("PGEvPg="), dossier("PGEvPg==")].concat());
        let (dossiers, end) = read(&text);
        assert_eq!(dossiers.len(), 3);
        let file = |line| DossierFile { table: "XML1".into(), line, content: b"<a/>".to_vec() };
        assert_eq!(dossiers[0].files, [file(8)]);
        let fault = DossierFault { line: 11, field: "NOIDUNGFILE", reason: "base64" };
        assert_eq!((dossiers[1].fault, dossiers[1].files.len()), (Some(fault), 0));
        assert_eq!((dossiers[2].fault, dossiers[2].files.as_slice()), (None, &[file(13)][..]));
        let end = end.unwrap();
        assert_eq!((end.facility.as_str(), end.dossiers, end.count_fault()), ("99024", 3, None));
    }

    #[test]
    fn a_count_that_differs_is_told_with_its_line() {
        let fault = |said| read(&envelope(said, &dossier("PGEvPg=="))).1.unwrap().count_fault();
        let at = |reason| Some(DossierFault { line: 5, field: "SOLUONGHOSO", reason });
        assert_eq!(fault("1"), None);
        assert_eq!(fault("2"), at("count_differs"));
        assert_eq!(fault("x"), at("malformed"));
    }

    #[test]
    fn what_is_no_envelope_or_breaks_off_ends_it() {
        assert_eq!(read("<TONG_HOP><MA_LK>1</MA_LK></TONG_HOP>").1, Err(XmlFault::IllFormed));
        assert_eq!(read("<GIAMDINHHS/>").1, Err(XmlFault::IllFormed));
        let text = envelope("2", &[dossier("PGEvPg=="), dossier("PGEvPg==")].concat());
        let (dossiers, end) = read(text.split_at(text.len() - 100).0);
        assert_eq!((dossiers.len(), end), (1, Err(XmlFault::Truncated)));
        let (dossiers, _) = read(&envelope("1", "<HOSO/>"));
        assert_eq!(dossiers[0].fault.unwrap().reason, "missing");
        let (dossiers, _) =
            read(&envelope("1", "<HOSO><FILEHOSO><LOAIHOSO>XML1</LOAIHOSO></FILEHOSO></HOSO>"));
        assert_eq!(dossiers[0].fault.unwrap().field, "NOIDUNGFILE");
    }
}
