//! Official records with `--json`: amounts as text with a point, because no float holds them; times in seconds or in ISO
//! form as far as they are known.

use bhyt_core::records::{
    Adjustment, Benefit, Certificate, CivilTime, ContributionPeriod, CostLine, Fact, FiveYears, FundTotals,
    Money, Notice, Text, Visit,
};
use bhyt_sdk::{
    BenefitsView, ContributionsView, Freshness, NoticesView, RecordInfo, RevisionContent, RevisionView,
    VisitsView,
};
use serde_json::{Map, Value, json};

/// The contribution history.
pub(crate) fn contributions(view: &ContributionsView) -> Value {
    let funds = view.funds.iter().map(|fund| {
        let rows = fund.rows.iter().map(|row| with_info(&row.info, period(&row.period)));
        json!({
            "fund": fund.totals.fund.name(),
            "totals": totals(&fund.totals),
            "rows": rows.collect::<Vec<_>>(),
        })
    });
    let preview = view.five_years_preview.map(|preview| {
        json!({
            "since": preview.since.iso(),
            "months": preview.months,
            "full_from": preview.full_from.first_day().iso(),
            "full": preview.state == FiveYears::Full,
        })
    });
    json!({
        "funds": funds.collect::<Vec<_>>(),
        "five_years": view.five_years.map(|day| day.iso()),
        "five_years_preview": preview,
        "freshness": freshness(&view.freshness),
    })
}

/// The benefits.
pub(crate) fn benefits(view: &BenefitsView) -> Value {
    let tabs = view.tabs.iter().map(|tab| {
        let rows = tab.rows.iter().map(|row| with_info(&row.info, benefit(&row.benefit)));
        json!({ "kind": tab.kind.number(), "rows": rows.collect::<Vec<_>>() })
    });
    json!({ "kinds": tabs.collect::<Vec<_>>(), "freshness": freshness(&view.freshness) })
}

/// The visit book.
pub(crate) fn visits(view: &VisitsView) -> Value {
    let years = view.years.iter().map(|year| {
        let visits = year.visits.iter().map(|row| {
            let mut value = with_info(&row.info, visit(&row.visit));
            if let Value::Object(fields) = &mut value {
                fields.insert("missing_parts".to_owned(), row.missing_parts.into());
            }
            value
        });
        json!({ "year": year.year, "visits": visits.collect::<Vec<_>>() })
    });
    json!({ "years": years.collect::<Vec<_>>(), "freshness": freshness(&view.freshness) })
}

/// The notices.
pub(crate) fn notices(view: &NoticesView) -> Value {
    let notices = view.notices.iter().map(|row| with_info(&row.info, notice(&row.notice)));
    json!({ "notices": notices.collect::<Vec<_>>(), "freshness": freshness(&view.freshness) })
}

/// The history of one record.
pub(crate) fn history(revisions: &[RevisionView]) -> Value {
    let revisions = revisions.iter().map(|revision| {
        let fact = match &revision.content {
            RevisionContent::Stands(found) => fact(found),
            _ => Value::Null,
        };
        json!({
            "revision": revision.revision,
            "recorded_at": revision.recorded_at.0,
            "content": revision.content.name(),
            "fact": fact,
        })
    });
    Value::Array(revisions.collect())
}

fn fact(fact: &Fact) -> Value {
    match fact {
        Fact::Card(card) => json!({ "card": { "standing": format!("{:?}", card.standing) } }),
        Fact::Contribution(found) => json!({ "contribution": period(found) }),
        Fact::Benefit(found) => json!({ "benefit": benefit(found) }),
        Fact::Visit(found) => json!({ "visit": visit(found) }),
        Fact::VisitLines(found) => {
            json!({ "visit_lines": { "part": found.part, "lines": lines(&found.lines) } })
        }
        Fact::Notice(found) => json!({ "notice": notice(found) }),
    }
}

fn freshness(freshness: &Freshness) -> Value {
    json!({
        "signed_at": freshness.signed_at.map(|at| at.0),
        "data_age_s": freshness.data_age_seconds,
        "needs_update": freshness.needs_update,
        "unreadable": freshness.unreadable,
    })
}

fn with_info(info: &RecordInfo, value: Value) -> Value {
    let mut fields = Map::new();
    fields.insert("id".to_owned(), info.id.0.into());
    fields.insert("revision".to_owned(), info.revision.into());
    fields.insert("updated_at".to_owned(), info.updated_at.0.into());
    if let Value::Object(own) = value {
        fields.extend(own);
    }
    Value::Object(fields)
}

fn totals(totals: &FundTotals) -> Value {
    let conflicts =
        totals.conflicts.iter().map(|span| json!({ "from": span.from().iso(), "to": span.to().iso() }));
    json!({
        "months": totals.counted.0,
        "paid_out": totals.paid_out.0,
        "reserved": totals.reserved.0,
        "late": totals.late.0,
        "conflicts": conflicts.collect::<Vec<_>>(),
    })
}

fn period(period: &ContributionPeriod) -> Value {
    json!({
        "fund": period.fund.name(),
        "from": period.months.from().iso(),
        "to": period.months.to().iso(),
        "status": period.status.name(),
        "employer_code": text(period.employer_code.as_ref()),
        "employer": text(period.employer.as_ref()),
        "job": text(period.job.as_ref()),
        "workplace": text(period.workplace.as_ref()),
        "currency": period.currency.as_ref().map_or("VND", |currency| currency.as_str()),
        "salary": money(period.salary),
        "coefficient": period.coefficient.map(|number| number.plain()),
    })
}

fn benefit(benefit: &Benefit) -> Value {
    let slip = |slip: &Adjustment| {
        json!({
            "from": slip.from.iso(),
            "amount": slip.amount.plain(),
            "number": text(slip.number.as_ref()),
            "reason": text(slip.reason.as_ref()),
        })
    };
    json!({
        "kind": benefit.kind.number(),
        "regime": text(benefit.regime.as_ref()),
        "decision": text(benefit.decision.as_ref()),
        "decided": time(benefit.decided),
        "from": time(benefit.from),
        "to": time(benefit.to),
        "amount": money(benefit.amount),
        "payer": text(benefit.payer.as_ref()),
        "account": text(benefit.account.as_ref()),
        "bank": text(benefit.bank.as_ref()),
        "months": benefit.months,
        "adjustments": benefit.adjustments.iter().map(slip).collect::<Vec<_>>(),
    })
}

fn visit(visit: &Visit) -> Value {
    let totals = visit.totals.as_ref().map(|totals| {
        json!({
            "all": money(totals.all),
            "in_scope": money(totals.in_scope),
            "fund": money(totals.fund),
            "co_payment": money(totals.co_payment),
            "own": money(totals.own),
            "other": money(totals.other),
        })
    });
    let paper = |paper: &Certificate| {
        json!({
            "serial": paper.serial.as_str(),
            "kind": paper.kind.number(),
            "issued": paper.issued.map(|day| day.iso()),
            "state": paper.state.map(|state| state.number()),
        })
    };
    json!({
        "facility": visit.facility.as_str(),
        "facility_name": text(visit.facility_name.as_ref()),
        "case": visit.case.as_str(),
        "entered": visit.entered.iso(),
        "left": time(visit.left),
        "department": text(visit.department.as_ref()),
        "diagnosis": text(visit.diagnosis.as_ref()),
        "disease": text(visit.disease.as_ref()),
        "other_diseases": visit.other_diseases.iter().map(|code| code.as_str()).collect::<Vec<_>>(),
        "care_form": text(visit.care_form.as_ref()),
        "category": text(visit.category.as_ref()),
        "result": visit.result.map(|result| result.number()),
        "discharge": visit.discharge.map(|discharge| discharge.number()),
        "settled": time(visit.settled),
        "totals": totals,
        "lines": lines(&visit.lines),
        "certificates": visit.certificates.iter().map(paper).collect::<Vec<_>>(),
    })
}

fn lines(lines: &[CostLine]) -> Vec<Value> {
    let line = |line: &CostLine| {
        json!({
            "code": line.code.as_str(),
            "name": line.name.as_str(),
            "unit": text(line.unit.as_ref()),
            "quantity": line.quantity.map(|number| number.plain()),
            "unit_price": line.unit_price.map(|number| number.plain()),
            "rate": line.rate.map(|number| number.plain()),
            "amount": money(line.amount),
            "fund": money(line.fund),
            "other": money(line.other),
            "own": money(line.own),
            "co_payment": money(line.co_payment),
        })
    };
    lines.iter().map(line).collect()
}

fn notice(notice: &Notice) -> Value {
    json!({
        "title": notice.title.as_str(),
        "text": notice.text.as_ref().map(|text| text.as_str()),
        "time": notice.time.0,
        "about": notice.about.map(|record| record.0),
    })
}

fn text<const MAX: usize>(text: Option<&Text<MAX>>) -> Option<&str> {
    text.map(Text::as_str)
}

fn money(amount: Option<Money>) -> Option<String> {
    amount.map(Money::plain)
}

fn time(time: Option<CivilTime>) -> Option<String> {
    time.map(CivilTime::iso)
}
