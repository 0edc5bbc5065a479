//! Official records: their bytes stay readable, the largest of each kind fits, and a visit of any length is split into
//! records and comes back.

use bhyt_core::ids::{from_hex, hex};
use bhyt_core::limits::{
    ADJUSTMENTS_MAX, BODY_BYTES_MAX, CERTIFICATES_MAX, OTHER_DISEASES_MAX, VISIT_LINES_MAX, VISIT_PARTS_MAX,
};
use bhyt_core::record::{Body, BodyFault, RecordKind};
use bhyt_core::records::{
    Benefit, ContributionPeriod, CostLine, Fact, Lines, Money, Notice, SplitFault, Text, UnitPrice, Visit,
};
use bhyt_tests::facts;
use proptest::prelude::*;

/// Never edited, only added to: what was written once is read for ever.
const GOLDEN: &[(u16, &str, &str)] = &[
    (
        2,
        "aa01010282190252190257030104664843303939390578255472c6b0e1bb9d6e67205469e1bb83752068e1bb8d\
         63205468e1bbad204e676869e1bb876d066b4769c3a16f207669c3aa6e07781a5068c6b0e1bb9d6e67205468e1\
         bbad2c2054502e204de1baab75081a20813a6009198ef80a63564e44",
        "7eb07fe8daac2b4d2901657ada3d6eef",
    ),
    (
        3,
        "ac0103026c4cc6b0c6a16e672068c6b075036d313233342f51c4902d42485848046a323032332d31322d323005\
         67323032342d3031066432303430071a23c34600087242c6b07520c49169e1bb876e204de1baab75096d393930\
         303030303030303031370a781a4e67c3a26e2068c3a06e67205468e1bbad204e676869e1bb876d0b0c0c81a401\
         194dc1021a29209080036731352f50c4904304781d54c4836e6720313525207468656f206e6768e1bb8b20c491\
         e1bb8b6e68",
        "6fa40879ba3d3f803fadcd9aa10cd551",
    ),
    (
        4,
        "b401653939303234026e4c4b2d323032362d303030313233031a01c2c12f041a01c2d3e005781d5472e1baa16d\
         20792074e1babf207068c6b0e1bb9d6e67204de1baab75066a4b686f61204ee1bb99690778255669c3aa6d2064\
         e1baa12064c3a0792c206b68c3b46e6720c491e1bab763206869e1bb877508654b32392e370982634931306545\
         31312e390a675535352e3236310b6230330c64312e31310d020e010f6a323032362d30332d303510a9011a002d\
         c6c0021a00278f4f031a001fa5d9041a0007e976051a000637710600071a00278f4f0818640918c81181ac0166\
         34302e3537330270416d6f786963696c696e203530306d6703655669c3aa6e04195208051a0012d68706191f40\
         071a00278f4f081a001fa5d909000a000b1a0007e9760c62313512011381a4016f39393032342f32362f303030\
         313233020b03195025040114a4014807070707070707070250080808080808080808080808080808080303041a\
         69a94160",
        "d4ccb8c9cfadaf9c6c2b1045ba0d5af4",
    ),
    (
        6,
        "a30150d4ccb8c9cfadaf9c6c2b1045ba0d5af402010381ac016634302e3537330270416d6f786963696c696e20\
         3530306d6703655669c3aa6e04195208051a0012d68706191f40071a00278f4f081a001fa5d909000a000b1a00\
         07e9760c623135",
        "f515b6609392a430dafa0196ad70ca1e",
    ),
    (
        5,
        "a501500909090909090909090909090909090902775468e1babb2073e1baaf702068e1babf742068e1baa16e03\
         78445468e1babb2063e1bba76120c3b46e672f62c3a02068e1babf742068e1baa16e206e67c3a0792033312f31\
         322f323032362e0a0a4de1bb9d69206769612068e1baa16e2e041a692481000500",
        "1be6cc9bac981742cd725c78fca4057d",
    ),
];

#[test]
fn what_was_written_once_is_read_and_written_the_same() {
    for ((kind, bytes, source), fact) in GOLDEN.iter().zip(facts::facts()) {
        let body = Body::new(from_hex(bytes).unwrap()).unwrap();
        assert_eq!(Fact::decode(RecordKind::from(*kind), &body), Ok(fact), "{kind}: {source}");
    }
    let written = facts::facts().into_iter().map(|fact| {
        let (body, source) = (fact.encode().unwrap(), fact.source_key().unwrap());
        (fact.kind().number(), hex(body.as_bytes()), hex(&source.0))
    });
    let golden =
        GOLDEN.iter().map(|(kind, bytes, source)| (*kind, (*bytes).to_owned(), (*source).to_owned()));
    assert_eq!(golden.collect::<Vec<_>>(), written.collect::<Vec<_>>());
}

/// Longest texts and widest numbers everywhere.
fn longest<const MAX: usize>() -> Text<MAX> {
    facts::text(&"x".repeat(MAX))
}

fn widest() -> Money {
    facts::money("-9999999999999.99")
}

fn longest_line() -> CostLine {
    let price = UnitPrice::from_units(widest().units());
    let (code, name) = (longest(), longest());
    let all = Some(widest());
    CostLine {
        code,
        name,
        unit: Some(longest()),
        unit_price: price,
        amount: all,
        fund: all,
        other: all,
        own: all,
        co_payment: all,
        group: Some(longest()),
        ..facts::cost_line()
    }
}

fn longest_visit() -> Visit {
    let visit = facts::visit();
    let mut certificate = visit.certificates.first().expect("a certificate").clone();
    certificate.serial = longest();
    let mut totals = visit.totals.clone().expect("totals");
    totals.all = Some(widest());
    Visit {
        case: longest(),
        facility_name: Some(longest()),
        department: Some(longest()),
        diagnosis: Some(longest()),
        disease: Some(longest()),
        other_diseases: vec![longest(); OTHER_DISEASES_MAX],
        traditional: Some(longest()),
        care_form: Some(longest()),
        category: Some(longest()),
        totals: Some(totals),
        certificates: vec![certificate; CERTIFICATES_MAX],
        more_parts: None,
        lines: Vec::new(),
        ..visit
    }
}

#[test]
fn the_largest_of_each_kind_fits_into_a_body() {
    let period = ContributionPeriod {
        employer_code: Some(longest()),
        employer: Some(longest()),
        job: Some(longest()),
        workplace: Some(longest()),
        salary: Some(widest()),
        ..facts::contribution()
    };
    let benefit = facts::benefit();
    let mut slip = benefit.adjustments.first().unwrap().clone();
    (slip.amount, slip.number, slip.reason) = (widest(), Some(longest()), Some(longest()));
    let benefit = Benefit {
        regime: Some(longest()),
        decision: Some(longest()),
        payer: Some(longest()),
        account: Some(longest()),
        bank: Some(longest()),
        adjustments: vec![slip; ADJUSTMENTS_MAX],
        ..benefit
    };
    let notice = Notice { title: longest(), text: Lines::parse(&"x".repeat(3_072)), ..facts::notice() };
    let (visit, parts) = Visit { lines: vec![longest_line(); 3], ..longest_visit() }.split().unwrap();
    assert_eq!(
        (visit.lines.len(), parts.len()),
        (0, 2),
        "the longest visit has no room for the longest line"
    );
    let facts = [
        Fact::Contribution(period),
        Fact::Benefit(benefit),
        Fact::Visit(Box::new(visit)),
        Fact::Notice(notice),
    ];
    for fact in facts.into_iter().chain(parts.into_iter().map(Fact::VisitLines)) {
        let body = fact.encode().unwrap();
        assert_eq!(Fact::decode(fact.kind(), &body).unwrap(), fact);
    }
}

#[test]
fn a_visit_that_was_not_split_may_be_too_long_and_none_is_longer_than_any_stay() {
    let visit = Visit { lines: vec![longest_line(); 3], ..longest_visit() };
    let fault = Fact::Visit(Box::new(visit.clone())).encode();
    assert!(matches!(fault, Err(BodyFault::TooLong { limit: BODY_BYTES_MAX, .. })));
    let lines = |line: CostLine, count| Visit { lines: vec![line; count], ..visit.clone() }.split();
    assert_eq!(lines(facts::cost_line(), VISIT_LINES_MAX).unwrap().1.len(), 75);
    let got = VISIT_LINES_MAX + 1;
    assert_eq!(lines(facts::cost_line(), got), Err(SplitFault::TooManyLines { got }));
    let fault = lines(longest_line(), VISIT_LINES_MAX);
    assert!(matches!(fault, Err(SplitFault::TooManyParts { got }) if got > VISIT_PARTS_MAX), "{fault:?}");
}

#[test]
fn parts_of_other_visits_and_of_longer_revisions_are_left_out() {
    let many = vec![longest_line(); 9];
    let (long, parts) = Visit { lines: many, ..longest_visit() }.split().unwrap();
    let (short, fewer) = Visit { lines: vec![longest_line(); 3], ..longest_visit() }.split().unwrap();
    assert_eq!(long.source_key(), short.source_key());
    assert!(parts.len() > fewer.len());
    assert_eq!(
        short.join(&parts).lines.len(),
        parts.iter().take(fewer.len()).flat_map(|part| &part.lines).count()
    );
    let other = Visit { case: facts::text("another"), ..short };
    let joined = other.join(&parts);
    assert_eq!((joined.lines.len(), joined.missing_parts), (0, fewer.len()));
    let twice: Vec<_> = parts.iter().chain(&parts).cloned().collect();
    assert_eq!(long.join(&twice), long.join(&parts));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Whatever the lines, each record fits, no line is lost or moved, and no part has room for the next one's first line.
    #[test]
    fn a_visit_is_split_into_full_records_and_comes_back(
        names in prop::collection::vec("[a-zà-ỹ]{1,300}", 0..120),
        diagnosis in prop::option::of("[a-z]{1,900}"),
    ) {
        let line = |name: &String| CostLine { name: Text::shorten(name).unwrap(), ..facts::cost_line() };
        let lines: Vec<CostLine> = names.iter().map(line).collect();
        let diagnosis = diagnosis.map(|text| facts::text(&text));
        let visit = Visit { lines: lines.clone(), diagnosis, more_parts: None, ..facts::visit() };
        let (own, parts) = visit.clone().split().unwrap();
        prop_assert_eq!(usize::from(own.more_parts.unwrap_or_default()), parts.len());
        prop_assert_eq!(own.source_key(), visit.source_key());
        let joined = own.join(parts.iter().rev());
        prop_assert!(joined.lines.iter().copied().eq(&lines));
        prop_assert_eq!(joined.missing_parts, 0);
        let mut records = vec![Fact::Visit(Box::new(own.clone()))];
        records.extend(parts.iter().cloned().map(Fact::VisitLines));
        for (at, record) in records.iter().enumerate() {
            prop_assert!(record.encode().is_ok());
            if let Some(next) = parts.get(at).and_then(|part| part.lines.first()) {
                let mut fuller = record.clone();
                match &mut fuller {
                    Fact::Visit(visit) => visit.lines.push(next.clone()),
                    Fact::VisitLines(part) => part.lines.push(next.clone()),
                    _ => unreachable!(),
                }
                let bytes = fuller.encode().map(|body| body.as_bytes().len()).unwrap_or(usize::MAX);
                prop_assert!(bytes > BODY_BYTES_MAX - 8, "room was left in record {}", at);
            }
        }
        prop_assert_eq!(own.join(parts.iter().skip(1)).missing_parts, usize::from(!parts.is_empty()));
    }
}
