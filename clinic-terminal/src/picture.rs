//! The code in a picture: a photo, a screenshot, a scan. The one file that knows the image and barcode readers.
//!
//! Promises: dimensions are checked before a pixel is decoded; whatever the bytes are, the answer is a text or a
//! [`PictureError`]. Refuses anything but PNG and JPEG.

use std::io::Cursor;
use std::panic::catch_unwind;

use image::{ImageFormat, ImageReader, Limits};
use rxing::{BarcodeFormat, DecodeHints, Point, RXingResult};

/// Finds the QR code in a picture and reads its text. What the text means is not looked at.
pub fn read_code(bytes: &[u8]) -> Result<String, PictureError> {
    if bytes.len() > PICTURE_BYTES_MAX {
        return Err(PictureError::TooLarge { limit: PICTURE_BYTES_MAX, got: bytes.len() });
    }
    let format = image::guess_format(bytes).map_err(|_| PictureError::Format)?;
    if !matches!(format, ImageFormat::Png | ImageFormat::Jpeg) {
        return Err(PictureError::Format);
    }
    let reader = ImageReader::with_format(Cursor::new(bytes), format);
    let (width, height) = reader.into_dimensions().map_err(|_| PictureError::Format)?;
    let pixels = u64::from(width) * u64::from(height);
    if pixels > PIXELS_MAX {
        return Err(PictureError::Dimensions { limit: PIXELS_MAX, got: pixels });
    }
    // These are other people's decoders on a stranger's bytes: a panic in them is a picture that cannot be read.
    let owned = bytes.to_vec();
    let found = catch_unwind(move || find_code(&owned, format));
    found.unwrap_or(Err(PictureError::NoCode))
}

/// Why there is no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// The file is too large.
    #[error("{got} bytes, at most {limit} are read")]
    TooLarge {
        /// Bytes read at most.
        limit: usize,
        /// Bytes there.
        got: usize,
    },
    /// Not a PNG or JPEG picture, or a damaged one.
    #[error("not a PNG or JPEG picture")]
    Format,
    /// More pixels than are decoded.
    #[error("{got} pixels, at most {limit} are read")]
    Dimensions {
        /// Pixels read at most.
        limit: u64,
        /// Pixels announced.
        got: u64,
    },
    /// No QR code was found, or it is too blurred to read.
    #[error("no readable QR code in it")]
    NoCode,
    /// More than one QR code: nobody can say whose card was meant.
    #[error("more than one QR code in it")]
    SeveralCodes,
}

fn find_code(bytes: &[u8], format: ImageFormat) -> Result<String, PictureError> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(ALLOC_BYTES_MAX);
    reader.limits(limits);
    let luma = reader.decode().map_err(|_| PictureError::Format)?.into_luma8();
    let (width, height) = luma.dimensions();
    let mut luma = luma.into_raw();
    let found = find_one(&luma, width, height).ok_or(PictureError::NoCode)?;
    blank(&mut luma, width, &found);
    match find_one(&luma, width, height) {
        Some(other) if other.getText() != found.getText() => Err(PictureError::SeveralCodes),
        _ => Ok(found.getText().to_owned()),
    }
}

fn find_one(luma: &[u8], width: u32, height: u32) -> Option<RXingResult> {
    let mut hints = DecodeHints { TryHarder: Some(true), ..DecodeHints::default() };
    let qr = Some(BarcodeFormat::QR_CODE);
    let plain = rxing::helpers::detect_in_luma_with_hints(luma.to_vec(), width, height, qr, &mut hints);
    plain
        .or_else(|_| {
            rxing::helpers::detect_in_luma_filtered_with_hints(luma.to_vec(), width, height, qr, &mut hints)
        })
        .ok()
}

/// Paints the code white, from a little outside its finder patterns, so that another one can be looked for.
fn blank(luma: &mut [u8], width: u32, found: &RXingResult) {
    let points = found.getPoints();
    let span = |of: fn(&Point) -> f32| {
        let (low, high) =
            points.iter().map(of).fold((f32::MAX, 0_f32), |(low, high), at| (low.min(at), high.max(at)));
        let margin = (high - low) * FINDER_MARGIN;
        // Casts saturate: what lies outside the picture ends at its edge.
        ((low - margin) as usize, (high + margin) as usize)
    };
    let ((left, right), (top, bottom)) = (span(|point| point.x), span(|point| point.y));
    let rows = luma.chunks_mut(width as usize).skip(top).take(bottom.saturating_sub(top) + 1);
    for row in rows {
        let end = right.min(row.len());
        row.get_mut(left..end).unwrap_or_default().fill(u8::MAX);
    }
}

/// The points of a code are the middles of its finder patterns: this much of their distance lies outside them at most,
/// in the smallest code.
const FINDER_MARGIN: f32 = 0.3;
/// Bytes of a picture file read at most; a phone's photo has 3 to 8 MB.
pub(crate) const PICTURE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Pixels decoded at most: a phone's photo has 12 to 50 million.
const PIXELS_MAX: u64 = 50_000_000;
/// Bytes that decoding may take: four channels of the most pixels, and room for the decoder.
const ALLOC_BYTES_MAX: u64 = 4 * PIXELS_MAX + 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_picture_is_refused_before_it_is_decoded() {
        assert_eq!(read_code(b""), Err(PictureError::Format));
        assert_eq!(read_code(b"GIF89a"), Err(PictureError::Format));
        assert_eq!(read_code(b"\x89PNG\r\n\x1a\n\0\0\0\0"), Err(PictureError::Format));
        // A PNG of 100,000 × 100,000 pixels in 33 bytes: only its header is read.
        let mut bomb = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\x01\x86\xa0\0\x01\x86\xa0\x01\0\0\0\0".to_vec();
        bomb.extend(crc32(&bomb[12..29]).to_be_bytes());
        bomb.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e");
        assert!(matches!(read_code(&bomb), Err(PictureError::Dimensions { .. })), "{:?}", read_code(&bomb));
    }

    #[test]
    fn one_code_is_read_and_two_are_refused() {
        assert_eq!(read_code(&draw(&["BHYT1:ONE"])).as_deref(), Ok("BHYT1:ONE"));
        assert_eq!(read_code(&draw(&["BHYT1:ONE", "BHYT1:ONE"])).as_deref(), Ok("BHYT1:ONE"));
        let long = format!("BHYT1:{}", "A1".repeat(220));
        assert_eq!(read_code(&draw(&[&long])), Ok(long.clone()));
        assert_eq!(read_code(&draw(&["BHYT1:ONE", "BHYT1:TWO"])), Err(PictureError::SeveralCodes));
        assert_eq!(read_code(&draw(&[&long, "BHYT1:TWO"])), Err(PictureError::SeveralCodes));
    }

    /// A PNG with these codes side by side, 4 pixels a module.
    fn draw(texts: &[&str]) -> Vec<u8> {
        let codes: Vec<_> = texts.iter().map(|text| bhyt_sdk::QrMatrix::for_screen(text).unwrap()).collect();
        let side = codes.iter().map(|code| code.size()).max().unwrap() + 8;
        let picture = image::GrayImage::from_fn(4 * side * codes.len() as u32, 4 * side, |x, y| {
            let (x, y) = (x / 4, y / 4);
            let code = &codes[(x / side) as usize];
            let inside = |at: u32| at.checked_sub(4).filter(|at| *at < code.size());
            let dark = inside(x % side).zip(inside(y)).is_some_and(|(x, y)| code.is_dark(x, y));
            image::Luma([if dark { 0 } else { u8::MAX }])
        });
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    fn crc32(bytes: &[u8]) -> u32 {
        let step =
            |crc: u32, byte: &u8| {
                (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
                    if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 }
                })
            };
        !bytes.iter().fold(u32::MAX, step)
    }
}
