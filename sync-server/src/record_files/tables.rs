//! Rows of the ministry's tables, by the names of their fields.
//!
//! The decisions differ in which fields a table has, and tables grow: a field is looked for by its name, one that is
//! not there is empty, and one that none of the decisions knows is passed over and counted.

use std::collections::BTreeMap;

use bhyt_core::limits::DOSSIER_ROWS_MAX;

use super::xml::{Piece, XmlReader};

/// A table that records are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// XML0: a patient has come in.
    CheckIn,
    /// XML1: the summary of a visit.
    Summary,
    /// XML2: medicines.
    Medicines,
    /// XML3: services and supplies.
    Services,
    /// XML7: hospital discharge (giấy ra viện).
    Discharge,
    /// XML9: birth (giấy chứng sinh).
    Birth,
    /// XML10: leave for the child to come (giấy nghỉ dưỡng thai).
    Pregnancy,
    /// XML11: leave with benefits (giấy nghỉ việc hưởng BHXH).
    SickLeave,
    /// XML13: transfer (giấy chuyển cơ sở khám chữa bệnh).
    Transfer,
    /// XML14: the next appointment (giấy hẹn khám lại).
    Appointment,
}

impl Table {
    /// The table of this name; `None` for those that say nothing that a member's records have.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "XML0" | "CHECKIN" | "CHECK_IN" => Self::CheckIn,
            "XML1" => Self::Summary,
            "XML2" => Self::Medicines,
            "XML3" => Self::Services,
            "XML7" => Self::Discharge,
            "XML9" => Self::Birth,
            "XML10" => Self::Pregnancy,
            "XML11" => Self::SickLeave,
            "XML13" => Self::Transfer,
            "XML14" => Self::Appointment,
            _ => return None,
        })
    }

    /// Every field that any of the decisions gives it.
    fn fields(self) -> &'static str {
        match self {
            Self::CheckIn => CHECK_IN,
            Self::Summary => SUMMARY,
            Self::Medicines => MEDICINES,
            Self::Services => SERVICES,
            Self::Discharge => DISCHARGE,
            Self::Birth => BIRTH,
            Self::Pregnancy => PREGNANCY,
            Self::SickLeave => SICK_LEAVE,
            Self::Transfer => TRANSFER,
            Self::Appointment => APPOINTMENT,
        }
    }

    fn field(self, name: &str) -> Option<&'static str> {
        self.fields().split_ascii_whitespace().find(|field| *field == name)
    }
}

/// A row: its fields that are not empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// The line of its file on which its first field stands.
    pub line: u64,
    fields: BTreeMap<&'static str, String>,
}

impl Row {
    /// The text of a field; empty where there is none.
    pub fn text(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

/// The rows of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// In the order of the file.
    pub rows: Vec<Row>,
    /// Fields that no decision knows.
    pub unknown_fields: u64,
}

/// Why a file has no rows, and the line of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableFault {
    /// The line inside the file.
    pub line: u64,
    /// The word.
    pub reason: &'static str,
}

/// Reads the rows of a table, whatever elements stand around them: a row is an element whose elements have text alone.
///
/// # Errors
/// [`TableFault`] when it cannot be read to its end, or has more than [`DOSSIER_ROWS_MAX`] rows.
pub fn read_rows(table: Table, content: &[u8]) -> Result<Rows, TableFault> {
    let mut reader = XmlReader::new(content);
    let mut read = Rows::default();
    let mut open: Vec<Row> = Vec::new();
    loop {
        let piece = reader.next_piece();
        let line = reader.line();
        let piece = piece.map_err(|fault| TableFault { line, reason: fault.name() })?;
        match piece {
            None => return Ok(read),
            Some(Piece::Open(_)) => open.push(Row::default()),
            Some(Piece::Leaf { text, .. }) if text.is_empty() => {}
            Some(Piece::Leaf { name, text, line }) => match (table.field(&name), open.last_mut()) {
                (Some(field), Some(row)) => {
                    if row.fields.is_empty() {
                        row.line = line;
                    }
                    if row.fields.insert(field, text).is_some() {
                        return Err(TableFault { line, reason: "there_twice" });
                    }
                }
                _ => read.unknown_fields += 1,
            },
            Some(Piece::Close) => {
                let row = open.pop().unwrap_or_default();
                if row.fields.is_empty() {
                    continue;
                }
                if read.rows.len() >= DOSSIER_ROWS_MAX {
                    return Err(TableFault { line: row.line, reason: "too_many" });
                }
                read.rows.push(row);
            }
        }
    }
}

const CHECK_IN: &str = "\
    MA_LK STT MA_BN HO_TEN SO_CCCD NGAY_SINH GIOI_TINH MA_THE_BHYT MA_DKBD GT_THE_TU GT_THE_DEN MA_DOITUONG_KCB \
    NGAY_VAO NGAY_VAO_NOI_TRU LY_DO_VNT MA_LY_DO_VNT MA_LOAI_KCB MA_CSKCB MA_DICH_VU TEN_DICH_VU MA_THUOC \
    TEN_THUOC MA_VAT_TU TEN_VAT_TU NGAY_YL DU_PHONG";
const SUMMARY: &str = "\
    MA_LK STT MA_BN HO_TEN SO_CCCD NGAY_SINH GIOI_TINH NHOM_MAU MA_QUOCTICH MA_DANTOC MA_NGHE_NGHIEP DIA_CHI \
    MATINH_CU_TRU MAHUYEN_CU_TRU MAXA_CU_TRU DIEN_THOAI MA_THE_BHYT MA_DKBD GT_THE_TU GT_THE_DEN NGAY_MIEN_CCT \
    LY_DO_VV LY_DO_VNT MA_LY_DO_VNT CHAN_DOAN_VAO CHAN_DOAN_RV MA_BENH_CHINH MA_BENH_KT MA_BENH_YHCT MA_PTTT_QT \
    MA_DOITUONG_KCB MA_NOI_DI MA_NOI_DEN MA_TAI_NAN NGAY_VAO NGAY_VAO_NOI_TRU NGAY_RA GIAY_CHUYEN_TUYEN \
    SO_NGAY_DTRI PP_DIEU_TRI KET_QUA_DTRI MA_LOAI_RV GHI_CHU NGAY_TTOAN T_THUOC T_VTYT T_TONGCHI_BV T_TONGCHI_BH \
    T_BNTT T_BNCCT T_BHTT T_NGUONKHAC T_BHTT_GDV NAM_QT THANG_QT MA_LOAI_KCB MA_KHOA MA_CSKCB MA_KHUVUC CAN_NANG \
    CAN_NANG_CON NAM_NAM_LIEN_TUC NGAY_TAI_KHAM MA_HSBA MA_TTDV DU_PHONG";
const MEDICINES: &str = "\
    MA_LK STT MA_THUOC MA_PP_CHEBIEN MA_CSKCB_THUOC MA_NHOM TEN_THUOC DON_VI_TINH HAM_LUONG DUONG_DUNG \
    DANG_BAO_CHE LIEU_DUNG CACH_DUNG SO_DANG_KY TT_THAU PHAM_VI TYLE_TT_BH SO_LUONG DON_GIA THANH_TIEN_BV \
    THANH_TIEN_BH T_NGUONKHAC_NSNN T_NGUONKHAC_VTNN T_NGUONKHAC_VTTN T_NGUONKHAC_CL T_NGUONKHAC MUC_HUONG T_BHTT \
    T_BNCCT T_BNTT MA_KHOA MA_BAC_SI MA_DICH_VU NGAY_YL NGAY_TH_YL MA_PTTT NGUON_CTRA VET_THUONG_TP DU_PHONG";
const SERVICES: &str = "\
    MA_LK STT MA_DICH_VU MA_PTTT_QT MA_VAT_TU MA_NHOM GOI_VTYT TEN_VAT_TU TEN_DICH_VU MA_XANG_DAU DON_VI_TINH \
    PHAM_VI SO_LUONG DON_GIA_BV DON_GIA_BH TT_THAU TYLE_TT_DV TYLE_TT_BH THANH_TIEN_BV THANH_TIEN_BH T_TRANTT \
    MUC_HUONG T_NGUONKHAC_NSNN T_NGUONKHAC_VTNN T_NGUONKHAC_VTTN T_NGUONKHAC_CL T_NGUONKHAC T_BHTT T_BNTT T_BNCCT \
    MA_KHOA MA_GIUONG MA_BAC_SI NGUOI_THUC_HIEN MA_BENH MA_BENH_YHCT NGAY_YL NGAY_TH_YL NGAY_KQ MA_PTTT \
    VET_THUONG_TP PP_VO_CAM VI_TRI_TH_DVKT MA_MAY MA_HIEU_SP TAI_SU_DUNG DU_PHONG";
const DISCHARGE: &str = "\
    MA_LK SO_LUU_TRU MA_YTE MA_KHOA_RV NGAY_VAO NGAY_RA MA_DINH_CHI_THAI NGUYENNHAN_DINHCHI THOIGIAN_DINHCHI \
    TUOI_THAI CHAN_DOAN_RV PP_DIEUTRI GHI_CHU MA_TTDV MA_BS TEN_BS NGAY_CT MA_CHA MA_ME MA_THE_TAM HO_TEN_CHA \
    HO_TEN_ME SO_NGAY_NGHI NGOAITRU_TUNGAY NGOAITRU_DENNGAY DU_PHONG";
const BIRTH: &str = "\
    MA_LK MA_BHXH_NND MA_THE_NND HO_TEN_NND NGAYSINH_NND MA_DANTOC_NND SO_CCCD_NND NGAYCAP_CCCD_NND \
    NOICAP_CCCD_NND NOI_CU_TRU_NND MA_QUOCTICH MATINH_CU_TRU MAHUYEN_CU_TRU MAXA_CU_TRU HO_TEN_CHA MA_THE_TAM \
    HO_TEN_CON GIOI_TINH_CON SO_CON LAN_SINH SO_CON_SONG CAN_NANG_CON NGAY_SINH_CON NOI_SINH_CON TINH_TRANG_CON \
    SINHCON_PHAUTHUAT SINHCON_DUOI32TUAN GHI_CHU NGUOI_DO_DE NGUOI_GHI_PHIEU NGAY_CT SO QUYEN_SO MA_TTDV DU_PHONG";
const PREGNANCY: &str = "\
    MA_LK SO_SERI SO_CT SO_NGAY DON_VI CHAN_DOAN_RV TU_NGAY DEN_NGAY MA_TTDV TEN_BS MA_BS NGAY_CT DU_PHONG";
const SICK_LEAVE: &str = "\
    MA_LK SO_CT SO_SERI SO_KCB DON_VI MA_BHXH MA_THE_BHYT CHAN_DOAN_RV PP_DIEUTRI MA_DINH_CHI_THAI \
    NGUYENNHAN_DINHCHI TUOI_THAI SO_NGAY_NGHI TU_NGAY DEN_NGAY HO_TEN_CHA HO_TEN_ME MA_TTDV MA_BS NGAY_CT \
    MA_THE_TAM MAU_SO DU_PHONG";
const TRANSFER: &str = "\
    MA_LK SO_HOSO SO_CHUYENTUYEN GIAY_CHUYEN_TUYEN MA_CSKCB MA_NOI_DI MA_NOI_DEN MA_CSKCB_DI MA_CSKCB_DEN HO_TEN \
    NGAY_SINH GIOI_TINH MA_QUOCTICH MA_DANTOC MA_NGHE_NGHIEP DIA_CHI MA_THE_BHYT GT_THE_DEN NGAY_VAO \
    NGAY_VAO_NOI_TRU NGAY_RA DAU_HIEU_LS CHAN_DOAN_RV QT_BENHLY TOMTAT_KQ PP_DIEUTRI MA_BENH_CHINH MA_BENH_KT \
    MA_BENH_YHCT TEN_DICH_VU TEN_THUOC PP_DIEU_TRI TINH_TRANG_CT MA_LOAI_RV MA_LYDO_CT HUONG_DIEU_TRI \
    PHUONGTIEN_VC HOTEN_NGUOI_HT CHUCDANH_NGUOI_HT MA_BAC_SI MA_TTDV DU_PHONG";
const APPOINTMENT: &str = "\
    MA_LK SO_GIAYHEN_KL MA_CSKCB HO_TEN NGAY_SINH GIOI_TINH DIA_CHI MA_THE_BHYT GT_THE_DEN NGAY_VAO \
    NGAY_VAO_NOI_TRU NGAY_RA NGAY_HEN_KL CHAN_DOAN_RV MA_BENH_CHINH MA_BENH_KT MA_BENH_YHCT MA_DOITUONG_KCB \
    MA_BAC_SI MA_TTDV NGAY_CT DU_PHONG";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_whatever_stands_around_them() {
        let text = "<CHITIEU_CHITIET_THUOC>\n<DSACH_CHI_TIET_THUOC>\n<CHI_TIET_THUOC><MA_LK>1</MA_LK>\n<TEN_THUOC/>\n<LA>x</LA><STT>1</STT></CHI_TIET_THUOC>\n<CHI_TIET_THUOC><MA_LK>1</MA_LK></CHI_TIET_THUOC></DSACH_CHI_TIET_THUOC></CHITIEU_CHITIET_THUOC>";
        let read = read_rows(Table::Medicines, text.as_bytes()).unwrap();
        assert_eq!((read.rows.len(), read.unknown_fields), (2, 1));
        let row = &read.rows[0];
        assert_eq!((row.line, row.text("MA_LK"), row.text("STT"), row.text("TEN_THUOC")), (3, "1", "1", ""));
        let flat = read_rows(Table::Summary, b"<TONG_HOP><MA_LK>1</MA_LK></TONG_HOP>").unwrap();
        assert_eq!(flat.rows.len(), 1);
    }

    #[test]
    fn a_file_of_too_many_rows_or_with_a_field_twice_is_refused() {
        let refused = |text: &str| read_rows(Table::Summary, text.as_bytes()).unwrap_err();
        let twice = refused("<A>\n<MA_LK>1</MA_LK>\n<MA_LK>2</MA_LK></A>");
        assert_eq!(twice, TableFault { line: 3, reason: "there_twice" });
        let rows = |count: usize| format!("<A>{}</A>", "<B><MA_LK>1</MA_LK></B>".repeat(count));
        assert!(read_rows(Table::Summary, rows(DOSSIER_ROWS_MAX).as_bytes()).is_ok());
        assert_eq!(refused(&rows(DOSSIER_ROWS_MAX + 1)).reason, "too_many");
        assert_eq!(refused("<A>\n<B>&x;</B></A>"), TableFault { line: 2, reason: "entity" });
    }
}
