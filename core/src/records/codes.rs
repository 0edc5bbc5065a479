//! Numbers that stand for something in record bodies. Those that totals hang on are closed: an unknown one *needs update*.
//! Those that only name something are open: an unknown one is kept as its number and shown as such.

use minicbor::Decoder;

use super::form::{Value, Writer};
use crate::cbor::{DecodeError, EncodeResult};

macro_rules! closed_code {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $number:literal $variant:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant),* }

        impl $name {
            /// All of them, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The number in the body.
            pub fn number(self) -> u16 {
                match self { $(Self::$variant => $number),* }
            }

            /// `None` for a number that this version does not know.
            pub fn from_number(number: u64) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| u64::from(code.number()) == number)
            }
        }

        impl Value for $name {
            fn write(&self, e: &mut Writer<'_>) -> EncodeResult {
                e.u16(self.number())?.ok()
            }
            fn read(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                Self::from_number(d.u64()?).ok_or(DecodeError::NeedsUpdate)
            }
        }
    };
}

macro_rules! open_code {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $number:literal $variant:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
            /// One that this version does not know. Made by `From<u16>`, never by hand from a known number.
            Unknown(u16),
        }

        impl $name {
            /// The known ones, in the order of their numbers.
            pub const KNOWN: &[Self] = &[$(Self::$variant),*];

            /// The number in the body.
            pub fn number(self) -> u16 {
                match self { $(Self::$variant => $number,)* Self::Unknown(number) => number }
            }
        }

        impl From<u16> for $name {
            fn from(number: u16) -> Self {
                match number { $($number => Self::$variant,)* other => Self::Unknown(other) }
            }
        }

        impl Value for $name {
            fn write(&self, e: &mut Writer<'_>) -> EncodeResult {
                e.u16(self.number())?.ok()
            }
            fn read(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                Ok(Self::from(d.u16()?))
            }
        }
    };
}

closed_code!(
    /// Which fund (quỹ, loại hình bảo hiểm) months were paid to. Each has a total of its own.
    Fund {
        /// Bảo hiểm xã hội.
        1 Bhxh,
        /// Bảo hiểm thất nghiệp.
        2 Bhtn,
        /// Bảo hiểm tai nạn lao động, bệnh nghề nghiệp.
        3 BhtnldBnn,
        /// Bảo hiểm y tế.
        4 Bhyt,
    }
);
closed_code!(
    /// What months of a period count for.
    MonthStatus {
        /// They count.
        1 Counted,
        /// Paid out at once (đã hưởng một lần) or used for a benefit: they count no more.
        2 PaidOut,
        /// Reserved (bảo lưu) for a later claim.
        3 Reserved,
        /// The employer is late (chậm đóng): they count when they are paid.
        4 Late,
    }
);
open_code!(
    /// How a benefit is drawn: the tab it stands in.
    BenefitKind {
        /// Một lần.
        1 OneOff,
        /// Ốm đau, thai sản, dưỡng sức (ODTS).
        2 ShortTerm,
        /// Hàng tháng: pension and allowances.
        3 Monthly,
        /// Thất nghiệp.
        4 Unemployment,
    }
);
open_code!(
    /// How a treatment ended (`KET_QUA_DTRI`).
    TreatmentResult {
        /// Khỏi.
        1 Recovered,
        /// Đỡ.
        2 Better,
        /// Không thay đổi.
        3 Unchanged,
        /// Nặng hơn.
        4 Worse,
        /// Tử vong.
        5 Died,
        /// Tiên lượng nặng, xin về.
        6 WentHomeGravelyIll,
        /// Chưa xác định.
        7 Undetermined,
        /// Tử vong ngoại viện.
        8 DiedOutside,
    }
);
open_code!(
    /// How somebody left (`MA_LOAI_RV`).
    Discharge {
        /// Ra viện.
        1 Discharged,
        /// Chuyển theo yêu cầu chuyên môn.
        2 TransferredForCare,
        /// Trốn viện.
        3 LeftUnseen,
        /// Xin ra viện.
        4 LeftOnRequest,
        /// Chuyển theo yêu cầu người bệnh.
        5 TransferredOnRequest,
    }
);
open_code!(
    /// A paper that a facility gives, by the number of the ministry's table that carries it.
    CertificateKind {
        /// Giấy ra viện.
        7 Discharge,
        /// Tóm tắt hồ sơ bệnh án.
        8 Summary,
        /// Giấy chứng sinh.
        9 Birth,
        /// Giấy chứng nhận nghỉ dưỡng thai.
        10 PregnancyLeave,
        /// Giấy chứng nhận nghỉ việc hưởng BHXH.
        11 SickLeave,
        /// Biên bản giám định y khoa.
        12 MedicalAssessment,
        /// Giấy chuyển cơ sở khám chữa bệnh.
        13 Transfer,
        /// Giấy hẹn khám lại.
        14 Appointment,
    }
);
open_code!(
    /// What became of such a paper.
    CertificateState {
        /// Đã cấp.
        1 Issued,
        /// Đã thu hồi.
        2 Withdrawn,
        /// Đã thay thế.
        3 Replaced,
    }
);
open_code!(
    /// What proved to a clinic that the patient was there, for visits recorded at one.
    HolderBasis {
        /// A photo document, compared by the clerk.
        1 Document,
        /// A fresh proof of the phone, by the clock.
        2 Clock,
        /// A proof over the terminal's challenge.
        3 Challenge,
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_back_as_itself() {
        for number in 0..=u16::MAX {
            assert_eq!(BenefitKind::from(number).number(), number);
            assert_eq!(CertificateKind::from(number).number(), number);
            if let Some(fund) = Fund::from_number(number.into()) {
                assert_eq!(fund.number(), number);
            }
        }
        assert_eq!(Fund::ALL.iter().map(|fund| fund.number()).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!(
            (Fund::from_number(0), Fund::from_number(5), MonthStatus::from_number(1 << 32)),
            (None, None, None)
        );
    }
}
