//! What a clerk reads beside a verdict: Vietnamese first, English beside it. Short sentences, no codes, what to do next.

use crate::card::CardClaims;
use crate::card_record::CardStanding;
use crate::ids::Sex;
use crate::verdict::{
    Accept, AcceptNote, Basis, Freshness, Holder, Outcome, RejectReason, Successor, UndecidedReason,
    UnprovenReason, Verdict,
};

/// One text in both languages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// Tiếng Việt.
    pub vi: String,
    /// English.
    pub en: String,
}

impl Words {
    pub(crate) fn new(vi: &str, en: &str) -> Self {
        Self { vi: vi.to_owned(), en: en.to_owned() }
    }
}

/// The headline: one of three, and of two where the card is good: the full green is for a proven holder.
pub fn headline(verdict: &Verdict) -> Words {
    match verdict.outcome() {
        Outcome::Accept(Accept { holder: Holder::Proven(_), .. }) => Words::new("HỢP LỆ", "VALID"),
        Outcome::Accept(_) => Words::new("HỢP LỆ – ĐỐI CHIẾU GIẤY TỜ", "VALID – CHECK A PHOTO DOCUMENT"),
        Outcome::Reject(_) => Words::new("KHÔNG HỢP LỆ", "NOT VALID"),
        Outcome::Undecided(_) => Words::new("CHƯA XÁC MINH ĐƯỢC", "NOT VERIFIED"),
    }
}

/// Why, in one sentence.
pub fn reason(verdict: &Verdict) -> Words {
    match verdict.outcome() {
        Outcome::Accept(accept) => match accept.holder {
            Holder::Proven(basis) => proven(basis),
            Holder::Unproven(reason) => unproven(reason),
        },
        Outcome::Reject(reason) => rejected(reason),
        Outcome::Undecided(reason) => undecided(reason),
    }
}

/// What to do next.
pub fn advice(verdict: &Verdict) -> Words {
    match verdict.outcome() {
        Outcome::Accept(accept) => {
            let next = match accept.holder {
                Holder::Proven(_) => Words::new("Tiếp nhận người bệnh.", "Admit the patient."),
                Holder::Unproven(_) => Words::new(
                    "Thẻ hợp lệ – đối chiếu giấy tờ có ảnh.",
                    "Card valid – compare a photo document.",
                ),
            };
            match accept.note.map(noted) {
                Some(note) => {
                    Words { vi: format!("{} {}", note.vi, next.vi), en: format!("{} {}", note.en, next.en) }
                }
                None => next,
            }
        }
        Outcome::Reject(RejectReason::BadProof | RejectReason::BadSignature | RejectReason::Malformed) => {
            Words::new(
                "Đề nghị người bệnh mở lại thẻ trong ứng dụng hoặc xuất trình giấy tờ khác.",
                "Ask the patient to open the card in the app again, or for another document.",
            )
        }
        Outcome::Reject(RejectReason::Superseded) => {
            Words::new("Đề nghị người bệnh mở thẻ mới.", "Ask the patient for the new card.")
        }
        Outcome::Reject(_) => Words::new(
            "Giải thích cho người bệnh; liên hệ cơ quan BHXH nếu có thắc mắc.",
            "Explain to the patient; the social-insurance agency answers questions.",
        ),
        Outcome::Undecided(_) => Words::new(
            "Tiếp nhận người bệnh, ghi lại số thẻ, kiểm tra lại sau.",
            "Admit the patient, note the card number, check again later.",
        ),
    }
}

/// How new the knowledge is; `None` when it is fresh or plays no part.
pub fn freshness(verdict: &Verdict) -> Option<Words> {
    let Outcome::Accept(accept) = verdict.outcome() else {
        return None;
    };
    let Freshness::Stale { age_seconds } = accept.freshness else {
        return None;
    };
    let days = (age_seconds / 86_400).max(1);
    Some(Words {
        vi: format!("Danh sách trạng thái đã {days} ngày chưa cập nhật."),
        en: format!("The status list is {days} day(s) old."),
    })
}

/// The name of a card's standing as the member sees it.
pub fn standing(standing: CardStanding) -> Words {
    match standing {
        CardStanding::InForce => Words::new("Đang có hiệu lực", "In force"),
        CardStanding::Withdrawn => Words::new("Đã thu hồi", "Withdrawn"),
        CardStanding::Reduced(_) => Words::new("Đã báo giảm", "Reported reduced"),
        CardStanding::Superseded => Words::new("Đã cấp thẻ mới", "Superseded by a new card"),
        CardStanding::Held => Words::new("Tạm giữ", "Held"),
    }
}

/// The rows of a card as it is shown: label in both languages, value.
pub fn card_rows(card: &CardClaims) -> Vec<(Words, String)> {
    let until = card.valid_to.map_or_else(|| "không thời hạn / open-ended".to_owned(), |day| day.to_string());
    let mut rows = vec![
        (Words::new("Họ và tên", "Full name"), card.full_name.as_str().to_owned()),
        (Words::new("Ngày sinh", "Birth date"), card.birth_date.to_string()),
        (Words::new("Giới tính", "Sex"), sex(card.sex).to_owned()),
        (Words::new("Số thẻ BHYT", "Card number"), card.number.as_str().to_owned()),
        (Words::new("Mã số BHXH", "Insurance number"), card.social_number.as_str().to_owned()),
        (Words::new("Nơi ĐK KCB ban đầu", "Initial facility"), card.facility.as_str().to_owned()),
        (Words::new("Mức hưởng", "Benefit level"), card.level.value().to_string()),
        (Words::new("Giá trị sử dụng", "Valid"), format!("{} – {until}", card.valid_from)),
    ];
    if let Some(day) = card.five_years {
        rows.push((Words::new("Thời điểm đủ 5 năm liên tục", "Five continuous years"), day.to_string()));
    }
    if let Some(area) = &card.area {
        rows.push((Words::new("Nơi sinh sống", "Living area"), area.as_str().to_owned()));
    }
    rows
}

fn sex(sex: Sex) -> &'static str {
    match sex {
        Sex::Unknown => "Chưa xác định / Unknown",
        Sex::Male => "Nam / Male",
        Sex::Female => "Nữ / Female",
    }
}

fn proven(basis: Basis) -> Words {
    match basis {
        Basis::Clock => Words::new("Thẻ hợp lệ, đúng người giữ thẻ.", "Card valid, holder proven."),
        Basis::Challenge => Words::new(
            "Thẻ hợp lệ, đúng người giữ thẻ (đã trả lời mã của máy này).",
            "Card valid, holder proven (answered this terminal's challenge).",
        ),
    }
}

fn unproven(reason: UnprovenReason) -> Words {
    let (vi, en) = match reason {
        UnprovenReason::NoProof => {
            ("Thẻ in, không có bằng chứng trực tiếp.", "A printed card, without a live proof.")
        }
        UnprovenReason::ProofStale => (
            "Mã đã cũ: ảnh chụp màn hình, hoặc đồng hồ điện thoại chạy chậm.",
            "The code is old: a screenshot, or a phone whose clock is behind.",
        ),
        UnprovenReason::ProofFromFuture => ("Đồng hồ điện thoại chạy nhanh.", "The phone's clock is ahead."),
        UnprovenReason::ProofSeenBefore => ("Mã này đã được dùng.", "This code was used before."),
        UnprovenReason::DeviceRetired => {
            ("Điện thoại này không còn được giữ thẻ.", "This phone no longer holds the card.")
        }
        UnprovenReason::BindingEnded => (
            "Điện thoại đã lâu chưa đồng bộ; cần nối mạng một lần.",
            "The phone has not synced for long; it needs the network once.",
        ),
        UnprovenReason::ClockUntrusted => {
            ("Đồng hồ của máy này sai; hãy chỉnh lại.", "This terminal's clock is wrong; set it.")
        }
        UnprovenReason::ChallengeUnanswered => (
            "Mã này không trả lời mã của máy này; hãy quét lại sau khi điện thoại đọc mã.",
            "This code does not answer this terminal's challenge; scan again after the phone has read it.",
        ),
    };
    Words::new(vi, en)
}

fn noted(note: AcceptNote) -> Words {
    let (vi, en) = match note {
        AcceptNote::Superseded(Successor::NotSeen) => (
            "Thẻ cũ còn giá trị; đã cấp thẻ mới – đề nghị người bệnh cập nhật ứng dụng.",
            "The old card still stands; a new one was issued – ask the patient to sync.",
        ),
        AcceptNote::Superseded(Successor::InHand) => (
            "Thẻ cũ còn giá trị; dùng dữ liệu của thẻ mới.",
            "The old card still stands; use the data of the new one.",
        ),
        AcceptNote::ArmyManaged => (
            "Thẻ do BHXH Bộ Quốc phòng quản lý: kiểm tra thẻ và giấy tờ tùy thân.",
            "Managed by the army: check the card and an identity document.",
        ),
        AcceptNote::PoliceManaged => (
            "Thẻ do BHXH Bộ Công an quản lý: kiểm tra thẻ và giấy tờ tùy thân.",
            "Managed by the police: check the card and an identity document.",
        ),
    };
    Words::new(vi, en)
}

fn rejected(reason: RejectReason) -> Words {
    let (vi, en) = match reason {
        RejectReason::Malformed => ("Không phải mã thẻ BHYT có chữ ký số.", "Not a signed card code."),
        RejectReason::BadSignature => {
            ("Chữ ký số không đúng: thẻ giả hoặc bị sửa.", "The signature is wrong: forged or changed.")
        }
        RejectReason::Withdrawn => ("Thẻ đã thu hồi.", "The card was withdrawn."),
        RejectReason::Reduced(_) => ("Thẻ đã báo giảm.", "The card was reported reduced."),
        RejectReason::NotYetValid => ("Thẻ chưa đến ngày có giá trị.", "The card is not valid yet."),
        RejectReason::Expired => ("Thẻ hết giá trị sử dụng.", "The card has expired."),
        RejectReason::Superseded => {
            ("Thẻ cũ hết giá trị, đã cấp thẻ mới.", "The old card is over; a new one was issued.")
        }
        RejectReason::BadProof => {
            ("Bằng chứng không do điện thoại của thẻ tạo ra.", "The proof was not made by the card's phone.")
        }
    };
    Words::new(vi, en)
}

fn undecided(reason: UndecidedReason) -> Words {
    let (vi, en) = match reason {
        UndecidedReason::NeedsUpdate => {
            ("Máy này cần cập nhật phần mềm.", "This terminal needs a newer version.")
        }
        UndecidedReason::UnknownKey => {
            ("Máy này chưa biết khóa ký của thẻ.", "This terminal does not know the card's key.")
        }
        UndecidedReason::NotCovered => {
            ("Danh sách trạng thái chưa nói về thẻ này.", "The status list does not speak of this card.")
        }
        UndecidedReason::ClockUntrusted => {
            ("Đồng hồ của máy này không tin được.", "This terminal's clock cannot be trusted.")
        }
        UndecidedReason::Held => ("Thẻ đang tạm giữ.", "The card is held."),
        UndecidedReason::StatusTooOld => {
            ("Danh sách trạng thái quá cũ; cần đồng bộ.", "The status list is too old; sync.")
        }
        UndecidedReason::NoStatusList => {
            ("Chưa có danh sách trạng thái; cần đồng bộ.", "No status list yet; sync.")
        }
        UndecidedReason::TrustExpired => {
            ("Danh sách khóa đã hết hạn; cần đồng bộ.", "The trust bundle is over; sync.")
        }
    };
    Words::new(vi, en)
}
