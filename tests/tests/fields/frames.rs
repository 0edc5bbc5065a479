//! Frames between our own programs: every kind of them cut at each byte, longer, with each bit changed, with a length that is
//! not there, of another schema and too large. None of it is a panic, and what is read at all is a value that has exactly
//! these bytes, so that nothing passes between two programs that one of them would have written otherwise.

use bhyt_core::codec::{self, CodecError, Schema};
use bhyt_core::limits::FRAME_BYTES_MAX;
use bhyt_core::sync::messages::{Hello, Reply, Request};
use bhyt_core::time::UnixSeconds;
use bhyt_tests::frames::{replies, requests};
use sha2::{Digest as _, Sha256};

fn check<T: Schema + PartialEq + std::fmt::Debug>(value: &T) {
    let bytes = codec::encode(value).unwrap();
    assert_eq!(codec::decode::<T>(&bytes).as_ref(), Ok(value));
    let fault = |bytes: &[u8]| codec::decode::<T>(bytes).err();
    for cut in 0..bytes.len() {
        let short = bytes.get(..cut).unwrap();
        assert_eq!(fault(short), Some(CodecError::Malformed), "{value:?} cut at {cut}");
    }
    assert_eq!(fault(&[&bytes[..], &[0]].concat()), Some(CodecError::Malformed), "{value:?}, one byte more");
    let (limit, got) = (T::BYTES_MAX, T::BYTES_MAX + 1);
    assert_eq!(fault(&vec![0xff; got]), Some(CodecError::TooLarge { limit, got }));
    for found in (0..=u16::MAX).step_by(257).chain([1, 2, 3]).filter(|found| *found != T::SCHEMA) {
        let other = [&found.to_le_bytes(), bytes.get(2..).unwrap()].concat();
        assert_eq!(fault(&other), Some(CodecError::UnknownSchema { found, known: T::SCHEMA }));
    }
    let refused_or_exact = |changed: Vec<u8>| {
        if let Ok(read) = codec::decode::<T>(&changed) {
            assert_eq!(codec::encode(&read).unwrap(), changed, "{read:?}");
        }
    };
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        *changed.get_mut(bit / 8).unwrap() ^= 1 << (bit % 8);
        refused_or_exact(changed);
    }
    for place in 2..bytes.len() {
        for length in [1_u64 << 16, 1 << 20, 1 << 32, 1 << 63, u64::MAX] {
            let mut changed = bytes.clone();
            changed.iter_mut().skip(place).zip(length.to_le_bytes()).for_each(|(byte, new)| *byte = new);
            refused_or_exact(changed);
        }
    }
}

#[test]
fn every_frame_and_every_way_to_spoil_it() {
    check(&Hello { time: UnixSeconds(1_780_290_000) });
    requests().iter().for_each(check);
    replies().iter().for_each(check);
}

/// A frame is what it was: kinds are only ever appended, and their fields stay. SHA-256 of the frames, one after the other,
/// of requests and of replies; who appends a kind appends a line.
#[test]
fn frames_are_frozen() {
    let digest = |frames: Vec<Vec<u8>>| {
        let digests = frames.iter().map(|frame| bhyt_core::ids::hex(&Sha256::digest(frame)[..4]));
        digests.collect::<Vec<_>>().join(" ")
    };
    let requests = requests().iter().map(|request| codec::encode(request).unwrap()).collect();
    assert_eq!(digest(requests), REQUESTS);
    let replies = replies().iter().map(|reply| codec::encode(reply).unwrap()).collect();
    assert_eq!(digest(replies), REPLIES);
    let hello = codec::encode(&Hello { time: UnixSeconds(1) }).unwrap();
    assert_eq!(hello, [1, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
}

/// Text in a frame is UTF-8, keys are points, codes are codes: a frame cannot hold what its types cannot.
#[test]
fn a_frame_holds_no_value_that_its_type_does_not() {
    let request = codec::encode(&requests()[0]).unwrap();
    let spoil = |at: usize, with: &[u8]| {
        let mut bytes = request.clone();
        bytes.splice(at..at + with.len(), with.iter().copied());
        codec::decode::<Request>(&bytes).is_err()
    };
    // The alias stands behind schema, kind and its length; the key behind alias and code and their lengths.
    assert!(spoil(14, &[0xff, 0xfe]), "no UTF-8");
    let key = 2 + 4 + 8 + 10 + 8 + 6;
    assert!(spoil(key, &[0; 32]) && spoil(key, &[0x02; 32]), "no point, or one of small order");
    let unknown = [&request[..2], &99_u32.to_le_bytes(), &request[6..]].concat();
    assert_eq!(codec::decode::<Request>(&unknown), Err(CodecError::Malformed));
    // The largest frame is one of its size, and no value makes a larger one.
    let most = FRAME_BYTES_MAX - 2 - 4 - 8;
    assert_eq!(codec::encode(&Reply::Trust(vec![0; most])).map(|frame| frame.len()), Ok(FRAME_BYTES_MAX));
    let too_large = codec::encode(&Reply::Trust(vec![0; FRAME_BYTES_MAX])).unwrap_err();
    assert!(matches!(too_large, CodecError::TooLarge { .. }));
}

const REQUESTS: &str = "\
    e7bda636 5053305f d86fa304 c7f344b0 cec9ff57 f0af9f04 441953ef 49f8b19b 7c6b8242 2b21613a 140c5ca7 \
    e013c0c6 1b552206 feed9e36 6ebbc6b4 7292bad8 3520a1ef fa11f2a9 ebd9309f d6a8f71b 156f01ee 564a9659 \
    49f51f10 f4ef2bfd 8fb72acf 022ab805 58efa64b d4aff6d3 7bfe8425 \
    113843be ba715783";
const REPLIES: &str = "\
    287a3387 52944e05 3147aa80 26cfd9d1 edb11923 7517b890 f22a78d7 27664aa8 20a9d73b 247ea9fc a9f30008 \
    c5415644 ec806569 4c91d42c b94f17cb 94f3f3ab 22a0cc21 1ff10410 cc96f600 53dbfb43 4c40ba19 db4bb042 \
    93cca949 ed12afa9 ca410cd6 675eadb8 fb4d89f5 fb335454 748989b4 11a1b923 79b2d9ca \
    cf28166c 5c39431d 375503f6 2a699666";
