//! Golomb coding: round trips, the documented bytes, size against entropy, harmed bytes.

use super::golomb::*;
use super::testing::{Lcg, floor_bits};

fn write(universe: u64, values: &[u64]) -> Result<Vec<u8>, GolombError> {
    let mut writer = GapWriter::new(universe, values.len() as u64)?;
    values.iter().try_for_each(|&value| writer.push(value))?;
    writer.finish()
}

fn read(universe: u64, count: u64, bytes: &[u8]) -> Result<Vec<u64>, GolombError> {
    let mut reader = GapReader::new(universe, count, bytes)?;
    let mut values = Vec::new();
    while let Some(value) = reader.next_value()? {
        values.push(value);
    }
    reader.finish().map(|()| values)
}

fn check(universe: u64, values: &[u64]) {
    let bytes = write(universe, values).unwrap();
    assert_eq!(read(universe, values.len() as u64, &bytes).as_deref(), Ok(values));
}

#[test]
fn what_was_written_is_read() {
    let mut random = Lcg::new(2);
    for universe in [1, 2, 3, 64, 1_000, 1 << 20, UNIVERSE_MAX - 1, UNIVERSE_MAX] {
        for count in [0, 1, 2, 3, 17, 500, 1_000] {
            let count = universe.min(count);
            check(universe, &random.subset(universe, count));
            check(universe, &(0..count).collect::<Vec<_>>());
            check(universe, &(universe - count..universe).collect::<Vec<_>>());
        }
    }
}

#[test]
fn the_bytes_are_those_of_the_description() {
    // k = 3, U = 20: M = floor((45426·20 + 10027·3) / 196608) = 4; gaps 2, 4, 11 are 1|10, 01|00, 001|11.
    assert_eq!(GolombCode::for_values(20, 3).unwrap().parameter(), 4);
    assert_eq!(write(20, &[2, 7, 20]), Err(GolombError::OutsideUniverse));
    assert_eq!(write(20, &[2, 7, 19]).unwrap(), [0b1100_1000, 0b0111_0000]);
    // k = 3, U = 14: M = 3, c = 1, s = 1; gaps 0, 2, 4: 1|0, 1|11, 01|10.
    assert_eq!(GolombCode::for_values(14, 3).unwrap().parameter(), 3);
    assert_eq!(write(14, &[0, 3, 8]).unwrap(), [0b1011_1011, 0b0000_0000]);
}

#[test]
fn the_parameter_is_the_best_one() {
    for count in (1..500_000_u64).step_by(1_009) {
        let p = count as f64 / 1e6;
        let best = ((2.0 - p).ln() / -(1.0 - p).ln()).ceil().max(1.0) as u64;
        let code = GolombCode::for_values(1_000_000, count).unwrap();
        assert!(code.parameter().abs_diff(best) <= 1 + best / 50_000, "{count} {code:?} {best}");
    }
}

#[test]
fn size_is_near_the_entropy() {
    let mut random = Lcg::new(3);
    for (per_10_000, ratio_max) in
        [(1, 1.008), (10, 1.005), (100, 1.005), (200, 1.006), (500, 1.007), (2_000, 1.015), (5_000, 1.001)]
    {
        let count = (400 * per_10_000).min(60_000);
        let universe = count * 10_000 / per_10_000;
        let size = write(universe, &random.subset(universe, count)).unwrap().len();
        let ratio = size as f64 * 8.0 / floor_bits(universe, &[count]);
        println!("density {per_10_000}/10000: {ratio:.5}");
        assert!(ratio < ratio_max, "{per_10_000}: {ratio}");
    }
}

#[test]
fn what_a_writer_would_not_write_is_refused() {
    assert_eq!(write(UNIVERSE_MAX + 1, &[]).map_err(|_| ()), Err(()));
    assert_eq!(write(1, &[0, 0]), Err(GolombError::Universe { universe: 1, count: 2 }));
    assert_eq!(write(9, &[4, 4]), Err(GolombError::NotAscending));
    assert_eq!(write(9, &[9]), Err(GolombError::OutsideUniverse));
    assert_eq!(GapWriter::new(9, 1).unwrap().finish(), Err(GolombError::Count));
    let mut full = GapWriter::new(9, 0).unwrap();
    assert_eq!(full.push(1), Err(GolombError::Count));

    let bytes = write(20, &[2, 7, 19]).unwrap();
    assert_eq!(read(20, 3, &[bytes[0], bytes[1] | 1]), Err(GolombError::Filling));
    assert_eq!(read(20, 3, &[bytes[0], bytes[1], 0]), Err(GolombError::Filling));
    assert_eq!(read(20, 0, &[0]), Err(GolombError::Filling));
    assert_eq!(read(20, 3, &bytes[..1]), Err(GolombError::Truncated));
    assert_eq!(read(UNIVERSE_MAX, UNIVERSE_MAX, &[255; 64]), Err(GolombError::Truncated));
    // M is 1: the value is the run of zeros.
    assert_eq!(read(2, 2, &[0b0010_1000]), Err(GolombError::OutsideUniverse));
}

#[test]
fn harmed_bytes_never_panic_and_never_alias() {
    let mut random = Lcg::new(4);
    for (universe, count) in [(300, 100), (5_000, 40), (UNIVERSE_MAX, 30)] {
        let values = random.subset(universe, count);
        let bytes = write(universe, &values).unwrap();
        for length in 0..bytes.len() {
            assert!(read(universe, count, &bytes[..length]).is_err());
        }
        for bit in 0..bytes.len() * 8 {
            let mut harmed = bytes.clone();
            harmed[bit / 8] ^= 0x80 >> (bit % 8);
            if let Ok(other) = read(universe, count, &harmed) {
                assert_ne!(other, values);
                assert_eq!(write(universe, &other).unwrap(), harmed, "one set, one encoding");
            }
        }
        let noise: Vec<u8> = (0..999).map(|_| random.next_u64() as u8).collect();
        assert!(read(universe, count, &noise).is_err());
    }
}
