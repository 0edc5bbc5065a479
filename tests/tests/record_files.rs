//! Golden files of official records, CSV and the ministry's XML, re-typed and synthetic; and files that were made to do
//! harm. What is good in a file goes in, what is not is told by line, field and reason.

use base64ct::{Base64, Encoding as _};
use bhyt_core::records::{CertificateKind, Fact, Fund, Month, MonthStatus, Visit};
use bhyt_core::sync::admin::AdminCommand;
use bhyt_core::sync::records::{NewRecord, RecordChange, RecordRow};
use bhyt_server::admin::fuzzing::read_records;
use bhyt_server::admin::{AdminError, RecordTable};
use bhyt_server::exit::{Exit, Failure as _};
use bhyt_server::record_files::xml::XmlFault;

const XML1: &str = include_str!("../vectors/records/xml1.xml");
const XML2: &str = include_str!("../vectors/records/xml2.xml");
const XML3: &str = include_str!("../vectors/records/xml3.xml");
const XML7: &str = include_str!("../vectors/records/xml7.xml");
const XML0: &str = include_str!("../vectors/records/xml0.xml");

type IsFault = fn(&XmlFault) -> bool;

/// What `record import --dry-run` makes of a file: its rows, the list of faults, and how it ends.
fn check(table: RecordTable, content: impl AsRef<[u8]>) -> (Vec<RecordRow>, String, Result<(), AdminError>) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file");
    std::fs::write(&path, content).expect("a file");
    let rows = read_records(&path, table).into_iter().flat_map(|command| match command {
        AdminCommand::ImportRecords(rows) => rows,
        other => panic!("{other:?}"),
    });
    let rows = rows.collect();
    let ended = bhyt_server::admin::check_records(&path, table);
    let faults = std::fs::read_to_string(folder.path().join("file.errors.csv")).unwrap_or_default();
    (rows, faults.replace("line,field,reason\n", ""), ended)
}

fn fact(record: &NewRecord) -> Fact {
    Fact::decode(record.kind, &record.body).expect("a body of ours")
}

fn visit(row: &RecordRow) -> Visit {
    let Fact::Visit(visit) = fact(row.change.record()) else { panic!("{row:?}") };
    *visit
}

fn dossier(files: &[(&str, &str)]) -> String {
    let file = |(table, content): &(&str, &str)| {
        let content = Base64::encode_string(content.as_bytes());
        format!("<FILEHOSO><LOAIHOSO>{table}</LOAIHOSO><NOIDUNGFILE>{content}</NOIDUNGFILE></FILEHOSO>\n")
    };
    format!("<HOSO>\n{}</HOSO>\n", files.iter().map(file).collect::<String>())
}

fn envelope(dossiers: &[String]) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<GIAMDINHHS><THONGTINDONVI><MACSKCB>99024</MACSKCB></THONGTINDONVI>\n<THONGTINHOSO><NGAYLAP>20260303</NGAYLAP><SOLUONGHOSO>{}</SOLUONGHOSO><DANHSACHHOSO>\n{}</DANHSACHHOSO></THONGTINHOSO><CHUKYDONVI/></GIAMDINHHS>",
        dossiers.len(),
        dossiers.concat()
    )
}

fn whole() -> String {
    dossier(&[("XML1", XML1), ("XML2", XML2), ("XML3", XML3), ("XML4", "<A/>"), ("XML7", XML7)])
}

#[test]
fn a_dossier_is_a_visit_with_its_lines_and_papers() {
    let (rows, faults, ended) = check(RecordTable::Xml, envelope(&[whole(), dossier(&[("CHECKIN", XML0)])]));
    assert!(ended.is_ok(), "{ended:?} {faults}");
    assert_eq!((rows.len(), faults.as_str()), (2, ""));
    assert_eq!((rows[0].member.as_str(), rows[0].also.as_str()), ("DN4999900000017", "099194000017"));
    assert!(matches!(rows[0].change, RecordChange::Put(_)));
    let it = visit(&rows[0]);
    assert_eq!((it.facility.as_str(), it.case.as_str()), ("99024", "LK-99-0001"));
    assert_eq!(
        (it.entered.iso().as_str(), it.left.unwrap().iso().as_str()),
        ("2026-03-02T08:15", "2026-03-02T10:40")
    );
    assert_eq!(it.diagnosis.unwrap().as_str(), "Viêm họng cấp & sốt");
    let others: Vec<_> = it.other_diseases.iter().map(|code| code.as_str()).collect();
    assert_eq!((it.disease.unwrap().as_str(), others), ("J02", vec!["J00", "R50"]));
    assert_eq!((it.care_form.unwrap().as_str(), it.category.unwrap().as_str()), ("01", "1.2"));
    let totals = it.totals.unwrap();
    assert_eq!(totals.all.unwrap().to_string(), "75.500,00");
    assert_eq!(totals.fund.unwrap().plus(totals.co_payment.unwrap()), totals.in_scope);
    let lines: Vec<_> = it.lines.iter().map(|line| (line.code.as_str(), line.name.as_str())).collect();
    assert_eq!(
        lines,
        [("40.17", "Amoxicilin 500 mg, viên"), ("01.0001", "Khám bệnh"), ("N03.01", "Bơm tiêm 5 ml")]
    );
    assert_eq!(it.lines[0].unit_price.unwrap().to_string(), "1.500,50");
    let [paper] = &it.certificates[..] else { panic!("one paper") };
    assert_eq!((paper.serial.as_str(), paper.kind), ("99.000123", CertificateKind::Discharge));
    assert_eq!(paper.issued.unwrap().iso(), "2026-03-02");
    // The check-in has begun and is not over, and takes nothing's place.
    assert!(matches!(rows[1].change, RecordChange::PutIfNew(_)));
    assert_eq!((rows[1].member.as_str(), visit(&rows[1]).left), ("9900000017", None));
}

/// QĐ 130, 4750 and 3176 differ in fields: those that are not there are empty, those that are unknown are passed over.
#[test]
fn a_table_may_have_fewer_fields_or_more() {
    let bare = "<TONG_HOP><MA_LK>1</MA_LK><MA_THE_BHYT>9900000017</MA_THE_BHYT><NGAY_VAO>202600000000</NGAY_VAO><MA_CSKCB>99024</MA_CSKCB></TONG_HOP>";
    let more = bare.replace("</TONG_HOP>", "<MA_MOI>1</MA_MOI><NHOM><CON>2</CON></NHOM></TONG_HOP>");
    for xml1 in [bare, &more] {
        let (rows, faults, ended) = check(RecordTable::Xml, envelope(&[dossier(&[("XML1", xml1)])]));
        assert!(ended.is_ok(), "{faults}");
        assert_eq!(visit(&rows[0]).entered.iso(), "2026");
    }
}

#[test]
fn of_a_bad_dossier_line_field_and_reason_are_told_and_the_others_go_in() {
    let with = |from: &str, to: &str| dossier(&[("XML1", &XML1.replace(from, to)), ("XML2", XML2)]);
    let bad = [
        (with("<NGAY_VAO>202603020815", "<NGAY_VAO>202602310815"), "XML1:3/NGAY_VAO,malformed"),
        (with("<MA_CSKCB>99024", "<MA_CSKCB>99025"), "XML1:3/MA_CSKCB,conflict"),
        (with("<T_BHTT>60400.00", "<T_BHTT>60.400,00"), "XML1:3/T_BHTT,malformed"),
        (with("LK-99-0001", "LK-99-0009"), "XML2:4/MA_LK,not_found"),
        (with("<MA_LK>LK-99-0001</MA_LK>", ""), "XML1:4/MA_LK,missing"),
        (with("J00;R50", "A;B;C;D;E;F;G;H;I;K;L;M;N"), "XML1:3/MA_BENH_KT,too_many"),
        (dossier(&[("XML1", &XML1.replace("<STT>", "<MA_LK>2</MA_LK><STT>"))]), "XML1:4,there_twice"),
        (dossier(&[("XML1", "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>")]), "XML1:1,document_type"),
        (dossier(&[("XML1", &XML1.replace("&amp;", "&nbsp;"))]), "XML1:15,entity"),
        (dossier(&[("XML1", &XML1.replace("utf-8", "tcvn-5712"))]), "XML1:1,encoding"),
        (dossier(&[("XML1", XML1.split_at(700).0)]), ",truncated"),
        (dossier(&[("XML2", XML2)]), "XML2:4/MA_LK,not_found"),
        (dossier(&[("XML5", "<a/>")]), "XML1,missing"),
        (whole().replacen("</NOIDUNGFILE>", "x</NOIDUNGFILE>", 1), "NOIDUNGFILE,base64"),
        (whole().replacen("</NOIDUNGFILE>", "ờ</NOIDUNGFILE>", 1), "NOIDUNGFILE,base64"),
    ];
    for (dossier, expected) in bad {
        let (rows, faults, ended) = check(RecordTable::Xml, envelope(&[dossier, whole()]));
        let faults: Vec<_> = faults.lines().filter(|line| line.contains(expected)).collect();
        assert_eq!(faults.len(), 1, "{expected}");
        assert!(visit(rows.last().unwrap()).case.as_str() == "LK-99-0001", "{expected}");
        assert!(matches!(ended, Err(AdminError::RowsFailed { .. })), "{expected}");
    }
}

#[test]
fn an_envelope_that_is_none_ends_the_import_with_the_line_and_keeps_what_stood_before() {
    let text = envelope(&[whole(), whole()]);
    let bomb = text.replacen(
        "<GIAMDINHHS>",
        "<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><GIAMDINHHS>",
        1,
    );
    let utf_16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let huge = text.replacen("99024", &"9".repeat(1 << 20), 1);
    let deep = text.replacen("<HOSO>", &"<A>".repeat(40), 1);
    let (rows, ..) = check(RecordTable::Xml, &text);
    assert_eq!(rows.len(), 2);
    let cases: [(Vec<u8>, usize, IsFault); 7] = [
        (bomb.into_bytes(), 0, |fault| matches!(fault, XmlFault::DocumentType)),
        (text.replacen("utf-8", "windows-1258", 1).into_bytes(), 0, |fault| {
            matches!(fault, XmlFault::Encoding)
        }),
        (utf_16, 0, |fault| matches!(fault, XmlFault::IllFormed | XmlFault::Encoding)),
        (huge.into_bytes(), 0, |fault| matches!(fault, XmlFault::TooLarge { .. })),
        (deep.into_bytes(), 0, |fault| matches!(fault, XmlFault::TooDeep)),
        (text.split_at(text.len() - 300).0.into(), 1, |fault| matches!(fault, XmlFault::Truncated)),
        (b"member,fund\n".to_vec(), 0, |fault| matches!(fault, XmlFault::IllFormed)),
    ];
    for (content, before, expected) in cases {
        let (rows, _, ended) = check(RecordTable::Xml, content);
        let error = ended.unwrap_err();
        assert_eq!(error.exit(), Exit::Data);
        let AdminError::Xml { line, source, .. } = &error else { panic!("{error:?}") };
        assert!(expected(source) && *line >= 1, "{error:?}");
        assert_eq!(rows.len(), before, "{error:?}");
    }
    let wrong_count = text.replacen("<SOLUONGHOSO>2", "<SOLUONGHOSO>3", 1);
    let (rows, faults, _) = check(RecordTable::Xml, wrong_count);
    assert_eq!((rows.len(), faults.as_str()), (2, "3,SOLUONGHOSO,count_differs\n"));
}

#[test]
fn contributions_are_read_and_bad_rows_told() {
    let content = include_str!("../vectors/records/contributions.csv");
    let (rows, faults, ended) = check(RecordTable::Contributions, content);
    assert_eq!(faults, "5,to,conflict\n6,fund,malformed\n");
    assert!(matches!(ended, Err(AdminError::RowsFailed { rows: 6, failed: 2, .. })), "{ended:?}");
    let periods: Vec<_> = rows
        .iter()
        .map(|row| match fact(row.change.record()) {
            Fact::Contribution(period) => period,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(periods.len(), 4);
    assert_eq!((periods[0].fund, periods[0].months.count()), (Fund::Bhxh, 6));
    assert_eq!(periods[0].salary.unwrap().to_string(), "5.453.400,00");
    assert_eq!(periods[0].coefficient.unwrap().to_string(), "3,66");
    // One writing or the other, đồng or nothing: the same.
    assert_eq!((periods[1].months, periods[1].salary), (periods[0].months, periods[0].salary));
    assert_eq!((periods[0].currency.as_ref(), periods[1].status), (None, MonthStatus::Counted));
    assert_eq!((periods[2].status, rows[2].member.as_str()), (MonthStatus::Late, "099194000017"));
    assert_eq!(periods[3].months.from(), Month::parse("2020-06").unwrap());
}

#[test]
fn benefits_and_notices_are_read_and_bad_rows_told() {
    let (rows, faults, _) = check(RecordTable::Benefits, include_str!("../vectors/records/benefits.csv"));
    assert_eq!((rows.len(), faults.as_str()), (3, "5,kind,malformed\n"));
    let Fact::Benefit(pension) = fact(rows[1].change.record()) else { panic!("a benefit") };
    assert_eq!((pension.adjustments.len(), pension.decided.unwrap().iso().as_str()), (2, "2025"));
    let (rows, faults, _) = check(RecordTable::Notices, include_str!("../vectors/records/notices.csv"));
    assert_eq!((rows.len(), faults.as_str()), (1, "4,title,missing\n"));
    let Fact::Notice(notice) = fact(rows[0].change.record()) else { panic!("a notice") };
    assert_eq!(notice.time.display_local(), "01/11/2026 08:00");
    assert_eq!(notice.text.unwrap().as_str().lines().count(), 2);
}

#[test]
fn rows_that_follow_each_other_are_one_visit() {
    let (rows, faults, _) = check(RecordTable::Visits, include_str!("../vectors/records/visits.csv"));
    assert_eq!(faults, "5,entered,malformed\n6,line_name,missing\n");
    assert_eq!(rows.len(), 2);
    let it = visit(&rows[0]);
    assert_eq!((it.lines.len(), it.certificates.len()), (2, 1));
    assert_eq!(visit(&rows[1]).entered.iso(), "2026-04");
    // The same visit from either file has one name.
    let (xml, ..) = check(RecordTable::Xml, envelope(&[whole()]));
    let csv = include_str!("../vectors/records/visits.csv").replace("LK-CSV-1", "LK-99-0001");
    let (csv, ..) = check(RecordTable::Visits, csv);
    assert_eq!(visit(&xml[0]).source_key(), visit(&csv[0]).source_key());
}

/// Each byte changed and each cut: a file is refused or read, and never a panic.
#[test]
fn a_file_that_was_touched_is_refused_or_read() {
    let text = envelope(&[dossier(&[("XML1", XML1)])]);
    for at in (0..text.len()).step_by(7) {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1 << (at % 8);
        drop(check(RecordTable::Xml, &bytes));
        drop(check(RecordTable::Xml, &text.as_bytes()[..at]));
    }
    let text = include_bytes!("../vectors/records/visits.csv");
    for at in 0..text.len() {
        let mut bytes = text.to_vec();
        bytes[at] ^= 1 << (at % 8);
        drop(check(RecordTable::Visits, &bytes));
    }
}
