//! XML as the ministry's files need it, and no more: elements, the text of those without elements inside, and the line
//! they stand on. A pull reader over a stream; what it holds does not grow with the file.
//!
//! Refuses: a document type (so there are no entities to blow up), references other than the five that XML knows and
//! those of characters, bytes that are not UTF-8 or that say they are something else, elements too deep, text and
//! markup over their bounds, and a file that ends early. Attributes, comments and instructions are passed over.

use std::io::{self, BufRead, Read};

use bhyt_core::limits::{XML_DEPTH_MAX, XML_FIELD_BYTES_MAX, XML_NAME_BYTES_MAX};
use quick_xml::Reader;
use quick_xml::errors::IllFormedError;
use quick_xml::events::{BytesDecl, BytesRef, Event};

/// Why a file is not read further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum XmlFault {
    /// It cannot be read from the disk.
    #[error("the file cannot be read: {0}")]
    Unreadable(io::ErrorKind),
    /// No XML, or not well-formed.
    #[error("this is not well-formed XML")]
    IllFormed,
    /// It ends before its last element does.
    #[error("the file ends too early")]
    Truncated,
    /// It has a document type.
    #[error("a document type (<!DOCTYPE …>) is not taken")]
    DocumentType,
    /// A reference to an entity that XML does not know by itself.
    #[error("a reference to an entity is not taken")]
    Entity,
    /// Other than UTF-8.
    #[error("only UTF-8 is read")]
    Encoding,
    /// Elements inside of elements over [`XML_DEPTH_MAX`].
    #[error("elements are more than {XML_DEPTH_MAX} deep")]
    TooDeep,
    /// A text or a piece of markup over its bound.
    #[error("a field of more than {limit} bytes")]
    TooLarge {
        /// What is allowed.
        limit: usize,
    },
}

impl XmlFault {
    /// The word, in lists of rows that were not taken.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::IllFormed => "not_well_formed",
            Self::Truncated => "truncated",
            Self::DocumentType => "document_type",
            Self::Entity => "entity",
            Self::Encoding => "encoding",
            Self::TooDeep => "too_deep",
            Self::TooLarge { .. } => "too_long",
        }
    }
}

/// A piece of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// An element begins that has elements inside.
    Open(String),
    /// An element that has none, with its text without the space around it.
    Leaf {
        /// Its name, without a prefix.
        name: String,
        /// Its text.
        text: String,
        /// The line on which it begins.
        line: u64,
    },
    /// An element with elements inside ends.
    Close,
}

/// Reads pieces.
#[derive(Debug)]
pub struct XmlReader<R> {
    reader: Reader<Metered<R>>,
    buffer: Vec<u8>,
    open: Vec<Element>,
    /// The text of the innermost element so far.
    text: String,
    /// An element that has begun while its parent was not told yet.
    waiting: Option<Element>,
    /// Whether the root has been seen.
    begun: bool,
    /// An element whose text may be longer than others', and how long.
    long: (&'static str, usize),
}

#[derive(Clone, Debug)]
struct Element {
    name: String,
    line: u64,
    has_elements: bool,
}

impl<R: BufRead> XmlReader<R> {
    /// Reads from a stream, all texts within [`XML_FIELD_BYTES_MAX`].
    pub fn new(stream: R) -> Self {
        Self::with_long(stream, ("", XML_FIELD_BYTES_MAX))
    }

    /// The same, and text of the elements of this name may have as many bytes as said.
    pub fn with_long(stream: R, long: (&'static str, usize)) -> Self {
        let metered = Metered { stream, left: 0, line: 1, bytes: 0, over: false };
        let mut reader = Reader::from_reader(metered);
        reader.config_mut().expand_empty_elements = true;
        Self {
            reader,
            buffer: Vec::new(),
            open: Vec::new(),
            text: String::new(),
            waiting: None,
            begun: false,
            long,
        }
    }

    /// The line that is being read.
    pub fn line(&self) -> u64 {
        self.reader.get_ref().line
    }

    /// Bytes read so far.
    pub fn bytes_read(&self) -> u64 {
        self.reader.get_ref().bytes
    }

    /// The next piece; `None` at the end of the document.
    ///
    /// # Errors
    /// [`XmlFault`]; nothing is read after one.
    pub fn next_piece(&mut self) -> Result<Option<Piece>, XmlFault> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let piece = self.read_piece(&mut buffer);
        self.buffer = buffer;
        piece
    }

    fn read_piece(&mut self, buffer: &mut Vec<u8>) -> Result<Option<Piece>, XmlFault> {
        if let Some(element) = self.waiting.take() {
            self.enter(element)?;
        }
        loop {
            let limit = self.limit();
            self.reader.get_mut().left = limit + MARKUP_BYTES;
            buffer.clear();
            let line = self.line();
            let event = match self.reader.read_event_into(buffer) {
                Ok(event) => event,
                Err(error) => return Err(self.fault(error, limit)),
            };
            match event {
                Event::Start(start) => {
                    let name = start.local_name().into_inner();
                    let element = Element { name: bounded_name(name)?, line, has_elements: false };
                    if let Some(piece) = self.begin(element)? {
                        return Ok(Some(piece));
                    }
                }
                Event::End(_) => return self.end().map(Some),
                Event::Text(text) => {
                    let content = text.xml10_content();
                    if self.open.is_empty() && !content.trim_matches(is_space).is_empty() {
                        return Err(XmlFault::IllFormed);
                    }
                    add_text(&mut self.text, &content, limit)?;
                }
                Event::CData(data) => add_text(&mut self.text, &data.xml10_content(), limit)?,
                Event::GeneralRef(reference) => {
                    let mut bytes = [0; 4];
                    let content = resolve(&reference)?.encode_utf8(&mut bytes);
                    add_text(&mut self.text, content, limit)?;
                }
                Event::Decl(declared) => check_encoding(&declared)?,
                Event::DocType(_) => return Err(XmlFault::DocumentType),
                Event::Comment(_) | Event::PI(_) | Event::Empty(_) => {}
                Event::Eof if !self.begun => return Err(XmlFault::IllFormed),
                Event::Eof if !self.open.is_empty() => return Err(XmlFault::Truncated),
                Event::Eof => return Ok(None),
            }
        }
    }

    /// An element begins: its parent is told first, if it was not.
    fn begin(&mut self, element: Element) -> Result<Option<Piece>, XmlFault> {
        if self.open.is_empty() && self.begun {
            return Err(XmlFault::IllFormed);
        }
        self.begun = true;
        match self.open.last_mut() {
            Some(parent) if !parent.has_elements => {
                parent.has_elements = true;
                let piece = Piece::Open(parent.name.clone());
                self.waiting = Some(element);
                Ok(Some(piece))
            }
            _ => self.enter(element).map(|()| None),
        }
    }

    fn enter(&mut self, element: Element) -> Result<(), XmlFault> {
        if self.open.len() >= XML_DEPTH_MAX {
            return Err(XmlFault::TooDeep);
        }
        self.text.clear();
        self.open.push(element);
        Ok(())
    }

    fn end(&mut self) -> Result<Piece, XmlFault> {
        let Element { name, line, has_elements } = self.open.pop().ok_or(XmlFault::IllFormed)?;
        let text = std::mem::take(&mut self.text);
        if has_elements {
            return Ok(Piece::Close);
        }
        let trimmed = text.trim_matches(is_space);
        let text = if trimmed.len() == text.len() { text } else { trimmed.to_owned() };
        Ok(Piece::Leaf { name, text, line })
    }

    /// Bytes that the text of the innermost element may have.
    fn limit(&self) -> usize {
        let (name, bytes) = self.long;
        let is_long = self.open.last().is_some_and(|element| element.name == name);
        if is_long { bytes } else { XML_FIELD_BYTES_MAX }
    }

    fn fault(&self, error: quick_xml::Error, limit: usize) -> XmlFault {
        if self.reader.get_ref().over {
            return XmlFault::TooLarge { limit };
        }
        match error {
            quick_xml::Error::Io(error) => XmlFault::Unreadable(error.kind()),
            quick_xml::Error::Encoding(_) => XmlFault::Encoding,
            // Every one of these is an end of the file inside of something.
            quick_xml::Error::Syntax(_) | quick_xml::Error::IllFormed(IllFormedError::MissingEndTag(_)) => {
                XmlFault::Truncated
            }
            _ => XmlFault::IllFormed,
        }
    }
}

fn add_text(text: &mut String, more: &str, limit: usize) -> Result<(), XmlFault> {
    if text.len() + more.len() > limit {
        return Err(XmlFault::TooLarge { limit });
    }
    text.push_str(more);
    Ok(())
}

fn bounded_name(name: &str) -> Result<String, XmlFault> {
    if name.len() > XML_NAME_BYTES_MAX {
        return Err(XmlFault::TooLarge { limit: XML_NAME_BYTES_MAX });
    }
    Ok(name.to_owned())
}

/// Extensible Markup Language 1.0, §4.6: five entities need no declaration.
fn resolve(reference: &BytesRef<'_>) -> Result<char, XmlFault> {
    if reference.is_char_ref() {
        let resolved = reference.resolve_char_ref().ok().flatten();
        return resolved.filter(|c| *c != '\0').ok_or(XmlFault::IllFormed);
    }
    match &**reference {
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "amp" => Ok('&'),
        "apos" => Ok('\''),
        "quot" => Ok('"'),
        _ => Err(XmlFault::Entity),
    }
}

fn check_encoding(declared: &BytesDecl<'_>) -> Result<(), XmlFault> {
    match declared.encoding() {
        None => Ok(()),
        Some(Ok(name)) if name.eq_ignore_ascii_case("utf-8") => Ok(()),
        Some(_) => Err(XmlFault::Encoding),
    }
}

/// Extensible Markup Language 1.0, §2.3.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// A stream of which only so much is read for one piece, and whose lines are counted.
#[derive(Debug)]
struct Metered<R> {
    stream: R,
    left: usize,
    line: u64,
    bytes: u64,
    over: bool,
}

impl<R: BufRead> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Metered<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let bytes = self.stream.fill_buf()?;
        if self.left == 0 && !bytes.is_empty() {
            self.over = true;
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(bytes.get(..self.left.min(bytes.len())).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        // What is there costs nothing to look at again.
        if let Ok(bytes) = self.stream.fill_buf() {
            let lines = bytes.iter().take(count).filter(|byte| **byte == b'\n').count();
            self.line += lines as u64;
        }
        self.left = self.left.saturating_sub(count);
        self.bytes += count as u64;
        self.stream.consume(count);
    }
}

/// What stands around a text: the longest tag, and the end of the next.
const MARKUP_BYTES: usize = 4 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Result<Vec<Piece>, XmlFault> {
        let mut reader = XmlReader::new(text);
        let mut pieces = Vec::new();
        while let Some(piece) = reader.next_piece()? {
            pieces.push(piece);
        }
        Ok(pieces)
    }

    fn leaf(name: &str, text: &str, line: u64) -> Piece {
        Piece::Leaf { name: name.into(), text: text.into(), line }
    }

    #[test]
    fn elements_come_with_their_text_and_line() {
        let text = "\u{feff}<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<a x='1'>\n <!-- c --><p:b> Viêm &amp; &#x1EA1;<![CDATA[<x>]]></p:b>\n<c/>\n<d><e>1</e></d>\n</a>\n";
        let expected = [
            Piece::Open("a".into()),
            leaf("b", "Viêm & ạ<x>", 3),
            leaf("c", "", 4),
            Piece::Open("d".into()),
            leaf("e", "1", 5),
            Piece::Close,
            Piece::Close,
        ];
        assert_eq!(read(text.as_bytes()).unwrap(), expected);
    }

    #[test]
    fn what_is_dangerous_or_broken_is_refused_by_name() {
        let bomb = b"<!DOCTYPE a [<!ENTITY b \"bbbb\"><!ENTITY c \"&b;&b;&b;\">]><a>&c;</a>";
        assert_eq!(read(bomb), Err(XmlFault::DocumentType));
        assert_eq!(read(b"<a>&c;</a>"), Err(XmlFault::Entity));
        assert_eq!(read(b"<?xml version=\"1.0\" encoding=\"windows-1258\"?><a/>"), Err(XmlFault::Encoding));
        assert_eq!(read(b"<a>\xff\xfe</a>"), Err(XmlFault::Encoding));
        let utf_16: Vec<u8> = "\u{feff}<a/>".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(read(&utf_16).is_err());
        assert_eq!(read(b"<a><b>1</b>"), Err(XmlFault::Truncated));
        assert_eq!(read(b"<a><b>1</b"), Err(XmlFault::Truncated));
        assert_eq!(read(b""), Err(XmlFault::IllFormed));
        assert_eq!(read(b"a,b\n1,2\n"), Err(XmlFault::IllFormed));
        assert_eq!(read(b"<a></b>"), Err(XmlFault::IllFormed));
        assert_eq!(read(b"<a/><b/>"), Err(XmlFault::IllFormed));
        assert_eq!(read(b"<a>&#0;</a>"), Err(XmlFault::IllFormed));
        let deep = |depth: usize| ["<a>".repeat(depth), "</a>".repeat(depth)].concat();
        assert!(read(deep(XML_DEPTH_MAX).as_bytes()).is_ok());
        assert_eq!(read(deep(XML_DEPTH_MAX + 1).as_bytes()), Err(XmlFault::TooDeep));
    }

    #[test]
    fn nothing_is_longer_than_its_bound() {
        let of = |name: &str, bytes: usize| format!("<r><{name}>{}</{name}></r>", "x".repeat(bytes));
        let long = ("long", 2 * XML_FIELD_BYTES_MAX);
        let check = |text: String| {
            let mut reader = XmlReader::with_long(text.as_bytes(), long);
            loop {
                match reader.next_piece() {
                    Ok(Some(_)) => {}
                    Ok(None) => return Ok(()),
                    Err(fault) => return Err(fault),
                }
            }
        };
        let too_large = |limit| Err(XmlFault::TooLarge { limit });
        assert_eq!(check(of("a", XML_FIELD_BYTES_MAX)), Ok(()));
        assert_eq!(check(of("a", XML_FIELD_BYTES_MAX + 1)), too_large(XML_FIELD_BYTES_MAX));
        assert_eq!(check(of("long", long.1)), Ok(()));
        assert_eq!(check(of("long", long.1 + 1)), too_large(long.1));
        assert_eq!(check(of("a", 10 * XML_FIELD_BYTES_MAX)), too_large(XML_FIELD_BYTES_MAX));
        // Text in pieces, a comment and an attribute are bounded too.
        let pieces = format!("<a>{}</a>", "xxxxxxxx&amp;".repeat(XML_FIELD_BYTES_MAX / 8));
        assert_eq!(check(pieces), too_large(XML_FIELD_BYTES_MAX));
        assert_eq!(
            check(format!("<!--{}--><a/>", "x".repeat(8 * XML_FIELD_BYTES_MAX))),
            too_large(XML_FIELD_BYTES_MAX)
        );
        assert_eq!(
            check(format!("<a b='{}'/>", "x".repeat(8 * XML_FIELD_BYTES_MAX))),
            too_large(XML_FIELD_BYTES_MAX)
        );
        let name = format!("<{}/>", "n".repeat(XML_NAME_BYTES_MAX + 1));
        assert_eq!(check(name), too_large(XML_NAME_BYTES_MAX));
    }
}
