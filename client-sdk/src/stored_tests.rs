//! Stored values of phone and terminal: golden bytes, and what harmed ones come to.

use super::*;
use bhyt_core::feed::{Epoch, Extent};
use bhyt_core::grant::Grant;
use bhyt_core::ids::{MemberId, from_hex, hex};
use bhyt_core::keys::{KeyId, SecretKey};
use bhyt_core::merkle::TreeHash;
use bhyt_core::presentation::ReplayKey;
use bhyt_core::record::{Body, PageSeed, Record, RecordKind, Seq};
use bhyt_core::status::StatusVersion;
use bhyt_platform::memory_kv::MemoryKv;

#[test]
fn long_values_come_back_and_a_shorter_one_replaces_a_longer() {
    let store = MemoryKv::new();
    for length in [TRUST_BYTES_MAX, VALUE_BYTES_MAX, VALUE_BYTES_MAX + 1, 1, 0] {
        let mut batch = Batch::new();
        put_long(&mut batch, b"t", &vec![7; length]).unwrap();
        store.commit(batch).unwrap();
        assert_eq!(read_long(&store, b"t").unwrap().unwrap().len(), length);
    }
    assert!(read_long(&store, b"u").unwrap().is_none());
}

/// Golden bytes: never edited, only added. Cut, longer, of another schema or with a bit changed, they are refused, or are a
/// value that has exactly the changed bytes.
fn check<T: Schema + PartialEq + std::fmt::Debug>(value: &T, golden: &str) {
    let bytes = codec::encode(value).unwrap();
    assert_eq!(hex(&bytes), golden);
    assert_eq!(codec::decode::<T>(&bytes).as_ref(), Ok(value));
    let fault = |bytes: &[u8]| codec::decode::<T>(bytes).err();
    for cut in 0..bytes.len() {
        assert_eq!(fault(&bytes[..cut]), Some(CodecError::Malformed), "cut at {cut}");
    }
    assert_eq!(fault(&[&bytes[..], &[0]].concat()), Some(CodecError::Malformed));
    let limit = T::BYTES_MAX;
    assert_eq!(fault(&vec![0; limit + 1]), Some(CodecError::TooLarge { limit, got: limit + 1 }));
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        if let Ok(value) = codec::decode::<T>(&changed) {
            assert_eq!(codec::encode(&value).unwrap(), changed, "bit {bit}");
        }
    }
}

fn head() -> FeedHead {
    FeedHead {
        member: MemberId([1; 16]),
        extent: Extent { epoch: Epoch(2), size: 3 },
        root: TreeHash([4; 32]),
        time: UnixSeconds(5),
    }
}

/// The bytes of [`head`].
fn head_hex() -> String {
    let (member, root) = ("01".repeat(16), "04".repeat(32));
    format!("{member}02000000000000000300000000000000{root}0500000000000000")
}

#[test]
fn what_both_keep_is_these_bytes() {
    check(&StoredServer { address: "h:1".to_owned() }, "64000300000000000000683a31");
    let progress = StoredProgress {
        last_success: Some(UnixSeconds(1)),
        server_ahead_seconds: Some(-2),
        problem: Some(Problem::Untrusted),
    };
    check(&progress, "6a0001010000000000000001feffffffffffffff0107000000");
    check(&StoredProgress::default(), "6a00000000");
    check(&StoredLength { bytes: 0x1_0002 }, "700002000100");
}

#[test]
fn what_a_phone_keeps_is_these_bytes() {
    let member = StoredMember { wrapped_key: vec![7, 8], activated_at: UnixSeconds(9) };
    check(&member, "6500020000000000000007080900000000000000");
    check(&StoredMark { head: head() }, &format!("6600{}", head_hex()));
    let cursor = StoredCursor { generation: 6, head: head(), signed_head: vec![0xd2] };
    check(&cursor, &format!("670006000000{}0100000000000000d2", head_hex()));
    let mut page = FeedPage::new(Seq(3), PageSeed([5; 32]));
    page.push(Record::first(Seq(3), RecordKind::Card, Body::new(vec![0xa0]).unwrap(), UnixSeconds(2)))
        .unwrap();
    let seed = "05".repeat(32);
    check(
        &StoredPage { page },
        &format!(
            "6800030000000000000000000000{seed}010000000000000001000300000000000000000000000200000000000000\
             000000000100000000000000a0"
        ),
    );
    let credentials = StoredCredentials { credentials: vec![vec![0xd2, 0x84], vec![]] };
    check(&credentials, "690002000000000000000200000000000000d2840000000000000000");
    let cards = StoredCards { records: Vec::new(), credentials: vec![vec![7; 2]] };
    check(&cards, "74000000000000000000010000000000000002000000000000000707");
    let key = "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c";
    let presentation_key = SecretKey::from_seed(&[1; 32]).public_key().into();
    let proof =
        ProofBytes { time: UnixSeconds(5), nonce: [1; 4], signature_r: [2; 32], signature_s: [3; 32] };
    let (r, s) = ("02".repeat(32), "03".repeat(32));
    let golden = format!("750000000000{key}050000000000000001010101{r}{s}");
    check(&StoredPossession { presentation_key, proof }, &golden);
    let grant = Grant {
        dependant: MemberId([1; 16]),
        carer: MemberId([2; 16]),
        scope: bhyt_core::grant::GrantScope::Card,
        relation: bhyt_core::grant::GrantRelation::Other,
        from: UnixSeconds(0).day(),
        until: UnixSeconds(86_400).day(),
        time: UnixSeconds(5),
    };
    let (dependant, carer) = ("01".repeat(16), "02".repeat(16));
    let golden =
        format!("7600{dependant}{carer}00000000040000000000000001000000050000000000000002000000000000000607");
    check(&StoredGrant { grant, signed: vec![6, 7] }, &golden);
    check(&StoredHead { signed: vec![7; 2] }, "720002000000000000000707");
    let fork = StoredFork { time: UnixSeconds(3), disputed: vec![8], held: Some(vec![9]) };
    check(&fork, "7300030000000000000001000000000000000801010000000000000009");
    let longest = vec![0; HEAD_BYTES_MAX];
    let fork = StoredFork { disputed: longest.clone(), held: Some(longest), ..fork };
    assert!(codec::encode(&fork).is_ok());
}

#[test]
fn what_a_terminal_keeps_is_these_bytes() {
    let facility = FacilityCode::parse("99024").unwrap();
    let enrolment = StoredEnrolment { facility, enrolled_at: UnixSeconds(4) };
    check(&enrolment, "6b00050000000000000039393032340400000000000000");
    check(&StoredSeenKey { wrapped_key: vec![1] }, "7100010000000000000001");
    let proof = StoredProof { proof: SeenProof { key: ReplayKey([6; 32]), time: UnixSeconds(7) } };
    check(&proof, &format!("6d00{}0700000000000000", "06".repeat(32)));
    check(&StoredForgotten { before: UnixSeconds(8) }, "6e000800000000000000");
    let seen = StoredSeenCard { sealed: vec![3, 4], seen_at: UnixSeconds(5) };
    check(&seen, "6f00020000000000000003040500000000000000");
    check(&StoredMarks::default(), "6c000000000000000000");
    // One mark: key id, epoch, number, time.
    let golden = format!("6c000100000000000000{}0200000003000000000000000400000000000000", "09".repeat(8));
    let marks: StoredMarks = codec::decode(&from_hex(&golden).unwrap()).unwrap();
    let mark = marks.marks.status(KeyId([9; 8])).unwrap();
    assert_eq!((mark.version, mark.time), (StatusVersion { epoch: 2, number: 3 }, UnixSeconds(4)));
    check(&marks, &golden);
}

/// What the parts of a long value say and what its length says are held against each other.
#[test]
fn a_long_value_with_other_parts_is_refused() {
    let long = |length: u32, parts: &[usize]| {
        let (store, mut batch) = (MemoryKv::new(), Batch::new());
        put(&mut batch, b"t", &StoredLength { bytes: length }).unwrap();
        for (number, part) in (0_u8..).zip(parts) {
            batch.put(&part_key(b"t", number), &vec![7; *part]).unwrap();
        }
        store.commit(batch).unwrap();
        read_long(&store, b"t").map(|bytes| bytes.map(|bytes| bytes.len()))
    };
    let whole = VALUE_BYTES_MAX;
    assert_eq!(long(0, &[]).unwrap(), Some(0));
    assert_eq!(long(whole as u32 + 1, &[whole, 1]).unwrap(), Some(whole + 1));
    for (length, parts) in [
        (1, &[][..]),
        (2, &[1]),
        (1, &[2]),
        (whole as u32 + 1, &[whole]),
        (whole as u32 + 2, &[whole, 1]),
        (u32::MAX, &[whole; 11]),
        (11 * whole as u32 + 1, &[&[whole; 11][..], &[1]].concat()),
    ] {
        assert!(matches!(long(length, parts), Err(StoredError::Store(_) | StoredError::Parts)), "{length}");
    }
}
