//! Official records for people: a page in Vietnamese, and the same in English below it.

use bhyt_core::records::{
    Benefit, CostLine, Fact, FiveYears, FiveYearsPreview, FundTotals, Money, MonthCount, Notice, Text, Visit,
};
use bhyt_core::words::Words;
use bhyt_sdk::{
    BenefitView, BenefitsView, ContributionView, ContributionsView, NoticesView, RecordInfo, RevisionContent,
    RevisionView, VisitView, VisitsView,
};

use crate::page::{Page, join};
use crate::text::{same, words};

/// The contribution history.
pub(crate) fn contributions(view: &ContributionsView) -> String {
    let mut page = Page::titled("QUÁ TRÌNH THAM GIA", "CONTRIBUTION HISTORY");
    for fund in &view.funds {
        let total = join(&fund.totals.fund.words(), " – ", &total_words(&fund.totals));
        page.line(1, &total);
        for span in &fund.totals.conflicts {
            let (vi, en) = ("Trùng tháng, tính một lần", "Months named twice, counted once");
            page.field(2, &words(vi, en), Some(format!("{} – {}", span.from(), span.to())));
        }
        fund.rows.iter().for_each(|row| contribution(&mut page, row));
    }
    let signed = words("Thời điểm đủ 5 năm liên tục", "Five continuous years");
    page.field(1, &signed, view.five_years);
    if let Some(preview) = view.five_years_preview {
        page.line(1, &preview_words(&preview));
    }
    page.freshness(&view.freshness);
    page.done()
}

/// The benefits.
pub(crate) fn benefits(view: &BenefitsView) -> String {
    let mut page = Page::titled("THÔNG TIN HƯỞNG", "BENEFITS");
    for tab in &view.tabs {
        page.line(1, &tab.kind.words());
        if tab.rows.is_empty() {
            page.line(2, &words("chưa có", "none"));
        }
        tab.rows.iter().for_each(|row| benefit_row(&mut page, row));
    }
    page.freshness(&view.freshness);
    page.done()
}

/// The visit book.
pub(crate) fn visits(view: &VisitsView) -> String {
    let mut page = Page::titled("SỔ KHÁM CHỮA BỆNH", "VISIT BOOK");
    if view.years.is_empty() {
        page.line(1, &words("chưa có", "none"));
    }
    for year in &view.years {
        page.line(1, &words(&format!("Năm {}", year.year), &year.year.to_string()));
        year.visits.iter().for_each(|row| visit_row(&mut page, row));
    }
    page.freshness(&view.freshness);
    page.done()
}

/// The notices.
pub(crate) fn notices(view: &NoticesView) -> String {
    let mut page = Page::titled("THÔNG BÁO", "NOTICES");
    if view.notices.is_empty() {
        page.line(1, &words("chưa có", "none"));
    }
    for row in &view.notices {
        notice(&mut page, 1, &row.notice);
        page.line(2, &info(&row.info));
    }
    page.freshness(&view.freshness);
    page.done()
}

/// The history of one record.
pub(crate) fn history(revisions: &[RevisionView]) -> String {
    let mut page = Page::titled("LỊCH SỬ HỒ SƠ", "HISTORY OF A RECORD");
    for revision in revisions {
        let at = revision.recorded_at.display_local();
        let number = revision.revision;
        page.line(1, &words(&format!("Bản {number}, {at}"), &format!("Revision {number}, {at}")));
        match &revision.content {
            RevisionContent::Stands(found) => fact(&mut page, found),
            RevisionContent::Retracted => page.line(2, &words("Đã rút lại", "Retracted")),
            RevisionContent::NeedsUpdate => {
                page.line(2, &words("Cần phiên bản phần mềm mới hơn", "Needs a newer version"))
            }
            RevisionContent::Unreadable => page.line(2, &words("Bị lỗi ở máy chủ", "Broken at the server")),
        }
    }
    page.done()
}

fn fact(page: &mut Page, fact: &Fact) {
    match fact {
        Fact::Card(card) => page.line(2, &bhyt_core::words::standing(card.standing)),
        Fact::Contribution(period) => {
            let months = format!("{} – {}", period.months.from(), period.months.to());
            page.line(2, &join(&period.fund.words(), ", ", &same(&months)));
            period_fields(page, period);
        }
        Fact::Benefit(found) => benefit(page, found),
        Fact::Visit(found) => visit(page, found),
        Fact::VisitLines(found) => found.lines.iter().for_each(|line| cost_line(page, line)),
        Fact::Notice(found) => notice(page, 2, found),
    }
}

fn contribution(page: &mut Page, row: &ContributionView) {
    let period = &row.period;
    let months = same(&format!("{} – {}", period.months.from(), period.months.to()));
    let employer = words(&shown(period.employer.as_ref()), &shown(period.employer.as_ref()));
    page.line(2, &join(&months, "  ", &employer));
    period_fields(page, period);
    page.line(3, &info(&row.info));
}

fn period_fields(page: &mut Page, period: &bhyt_core::records::ContributionPeriod) {
    page.field(3, &words("Nghề nghiệp", "Job"), period.job.as_ref().map(Text::as_str));
    page.field(3, &words("Nơi làm việc", "Workplace"), period.workplace.as_ref().map(Text::as_str));
    let currency = period.currency.as_ref().map_or("VND", |currency| currency.as_str());
    let salary = period.salary.map(|salary| format!("{salary} {currency}"));
    page.field(3, &words("Tiền lương đóng", "Salary"), salary);
    page.field(3, &words("Hệ số lương", "Coefficient"), period.coefficient);
    page.line(3, &join(&words("Tháng", "Months"), ": ", &period.status.words()));
}

fn benefit_row(page: &mut Page, row: &BenefitView) {
    benefit(page, &row.benefit);
    page.line(3, &info(&row.info));
}

fn benefit(page: &mut Page, benefit: &Benefit) {
    page.line(
        2,
        &benefit.regime.as_ref().map_or_else(|| benefit.kind.words(), |regime| same(regime.as_str())),
    );
    let (from, to) = (benefit.from.map(|from| from.to_string()), benefit.to.map(|to| to.to_string()));
    page.field(3, &words("Từ", "From"), from);
    page.field(3, &words("Đến", "Until"), to);
    page.field(3, &words("Số tiền", "Amount"), benefit.amount);
    page.field(3, &words("Số tháng", "Months"), benefit.months);
    page.field(3, &words("Số quyết định", "Decision"), benefit.decision.as_ref().map(Text::as_str));
    page.field(3, &words("Ngày quyết định", "Decided"), benefit.decided);
    page.field(3, &words("Đơn vị chi trả", "Payer"), benefit.payer.as_ref().map(Text::as_str));
    page.field(3, &words("Số tài khoản", "Account"), benefit.account.as_ref().map(Text::as_str));
    page.field(3, &words("Ngân hàng", "Bank"), benefit.bank.as_ref().map(Text::as_str));
    for slip in &benefit.adjustments {
        let reason = shown(slip.reason.as_ref());
        let line = format!("{} {} {reason}", slip.from, slip.amount);
        page.field(3, &words("Phiếu điều chỉnh", "Adjustment"), Some(line.trim_end()));
    }
}

fn visit_row(page: &mut Page, row: &VisitView) {
    visit(page, &row.visit);
    if row.missing_parts > 0 {
        let vi = "Chưa đủ các dòng chi phí; hãy đồng bộ lại.";
        page.line(3, &words(vi, "Some cost lines are missing; sync again."));
    }
    page.line(3, &info(&row.info));
}

fn visit(page: &mut Page, visit: &Visit) {
    let left = visit.left.map_or_else(String::new, |left| format!(" – {left}"));
    let place = match &visit.facility_name {
        Some(name) => format!("{} ({})", name.as_str(), visit.facility.as_str()),
        None => visit.facility.as_str().to_owned(),
    };
    page.line(2, &same(&format!("{}{left}  {place}", visit.entered)));
    page.field(3, &words("Khoa", "Department"), visit.department.as_ref().map(Text::as_str));
    page.field(3, &words("Chẩn đoán", "Diagnosis"), visit.diagnosis.as_ref().map(Text::as_str));
    let codes = visit.disease.iter().chain(&visit.other_diseases).map(|code| code.as_str());
    let codes = codes.collect::<Vec<_>>().join("; ");
    page.field(3, &words("Mã bệnh", "ICD-10"), Some(codes).filter(|codes| !codes.is_empty()));
    let ends = [
        (words("Kết quả", "Result"), visit.result.map(|result| result.words())),
        (words("Loại ra viện", "Discharge"), visit.discharge.map(|kind| kind.words())),
    ];
    for (label, end) in ends {
        end.iter().for_each(|end| page.line(3, &join(&label, ": ", end)));
    }
    if let Some(totals) = &visit.totals {
        page.field(3, &words("Tổng chi phí", "All costs"), totals.all);
        page.field(3, &words("BHYT thanh toán", "Paid by the fund"), totals.fund);
        page.field(3, &words("Cùng chi trả", "Co-payment"), totals.co_payment);
        page.field(3, &words("Tự trả", "Own payment"), totals.own);
        let other = totals.other.filter(|other| *other != Money::default());
        page.field(3, &words("Nguồn khác", "Other sources"), other);
    }
    visit.lines.iter().for_each(|line| cost_line(page, line));
    for paper in &visit.certificates {
        let issued = paper.issued.map_or_else(String::new, |day| format!(" {day}"));
        let line = join(&paper.kind.words(), " ", &same(&format!("{}{issued}", paper.serial.as_str())));
        let state = paper.state.map(|state| state.words());
        page.line(3, &state.map_or_else(|| line.clone(), |state| join(&line, ", ", &state)));
    }
}

fn cost_line(page: &mut Page, line: &CostLine) {
    let quantity = line.quantity.map(|quantity| format!(": {quantity}")).unwrap_or_default();
    let unit = line.unit.as_ref().map(|unit| format!(" {}", unit.as_str())).unwrap_or_default();
    let price = line.unit_price.map(|price| format!(" × {price}")).unwrap_or_default();
    let amount = line.amount.map(|amount| format!(" = {amount}")).unwrap_or_default();
    let mut shown = same(&format!("- {}{quantity}{unit}{price}{amount}", line.name.as_str()));
    let rate = line.rate.map(|rate| format!("{rate} %"));
    let paid = |amount: Option<Money>| amount.filter(|amount| *amount != Money::default());
    let shares = [
        (words("; mức hưởng ", "; rate "), rate),
        (words("; BHYT trả ", "; fund "), paid(line.fund).map(|amount| amount.to_string())),
        (words("; cùng chi trả ", "; co-payment "), paid(line.co_payment).map(|amount| amount.to_string())),
        (words("; tự trả ", "; own payment "), paid(line.own).map(|amount| amount.to_string())),
        (words("; nguồn khác ", "; other sources "), paid(line.other).map(|amount| amount.to_string())),
    ];
    for (label, share) in shares {
        if let Some(share) = share {
            shown = join(&shown, "", &join(&label, "", &same(&share)));
        }
    }
    page.line(3, &shown);
}

fn notice(page: &mut Page, depth: usize, notice: &Notice) {
    let title = format!("{}  {}", notice.time.display_local(), notice.title.as_str());
    page.line(depth, &same(&title));
    if let Some(text) = &notice.text {
        page.line(depth + 1, &same(text.as_str()));
    }
}

fn info(info: &RecordInfo) -> Words {
    let (id, at) = (info.id, info.updated_at.display_local());
    let changes = |vi: &str, en: &str| match info.revision {
        0 => words("", ""),
        times => words(&format!(", {vi} {times} lần"), &format!(", {en} {times} time(s)")),
    };
    let changes = changes("thay đổi", "changed");
    words(
        &format!("[hồ sơ {id}, cập nhật {at}{}]", changes.vi),
        &format!("[record {id}, updated {at}{}]", changes.en),
    )
}

fn total_words(totals: &FundTotals) -> Words {
    let mut line = join(&words("tổng ", "total "), "", &totals.counted.words());
    let others = [
        (totals.paid_out, words(", đã hưởng ", ", paid out ")),
        (totals.reserved, words(", bảo lưu ", ", reserved ")),
        (totals.late, words(", chậm đóng ", ", late ")),
    ];
    for (months, label) in others.iter().filter(|(months, _)| *months != MonthCount(0)) {
        line = join(&line, "", &join(label, "", &months.words()));
    }
    line
}

fn preview_words(preview: &FiveYearsPreview) -> Words {
    let day = preview.full_from.first_day();
    match preview.state {
        FiveYears::Full => words(
            &format!("Tạm tính trên điện thoại, không thay cho ngày trên thẻ: đủ 5 năm từ {day}"),
            &format!("Preview by this phone, not in place of the card's date: five years full from {day}"),
        ),
        FiveYears::IfItGoesOn => words(
            &format!("Tạm tính trên điện thoại, nếu tham gia liên tục: đủ 5 năm từ {day}"),
            &format!("Preview by this phone, if insurance goes on: five years full from {day}"),
        ),
    }
}

fn shown<const MAX: usize>(text: Option<&Text<MAX>>) -> String {
    text.map(|text| text.as_str().to_owned()).unwrap_or_default()
}
