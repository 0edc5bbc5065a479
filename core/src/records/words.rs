//! What a member reads for the numbers in records: Vietnamese first, English beside it. An unknown number is shown as
//! such.

use super::codes::{
    BenefitKind, CertificateKind, CertificateState, Discharge, Fund, HolderBasis, MonthStatus,
    TreatmentResult,
};
use crate::words::Words;

impl Fund {
    /// The tab's name.
    pub fn words(self) -> Words {
        match self {
            Self::Bhxh => Words::new("BHXH", "Social insurance"),
            Self::Bhtn => Words::new("BHTN", "Unemployment insurance"),
            Self::BhtnldBnn => Words::new("BHTNLĐ-BNN", "Occupational accident and disease insurance"),
            Self::Bhyt => Words::new("BHYT", "Health insurance"),
        }
    }

    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bhxh => "bhxh",
            Self::Bhtn => "bhtn",
            Self::BhtnldBnn => "bhtnld_bnn",
            Self::Bhyt => "bhyt",
        }
    }
}

impl MonthStatus {
    /// What the months count for.
    pub fn words(self) -> Words {
        match self {
            Self::Counted => Words::new("được tính", "counted"),
            Self::PaidOut => Words::new("đã hưởng, không tính", "paid out, not counted"),
            Self::Reserved => Words::new("bảo lưu", "reserved"),
            Self::Late => Words::new("chậm đóng", "late"),
        }
    }

    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counted => "counted",
            Self::PaidOut => "paid_out",
            Self::Reserved => "reserved",
            Self::Late => "late",
        }
    }
}

impl BenefitKind {
    /// The tab's name.
    pub fn words(self) -> Words {
        match self {
            Self::OneOff => Words::new("Một lần", "One-off"),
            Self::ShortTerm => {
                Words::new("Ốm đau, thai sản, dưỡng sức", "Sickness, maternity, convalescence")
            }
            Self::Monthly => Words::new("Hàng tháng", "Monthly"),
            Self::Unemployment => Words::new("Thất nghiệp", "Unemployment"),
            Self::Unknown(number) => unknown(number),
        }
    }
}

impl TreatmentResult {
    /// What the facility says.
    pub fn words(self) -> Words {
        match self {
            Self::Recovered => Words::new("Khỏi", "Recovered"),
            Self::Better => Words::new("Đỡ", "Better"),
            Self::Unchanged => Words::new("Không thay đổi", "Unchanged"),
            Self::Worse => Words::new("Nặng hơn", "Worse"),
            Self::Died => Words::new("Tử vong", "Died"),
            Self::WentHomeGravelyIll => {
                Words::new("Tiên lượng nặng, xin về", "Gravely ill, went home on request")
            }
            Self::Undetermined => Words::new("Chưa xác định", "Not determined"),
            Self::DiedOutside => Words::new("Tử vong ngoại viện", "Died outside of the hospital"),
            Self::Unknown(number) => unknown(number),
        }
    }
}

impl Discharge {
    /// How the patient left.
    pub fn words(self) -> Words {
        match self {
            Self::Discharged => Words::new("Ra viện", "Discharged"),
            Self::TransferredForCare => {
                Words::new("Chuyển theo yêu cầu chuyên môn", "Transferred for specialised care")
            }
            Self::LeftUnseen => Words::new("Trốn viện", "Left without discharge"),
            Self::LeftOnRequest => Words::new("Xin ra viện", "Left on request"),
            Self::TransferredOnRequest => {
                Words::new("Chuyển theo yêu cầu người bệnh", "Transferred on the patient's request")
            }
            Self::Unknown(number) => unknown(number),
        }
    }
}

impl CertificateKind {
    /// The paper's name.
    pub fn words(self) -> Words {
        match self {
            Self::Discharge => Words::new("Giấy ra viện", "Discharge paper"),
            Self::Summary => Words::new("Tóm tắt hồ sơ bệnh án", "Summary of the medical record"),
            Self::Birth => Words::new("Giấy chứng sinh", "Birth certificate"),
            Self::PregnancyLeave => {
                Words::new("Giấy chứng nhận nghỉ dưỡng thai", "Pregnancy leave certificate")
            }
            Self::SickLeave => Words::new("Giấy chứng nhận nghỉ việc hưởng BHXH", "Sick leave certificate"),
            Self::MedicalAssessment => Words::new("Biên bản giám định y khoa", "Medical assessment"),
            Self::Transfer => Words::new("Giấy chuyển cơ sở khám chữa bệnh", "Transfer paper"),
            Self::Appointment => Words::new("Giấy hẹn khám lại", "Follow-up appointment"),
            Self::Unknown(number) => unknown(number),
        }
    }
}

impl CertificateState {
    /// What became of it.
    pub fn words(self) -> Words {
        match self {
            Self::Issued => Words::new("Đã cấp", "Issued"),
            Self::Withdrawn => Words::new("Đã thu hồi", "Withdrawn"),
            Self::Replaced => Words::new("Đã thay thế", "Replaced"),
            Self::Unknown(number) => unknown(number),
        }
    }
}

impl HolderBasis {
    /// What proved that the patient was there.
    pub fn words(self) -> Words {
        match self {
            Self::Document => Words::new("Giấy tờ có ảnh", "Photo document"),
            Self::Clock => Words::new("Mã trên điện thoại", "Code on the phone"),
            Self::Challenge => Words::new("Mã trả lời máy quét", "Answer to the terminal"),
            Self::Unknown(number) => unknown(number),
        }
    }
}

fn unknown(number: u16) -> Words {
    Words { vi: format!("Mã {number}"), en: format!("Code {number}") }
}
