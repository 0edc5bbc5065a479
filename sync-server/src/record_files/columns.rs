//! CSV tables of records: their columns, and a row as a record. Codes are numbers or words, amounts have a point for their
//! decimals (`5453400.00`), dates are `yyyy-MM-dd` or `dd/MM/yyyy`, months `yyyy-MM` or `MM/yyyy`.

use bhyt_core::limits::ADJUSTMENTS_MAX;
use bhyt_core::records::{
    Adjustment, Benefit, BenefitKind, CivilTime, Coefficient, ContributionPeriod, Fact, Fund, Lines, Money,
    Month, MonthSpan, MonthStatus, Notice,
};
use bhyt_core::time::{Day, UnixSeconds};
use sha2::{Digest, Sha256};

use super::fields::{FieldFault, Fields, code_number};
use super::{FoundRecord, new_record};

/// A table whose rows are a record each; visits have rows of their own, see `visit_rows`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainTable {
    /// Contribution periods.
    Contributions,
    /// Benefits.
    Benefits,
    /// Notices.
    Notices,
}

impl PlainTable {
    /// Names of the columns; the first [`Self::required`] have to be there.
    pub fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Contributions => &[
                "member",
                "fund",
                "from",
                "to",
                "status",
                "employer_code",
                "employer",
                "job",
                "workplace",
                "salary",
                "coefficient",
                "currency",
            ],
            Self::Benefits => &[
                "member",
                "kind",
                "regime",
                "decision",
                "decided",
                "from",
                "to",
                "amount",
                "payer",
                "account",
                "bank",
                "months",
                "adjustments",
            ],
            Self::Notices => &["member", "id", "title", "time", "text"],
        }
    }

    /// How many of the columns have to be there.
    pub fn required(self) -> usize {
        match self {
            Self::Contributions => 4,
            Self::Benefits => 2,
            Self::Notices => 4,
        }
    }

    /// Reads a row.
    ///
    /// # Errors
    /// [`FieldFault`] for the first field that is not as it has to be.
    pub fn read<'r>(self, text_of: &'r dyn Fn(&str) -> &'r str) -> Result<FoundRecord, FieldFault> {
        let fields = Fields::new(text_of);
        let member = fields.need("member", |text| Some(text.to_owned()))?;
        let fact = match self {
            Self::Contributions => Fact::Contribution(contribution(&fields)?),
            Self::Benefits => Fact::Benefit(benefit(&fields)?),
            Self::Notices => Fact::Notice(notice(&fields)?),
        };
        let record = new_record(&fact)?;
        Ok(FoundRecord { member, also: String::new(), record, only_if_new: false })
    }
}

fn contribution(fields: &Fields<'_>) -> Result<ContributionPeriod, FieldFault> {
    let (from, to) = (fields.need("from", Month::parse)?, fields.need("to", Month::parse)?);
    Ok(ContributionPeriod {
        fund: fields.need("fund", fund)?,
        months: MonthSpan::new(from, to).ok_or(FieldFault { field: "to", reason: "conflict" })?,
        status: fields.may("status", month_status)?.unwrap_or(MonthStatus::Counted),
        employer_code: fields.line("employer_code")?,
        employer: fields.line("employer")?,
        job: fields.line("job")?,
        workplace: fields.line("workplace")?,
        salary: fields.may("salary", Money::parse)?,
        coefficient: fields.may("coefficient", Coefficient::parse)?,
        // What is absent is đồng.
        currency: fields.line("currency")?.filter(|currency| currency.as_str() != "VND"),
    })
}

fn benefit(fields: &Fields<'_>) -> Result<Benefit, FieldFault> {
    Ok(Benefit {
        kind: fields.need("kind", benefit_kind)?,
        regime: fields.line("regime")?,
        decision: fields.line("decision")?,
        decided: fields.may("decided", CivilTime::parse)?,
        from: fields.may("from", CivilTime::parse)?,
        to: fields.may("to", CivilTime::parse)?,
        amount: fields.may("amount", Money::parse)?,
        payer: fields.line("payer")?,
        account: fields.line("account")?,
        bank: fields.line("bank")?,
        months: fields.may("months", code_number)?,
        adjustments: fields.may("adjustments", adjustments)?.unwrap_or_default(),
    })
}

fn notice(fields: &Fields<'_>) -> Result<Notice, FieldFault> {
    Ok(Notice {
        id: notice_id(fields.need("id", |text| Some(text.to_owned()))?.as_str()),
        title: fields.need_line("title")?,
        text: fields.may("text", Lines::normalise)?,
        time: fields.need("time", moment)?,
        about: None,
    })
}

/// The first half of SHA-256(`bhyt/notice-id/v1` ‖ what the agency calls it).
fn notice_id(text: &str) -> [u8; 16] {
    let hash = Sha256::new().chain_update(b"bhyt/notice-id/v1").chain_update(text).finalize();
    let mut id = [0; 16];
    id.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    id
}

fn fund(text: &str) -> Option<Fund> {
    match text.to_uppercase().as_str() {
        "BHXH" => Some(Fund::Bhxh),
        "BHTN" => Some(Fund::Bhtn),
        "BHTNLD-BNN" | "BHTNLĐ-BNN" => Some(Fund::BhtnldBnn),
        "BHYT" => Some(Fund::Bhyt),
        number => Fund::from_number(code_number(number)?.into()),
    }
}

fn month_status(text: &str) -> Option<MonthStatus> {
    match text.to_lowercase().as_str() {
        "counted" => Some(MonthStatus::Counted),
        "paid_out" => Some(MonthStatus::PaidOut),
        "reserved" => Some(MonthStatus::Reserved),
        "late" => Some(MonthStatus::Late),
        number => MonthStatus::from_number(code_number(number)?.into()),
    }
}

fn benefit_kind(text: &str) -> Option<BenefitKind> {
    match text.to_lowercase().as_str() {
        "one_off" => Some(BenefitKind::OneOff),
        "short_term" => Some(BenefitKind::ShortTerm),
        "monthly" => Some(BenefitKind::Monthly),
        "unemployment" => Some(BenefitKind::Unemployment),
        // Only what we know ourselves: an unknown number would be a slip.
        number => {
            Some(BenefitKind::from(code_number(number)?)).filter(|kind| BenefitKind::KNOWN.contains(kind))
        }
    }
}

/// `date=amount` between semicolons, oldest first.
fn adjustments(text: &str) -> Option<Vec<Adjustment>> {
    let parse = |part: &str| {
        let (from, amount) = part.split_once('=')?;
        let (from, amount) = (Day::parse(from.trim())?, Money::parse(amount.trim())?);
        Some(Adjustment { from, amount, number: None, reason: None })
    };
    let parts: Option<Vec<_>> = text.split(';').take(ADJUSTMENTS_MAX + 1).map(parse).collect();
    parts.filter(|parts| parts.len() <= ADJUSTMENTS_MAX)
}

/// A day, or a minute of one, in Vietnam.
fn moment(text: &str) -> Option<UnixSeconds> {
    let at = CivilTime::parse(text)?;
    let (day, minutes) = match at {
        CivilTime::Day(day) => (day, 0),
        CivilTime::Minute(at) => (at.day(), at.minute()),
        CivilTime::Year(_) | CivilTime::Month(_) => return None,
    };
    Some(day.start().plus(u64::from(minutes) * 60))
}
