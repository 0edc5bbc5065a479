//! The code in a picture. Any bytes give a text or an error, within the memory of a picture; a code that we draw is read
//! as what it says, whole or with a few modules harmed, and never as something else.

use bhyt_core::limits::QR_TEXT_CHARS_MAX;
use bhyt_sdk::QrMatrix;
use bhyt_terminal::read_code;
use bhyt_wallet::draw_png;

use super::input::Input;
use crate::authority::{Authority, Phone, at, example_card};

/// The kind of an input is its first byte.
pub fn run(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else {
        return;
    };
    match kind % 2 {
        0 => drop(read_code(data)),
        _ => drawn(data),
    }
}

/// A code of any text that a presentation could have.
fn drawn(data: &[u8]) {
    let mut input = Input::new(data);
    let paper = input.byte() & 1 == 1;
    let Ok(text) = str::from_utf8(input.rest()) else {
        return;
    };
    let text = text.to_ascii_uppercase();
    let code = if paper { QrMatrix::for_paper(&text) } else { QrMatrix::for_screen(&text) };
    let Ok(code) = code else {
        assert!(text.is_empty() || text.len() > QR_TEXT_CHARS_MAX, "a text that fits has a code");
        return;
    };
    let picture = draw_png(&code).expect("a picture in memory");
    // Readers guess the character set of other bytes; ours are the 45 characters of Base45.
    let plain = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_uppercase() || b" $%*+-./:".contains(&byte);
    if text.bytes().all(plain) {
        assert_eq!(read_code(&picture).as_deref(), Ok(text.as_str()));
    }
}

/// Codes as PNG and as text. (JPEG, which nothing of ours writes, is in the corpus.)
pub fn seeds() -> Vec<Vec<u8>> {
    let authority = Authority::new(7);
    let live = Phone::new(8).present(&authority.sign_card(example_card()), at(2026, 6, 1), None);
    let with = |kind: u8, bytes: &[u8]| [&[kind], bytes].concat();
    let mut seeds = Vec::new();
    for text in ["BHYT1:ONE".to_owned(), live.encode_text()] {
        let code = QrMatrix::for_screen(&text).expect("a code");
        seeds.push(with(0, &draw_png(&code).expect("a picture in memory")));
        seeds.extend([0, 1].map(|level| [&[1, level], text.as_bytes()].concat()));
    }
    seeds
}
