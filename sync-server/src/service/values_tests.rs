//! Golden bytes of stored values: never edited, only added.

use bhyt_core::codec;
use bhyt_core::keys::SecretKey;
use bhyt_core::presentation_key::{KeyKind, PresentationSecret};
use bhyt_core::record::{Body, PageSeed, Record, RecordKind};

use super::*;
use crate::service::golden::check;

fn public(seed: u8) -> PublicKey {
    SecretKey::from_seed(&[seed; 32]).public_key()
}

fn page() -> FeedPage {
    let mut page = FeedPage::new(Seq(0), PageSeed([1; 32]));
    let body = Body::new(vec![0xa0]).unwrap();
    page.push(Record::first(Seq(0), RecordKind::Card, body, UnixSeconds(2))).unwrap();
    page
}

fn facts() -> CardFactsV1 {
    CardFactsV1 {
        number: CardNumber::parse("DN4999900000017").unwrap(),
        valid_from: Day::from_days(20_454).unwrap(),
        valid_to: None,
        issued_at: UnixSeconds(9),
        social_number: SocialNumber::parse("9900000017").unwrap(),
        full_name: FullName::parse("An").unwrap(),
        birth_date: BirthDate::Year(1990),
        sex: Sex::Female,
        facility: FacilityCode::parse("79024").unwrap(),
        five_years: Day::from_days(1),
        area: LivingArea::parse("K1"),
        level: BenefitLevel::new(4).unwrap(),
        status_index: StatusIndex(7),
    }
}

fn p256() -> PresentationKey {
    PresentationSecret::from_bytes(KeyKind::P256, &[1; 32]).unwrap().public_key()
}

fn binding(key: PresentationKey) -> BindingV2 {
    BindingV2 {
        number: BindingNumber::new(5).unwrap(),
        device: KeyId([6; 8]),
        key,
        end: Day::from_days(20_634).unwrap(),
        credential: vec![0xd2, 0x84],
        signed_by: KeyId([7; 8]),
    }
}

fn card_details(bindings: Vec<BindingV2>) -> CardDetailsV2 {
    CardDetailsV2 {
        facts: facts(),
        standing: CardStanding::Held,
        credential: vec![0xd2],
        first_seq: Seq(3),
        revision: 4,
        bindings,
        retired: vec![(BindingNumber::new(8).unwrap(), Day::from_days(20_633).unwrap())],
        successor: CardNumber::parse("9900000017"),
    }
}

fn held(presentation_key: PresentationKey) -> HeldMemberV2 {
    HeldMemberV2 { member: MemberId([2; 16]), presentation_key, activated: UnixSeconds(4) }
}

fn device(members: Vec<HeldMemberV2>) -> DeviceV2 {
    let (activated, retired) = (UnixSeconds(5), Some(UnixSeconds(6)));
    DeviceV2 { transport_key: public(1), members, activated, retired }
}

/// What a server wrote before presentation keys had a kind.
#[test]
fn older_bytes_are_read_as_what_took_their_place() {
    let bytes = |golden: &str| bhyt_core::ids::from_hex(golden).unwrap();
    let card = bytes(
        "69000f00000000000000444e34393939393030303030303137e64f00000009000000000000000a000000000000003939\
         30303030303031370200000000000000416e02000000c607020000000500000000000000373930323401010000000102\
         000000000000004b310407000000040000000100000000000000d2030000000000000004000000010000000000000005\
         06060606060606068a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c9a50000002000000\
         00000000d284070707070707070701000000000000000899500000010a0000000000000039393030303030303137",
    );
    assert!(codec::decode(&card) == Ok(card_details(vec![binding(public(1).into())])));
    let phone = bytes(
        "6a008a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c0100000000000000020202020202\
         02020202020202020202ed4928c628d1c2c6eae90338905995612959273a5c63f93636c14614ac8737d1040000000000\
         00000500000000000000010600000000000000",
    );
    assert_eq!(codec::decode(&phone), Ok(device(vec![held(public(3).into())])));
    for unknown in [104, 107, 999_u16] {
        let bytes = [&unknown.to_le_bytes(), phone.get(2..).unwrap()].concat();
        let fault = CodecError::UnknownSchema { found: unknown, known: 120 };
        assert_eq!(codec::decode::<DeviceV2>(&bytes), Err(fault));
    }
    assert_eq!(codec::decode::<DeviceV2>(phone.get(..40).unwrap()), Err(CodecError::Malformed));
}

#[test]
fn members_are_these_bytes() {
    check(
        &MemberDetailsV1 {
            social_number: SocialNumber::parse("9900000017").unwrap(),
            personal_number: PersonalNumber::parse("099194000017"),
            full_name: FullName::parse("An").unwrap(),
            birth_date: BirthDate::Month { year: 1990, month: 2 },
            sex: Sex::Male,
            phone: "1".into(),
            address: String::new(),
            cards: vec![StatusIndex(7)],
            devices: vec![KeyId([9; 8])],
        },
        "66000a0000000000000039393030303030303137010c0000000000000030393931393430303030313702000000000000\
         00416e01000000c607020100000001000000000000003100000000000000000100000000000000070000000100000000\
         0000000909090909090909",
    );
    check(&AliasV1::Member(MemberId([1; 16])), "67000000000001010101010101010101010101010101");
    check(
        &AliasV1::Card { member: MemberId([1; 16]), index: StatusIndex(2) },
        "6700010000000101010101010101010101010101010102000000",
    );
}

#[test]
fn cards_are_these_bytes() {
    check(
        &CardV1 { member: MemberId([1; 16]), sealed: vec![2, 3] },
        "68000101010101010101010101010101010102000000000000000203",
    );
    check(
        &card_details(vec![binding(public(1).into()), binding(p256())]),
        "77000f00000000000000444e34393939393030303030303137e64f00000009000000000000000a000000000000003939\
         30303030303031370200000000000000416e02000000c607020000000500000000000000373930323401010000000102\
         000000000000004b310407000000040000000100000000000000d2030000000000000004000000020000000000000005\
         0606060606060606000000008a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c9a500000\
         0200000000000000d284070707070707070705060606060606060601000000006ff03b949241ce1dadd43519e6960e0a\
         85b41a69a05c328103aa2bce1594ca169a5000000200000000000000d284070707070707070701000000000000000899\
         500000010a0000000000000039393030303030303137",
    );
}

#[test]
fn key_holders_are_these_bytes() {
    check(
        &device(vec![held(public(3).into()), held(p256())]),
        "78008a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c0200000000000000020202020202\
         0202020202020202020200000000ed4928c628d1c2c6eae90338905995612959273a5c63f93636c14614ac8737d10400\
         0000000000000202020202020202020202020202020201000000006ff03b949241ce1dadd43519e6960e0a85b41a69a0\
         5c328103aa2bce1594ca1604000000000000000500000000000000010600000000000000",
    );
    check(
        &TerminalV1 {
            transport_key: public(1),
            terminal_key: public(2),
            facility: FacilityCode::parse("79024").unwrap(),
            enrolled: UnixSeconds(3),
            retired: None,
        },
        "6b008a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c8139770ea87d175f56a35466c34c\
         7ecccb8d8a91b4ee37a25df60f5b8fc9b39405000000000000003739303234030000000000000000",
    );
}

#[test]
fn operations_are_these_bytes() {
    check(
        &OperationV1 { command_hash: [1; 32], answer: OperationAnswerV1::Applied },
        "6e00010101010101010101010101010101010101010101010101010101010101010100000000",
    );
    check(
        &OperationV1 { command_hash: [1; 32], answer: OperationAnswerV1::Code { expires: UnixSeconds(2) } },
        "6e000101010101010101010101010101010101010101010101010101010101010101010000000200000000000000",
    );
}

#[test]
fn counters_are_these_bytes() {
    check(
        &SlotV1 { members: 1, cards: 2, next: 3, end: 4 },
        "6f000100000000000000020000000000000003000000000000000400000000000000",
    );
    check(&CardCounterV1 { next: 64 }, "70004000000000000000");
}

#[test]
fn status_documents_are_these_bytes() {
    check(&StatusEntryV1 { until: Day::from_days(20_454) }, "710001e64f0000");
    check(
        &StatusChangeV1 {
            changes: vec![
                EntryChangeV1 { set: 3, value: 7, change: EntryChange::Removed },
                EntryChangeV1 { set: 1, value: 7, change: EntryChange::Added { until: None } },
            ],
        },
        "72000200000000000000030700000000000000010000000107000000000000000000000000",
    );
    check(
        &StatusVersionV1 { time: UnixSeconds(1), key: KeyId([2; 8]), changes: 3, covered: 65_536 },
        "73000100000000000000020202020202020203000000000000000000010000000000",
    );
}

#[test]
fn feeds_are_these_bytes() {
    check(
        &FeedHeadV1 {
            signed: vec![0xd2],
            signed_by: KeyId([1; 8]),
            time: UnixSeconds(2),
            frontier: vec![0; 8],
            last_page: 32,
        },
        "75000100000000000000d2010101010101010102000000000000000800000000000000000000000000000020000000",
    );
    check(
        &PageV1(page()),
        "760000000000000000000000000001010101010101010101010101010101010101010101010101010101010101010100\
         00000000000001000000000000000000000000000200000000000000000000000100000000000000a0",
    );
}
