//! A life of records as registers hold it: names of employers, facilities, drugs and diseases as they are written, amounts
//! that add up, a case number that is nobody's. The same at every run; for figures of what travels and is kept. Synthetic
//! people only: facilities 99xxx, employers that do not exist.

use bhyt_core::card_record::{CardRecord, CardStanding};
use bhyt_core::ids::FacilityCode;
use bhyt_core::record::{Body, RecordKind};
use bhyt_core::records::{
    Benefit, BenefitKind, CivilTime, ContributionPeriod, CostLine, Fund, MinuteOfDay, Money, Month,
    MonthSpan, MonthStatus, Percent, Quantity, Text, TreatmentResult, UnitPrice, Visit, VisitTotals,
};

use crate::authority::{Authority, day, example_card};
use crate::dice::Dice;

/// The bodies of one card, 180 contribution periods, 40 benefits and 120 visits of six lines, in the order in which a
/// server would hold them.
pub fn bodies() -> Vec<(RecordKind, Body)> {
    let mut dice = Dice::new(2026);
    let credential = Authority::new(7).sign_card(example_card());
    let card = CardRecord { credential, standing: CardStanding::InForce }.encode();
    let periods = (0..180).map(|number| period(&mut dice, number).encode()).collect::<Vec<_>>();
    let benefits = (0..40).map(|number| benefit(&mut dice, number).encode()).collect::<Vec<_>>();
    let visits = (0..120).map(|number| visit(&mut dice, number).encode()).collect::<Vec<_>>();
    let of = |kind, bodies: Vec<Vec<u8>>| {
        bodies.into_iter().map(move |body| (kind, Body::new(body).expect("within its bound")))
    };
    of(RecordKind::Card, vec![card])
        .chain(of(RecordKind::ContributionPeriod, periods))
        .chain(of(RecordKind::Benefit, benefits))
        .chain(of(RecordKind::Visit, visits))
        .collect()
}

/// One more visit.
pub fn new_visit() -> Body {
    Body::new(visit(&mut Dice::new(99), 121).encode()).expect("within its bound")
}

fn period(dice: &mut Dice, number: i64) -> ContributionPeriod {
    let (quarter, fund) = (number / 4, number % 4);
    let from = Month::new(2014, 1).and_then(|first| first.plus(quarter * 3)).expect("a month");
    let (code, employer, job) = EMPLOYERS.get((quarter / 15) as usize).expect("three employers");
    let salary = 4_500_000 + quarter * 180_000 + dice.below(8) as i64 * 25_000;
    ContributionPeriod {
        fund: *Fund::ALL.get(fund as usize).expect("four funds"),
        months: MonthSpan::new(from, from.plus(2).expect("a month")).expect("in order"),
        status: MonthStatus::Counted,
        employer_code: text(code),
        employer: text(employer),
        job: text(job),
        workplace: text("Thành phố Hồ Chí Minh"),
        salary: Money::from_units(salary * 100),
        coefficient: None,
        currency: None,
    }
}

fn benefit(dice: &mut Dice, number: i64) -> Benefit {
    let (kind, regime) = *dice.pick(REGIMES);
    let began = day(2015, 3, 2).plus_days(number * 97 + dice.below(60) as i64);
    Benefit {
        kind,
        regime: text(regime),
        decision: text(&format!("{:05}/QĐ-BHXH", dice.below(99_999))),
        decided: Some(CivilTime::Day(began.plus_days(20))),
        from: Some(CivilTime::Day(began)),
        to: Some(CivilTime::Day(began.plus_days(1 + dice.below(30) as i64))),
        amount: Money::from_units((200_000 + dice.below(90) as i64 * 50_000) * 100),
        payer: text("Bảo hiểm xã hội cơ sở Bình Minh"),
        account: None,
        bank: None,
        months: None,
        adjustments: Vec::new(),
    }
}

fn visit(dice: &mut Dice, number: i64) -> Visit {
    let (facility, facility_name) = *dice.pick(FACILITIES);
    let (disease, diagnosis) = *dice.pick(DISEASES);
    let came = day(2016, 1, 5).plus_days(number * 30 + dice.below(28) as i64);
    let hour = 7 + dice.below(8) as u32;
    let minute = |hour: u32, dice: &mut Dice| {
        MinuteOfDay::new(came, hour, dice.below(60) as u32).map(CivilTime::Minute).expect("a minute")
    };
    let lines: Vec<CostLine> = (0..6).map(|at| line(dice, at)).collect();
    let sum = |of: fn(&CostLine) -> Option<Money>| {
        lines.iter().filter_map(of).try_fold(Money::default(), Money::plus)
    };
    Visit {
        facility: FacilityCode::parse(facility).expect("a code"),
        case: text(&format!("{facility}{:010}", dice.below(9_999_999_999))).expect("a case"),
        entered: minute(hour, dice),
        left: Some(minute(hour + 1, dice)),
        facility_name: text(facility_name),
        department: text("Khoa Khám bệnh"),
        diagnosis: text(diagnosis),
        disease: text(disease),
        other_diseases: text(dice.pick(DISEASES).0).into_iter().collect(),
        traditional: None,
        care_form: text("01"),
        category: text("1.1"),
        result: Some(TreatmentResult::Better),
        discharge: None,
        settled: Some(minute(hour + 1, dice)),
        totals: Some(VisitTotals {
            all: sum(|line| line.amount),
            in_scope: sum(|line| line.amount),
            fund: sum(|line| line.fund),
            co_payment: sum(|line| line.co_payment),
            ..VisitTotals::default()
        }),
        lines,
        more_parts: None,
        certificates: Vec::new(),
        recorded: None,
    }
}

/// Services first, then drugs.
fn line(dice: &mut Dice, at: usize) -> CostLine {
    let drug = at >= 2;
    let (code, name, price) = *dice.pick(if drug { DRUGS } else { SERVICES });
    let quantity = if drug { 7 * (1 + dice.below(4) as i64) } else { 1 };
    let amount = price * quantity;
    let money = |amount: i64| Money::from_units(amount * 100);
    CostLine {
        code: text(code).expect("a code"),
        name: text(name).expect("a name"),
        unit: text(if drug { "Viên" } else { "Lần" }),
        quantity: Quantity::parse(&quantity.to_string()),
        unit_price: UnitPrice::parse(&price.to_string()),
        rate: Percent::parse("80"),
        amount: money(amount),
        fund: money(amount * 4 / 5),
        other: None,
        own: None,
        co_payment: money(amount - amount * 4 / 5),
        group: text(if drug { "4" } else { "1" }),
    }
}

fn text<const MAX: usize>(text: &str) -> Option<Text<MAX>> {
    Some(Text::normalise(text).expect("text within its bound"))
}

const EMPLOYERS: &[(&str, &str, &str)] = &[
    ("TZ9901A", "Công ty TNHH May mặc Phương Đông Thử", "Công nhân may công nghiệp"),
    ("TZ9914B", "Công ty Cổ phần Thực phẩm Sao Mai Thử", "Nhân viên kiểm tra chất lượng"),
    ("HC9920C", "Trường Tiểu học Hoa Phượng Thử", "Nhân viên thư viện"),
];
const REGIMES: &[(BenefitKind, &str)] = &[
    (BenefitKind::ShortTerm, "Trợ cấp ốm đau"),
    (BenefitKind::ShortTerm, "Trợ cấp thai sản"),
    (BenefitKind::ShortTerm, "Dưỡng sức, phục hồi sức khoẻ sau ốm đau"),
    (BenefitKind::OneOff, "Trợ cấp một lần khi sinh con"),
    (BenefitKind::Unemployment, "Trợ cấp thất nghiệp"),
];
const FACILITIES: &[(&str, &str)] = &[
    ("99001", "Bệnh viện Đa khoa Bình Minh Thử"),
    ("99014", "Trạm Y tế phường Tân Thuận Thử"),
    ("99120", "Bệnh viện Nhân dân Hòa Bình Thử"),
    ("99033", "Phòng khám Đa khoa Sông Xanh Thử"),
];
const DISEASES: &[(&str, &str)] = &[
    ("I10", "Tăng huyết áp vô căn (nguyên phát)"),
    ("E11", "Bệnh đái tháo đường không phụ thuộc insulin"),
    ("J06", "Nhiễm trùng đường hô hấp trên cấp ở nhiều vị trí hoặc vị trí không xác định"),
    ("K29", "Viêm dạ dày và tá tràng"),
    ("J20", "Viêm phế quản cấp"),
    ("M54", "Đau lưng"),
    ("E78", "Rối loạn chuyển hóa lipoprotein và tình trạng tăng lipid máu khác"),
    ("K21", "Bệnh trào ngược dạ dày – thực quản"),
    ("H10", "Viêm kết mạc"),
    ("M17", "Thoái hóa khớp gối"),
    ("N39", "Các rối loạn khác của hệ tiết niệu"),
];
const SERVICES: &[(&str, &str, i64)] = &[
    ("02.1896", "Khám Nội", 39_800),
    ("03.18", "Khám Tai mũi họng", 39_800),
    ("22.0120.1370", "Tổng phân tích tế bào máu ngoại vi (bằng máy đếm laser)", 47_500),
    ("23.0075.1494", "Định lượng Glucose [Máu]", 22_000),
    ("23.0051.1494", "Định lượng Creatinin (máu)", 22_000),
    ("23.0020.1493", "Đo hoạt độ AST (GOT) [Máu]", 22_000),
    ("18.0015.0001", "Siêu âm ổ bụng", 49_300),
    ("18.0119.0028", "Chụp Xquang ngực thẳng", 68_300),
    ("02.0085.1778", "Điện tim thường", 37_900),
    ("02.0305.0135", "Nội soi thực quản, dạ dày, tá tràng không sinh thiết", 276_500),
    ("23.0206.1596", "Tổng phân tích nước tiểu (bằng máy tự động)", 28_600),
];
const DRUGS: &[(&str, &str, i64)] = &[
    ("40.48", "Paracetamol (acetaminophen) 500 mg", 480),
    ("40.154", "Amoxicilin 500 mg", 1_150),
    ("40.491", "Amlodipin 5 mg", 390),
    ("40.807", "Metformin hydroclorid 850 mg", 760),
    ("40.520", "Losartan kali 50 mg", 1_020),
    ("40.677", "Omeprazol 20 mg", 690),
    ("40.549", "Atorvastatin 20 mg", 940),
    ("40.184", "Cefuroxim 250 mg", 3_300),
    ("40.67", "Alphachymotrypsin 4.200 đơn vị", 620),
    ("40.803", "Gliclazid 30 mg (giải phóng kéo dài)", 2_450),
    ("40.493", "Bisoprolol fumarat 2,5 mg", 890),
    ("40.87", "Cetirizin dihydroclorid 10 mg", 350),
    ("40.41", "Meloxicam 7,5 mg", 520),
    ("40.998", "Acetylcystein 200 mg", 980),
    ("40.503", "Perindopril arginin 5 mg", 5_650),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_is_as_long_as_it_says_and_the_same_each_time() {
        let bodies = bodies();
        let count = |of| bodies.iter().filter(|(kind, _)| *kind == of).count();
        let kinds =
            [RecordKind::Card, RecordKind::ContributionPeriod, RecordKind::Benefit, RecordKind::Visit];
        assert_eq!(kinds.map(count), [1, 180, 40, 120]);
        assert_eq!(bodies, super::bodies());
        for (_, body) in bodies.iter().filter(|(kind, _)| *kind == RecordKind::Visit) {
            assert_eq!(Visit::decode(body.as_bytes()).expect("a visit").lines.len(), 6);
        }
    }
}
