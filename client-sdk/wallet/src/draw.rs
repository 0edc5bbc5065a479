//! A matrix of modules as light: in a terminal, as a PNG, as an SVG. Dark on light and with its quiet zone everywhere,
//! whatever the colours of the terminal are, because many scanners do not read light on dark.

use std::fmt::Write as _;

use bhyt_sdk::{QUIET_MODULES, QrMatrix};

/// Half blocks, two rows of modules a line, with explicit colours; 73 columns at version 12.
pub fn draw_terminal(code: &QrMatrix) -> String {
    let side = code.size() + 2 * QUIET_MODULES;
    let mut drawn = String::new();
    for y in (0..side).step_by(2) {
        let mut colours = None;
        for x in 0..side {
            let pair = (is_dark(code, x, y), y + 1 < side && is_dark(code, x, y + 1));
            if colours != Some(pair) {
                colours = Some(pair);
                drawn.push_str(escape(pair));
            }
            drawn.push('▀');
        }
        drawn.push_str("\u{1b}[0m\n");
    }
    drawn
}

/// One bit a pixel, ten pixels a module.
pub fn draw_png(code: &QrMatrix) -> Result<Vec<u8>, png::EncodingError> {
    let side = code.size() + 2 * QUIET_MODULES;
    let pixels = side * PIXELS_PER_MODULE;
    let mut image = Vec::new();
    for y in 0..side {
        let mut row = vec![0_u8; pixels.div_ceil(8) as usize];
        for x in (0..pixels).filter(|x| !is_dark(code, x / PIXELS_PER_MODULE, y)) {
            // A set bit is white; the first pixel is the highest bit.
            if let Some(byte) = row.get_mut((x / 8) as usize) {
                *byte |= 0x80 >> (x % 8);
            }
        }
        (0..PIXELS_PER_MODULE).for_each(|_| image.extend_from_slice(&row));
    }
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, pixels, pixels);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&image)?;
    writer.finish()?;
    Ok(bytes)
}

/// One path of runs of dark modules on a white square; scales without blur.
pub fn draw_svg(code: &QrMatrix) -> String {
    let side = code.size() + 2 * QUIET_MODULES;
    let mut path = String::new();
    for y in 0..side {
        let mut x = 0;
        while x < side {
            let run = (x..side).take_while(|&x| is_dark(code, x, y)).count();
            let run = u32::try_from(run).unwrap_or(u32::MAX);
            if run > 0 {
                // Writing into a String does not fail.
                let _ = write!(path, "M{x} {y}h{run}v1h-{run}z");
            }
            x += run.max(1);
        }
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {side} {side}\" width=\"{side}mm\" height=\"{side}mm\" \
         shape-rendering=\"crispEdges\">\n<rect width=\"{side}\" height=\"{side}\" fill=\"#fff\"/>\n\
         <path d=\"{path}\" fill=\"#000\"/>\n</svg>\n"
    )
}

/// In coordinates that count the quiet zone.
fn is_dark(code: &QrMatrix, x: u32, y: u32) -> bool {
    match (x.checked_sub(QUIET_MODULES), y.checked_sub(QUIET_MODULES)) {
        (Some(x), Some(y)) => code.is_dark(x, y),
        _ => false,
    }
}

/// Upper half in the foreground colour, lower half in the background's; black and white of the 256-colour cube, which
/// themes do not touch.
fn escape(pair: (bool, bool)) -> &'static str {
    match pair {
        (true, true) => "\u{1b}[38;5;16;48;5;16m",
        (true, false) => "\u{1b}[38;5;16;48;5;231m",
        (false, true) => "\u{1b}[38;5;231;48;5;16m",
        (false, false) => "\u{1b}[38;5;231;48;5;231m",
    }
}

/// Pixels on a side of a module: a phone's camera wants a few even after a messenger has scaled the picture down.
const PIXELS_PER_MODULE: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn code() -> QrMatrix {
        QrMatrix::for_screen("BHYT1:ABC").unwrap()
    }

    #[test]
    fn a_terminal_gets_explicit_colours_and_a_quiet_zone() {
        let drawn = draw_terminal(&code());
        let lines: Vec<&str> = drawn.lines().collect();
        assert_eq!(lines.len(), 15);
        for line in &lines {
            assert_eq!(line.matches('▀').count(), 29);
            assert!(line.starts_with("\u{1b}[38;5;231;48;5;231m") && line.ends_with("\u{1b}[0m"));
        }
        // The two rows above and below hold nothing dark.
        for line in [lines[0], lines[1]] {
            assert_eq!(line.matches("\u{1b}[38").count(), 1);
        }
    }

    #[test]
    fn a_png_has_ten_pixels_a_module_and_reads_back() {
        let code = code();
        let bytes = draw_png(&code).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut image = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut image).unwrap();
        assert_eq!((info.width, info.height), (290, 290));
        let dark = |x: u32, y: u32| {
            let byte = image[(y * info.line_size as u32 + x / 8) as usize];
            byte & (0x80 >> (x % 8)) == 0
        };
        for y in 0..290 {
            for x in 0..290 {
                assert_eq!(dark(x, y), is_dark(&code, x / 10, y / 10), "{x} {y}");
            }
        }
    }

    #[test]
    fn an_svg_paints_the_dark_modules_and_nothing_else() {
        let code = code();
        let svg = draw_svg(&code);
        assert!(svg.contains("viewBox=\"0 0 29 29\""));
        let path = svg.split("d=\"").nth(1).unwrap().split('"').next().unwrap();
        let mut painted = vec![vec![false; 29]; 29];
        for run in path.split('M').skip(1) {
            let numbers: Vec<usize> =
                run.split([' ', 'h', 'v']).take(3).map(|number| number.parse().unwrap()).collect();
            let (x, y, length) = (numbers[0], numbers[1], numbers[2]);
            painted[y][x..x + length].fill(true);
            assert!(run.ends_with(&format!("v1h-{length}z")));
        }
        for (y, row) in (0..).zip(painted) {
            for (x, dark) in (0..).zip(row) {
                assert_eq!(dark, is_dark(&code, x, y), "{x} {y}");
            }
        }
    }
}
