//! The record views of [`Wallet`]. They read the cache, page by page, and write nothing: they wait for the disk, never for
//! the network, so call them where a millisecond may be waited for.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use bhyt_core::ids::MemberId;
use bhyt_core::record::{RecordKind, Seq};
use bhyt_core::records::{
    BenefitKind, ContinuityRule, ContributionPeriod, Fact, FiveYearsPreview, Fund, FundTotals, Month, Visit,
    VisitLines,
};

use crate::error::SdkError;
use crate::record_book::{RecordBook, Standing, revision};
use crate::records::{
    BenefitTab, BenefitView, BenefitsView, ContributionView, ContributionsView, Freshness, FundView,
    NoticeView, NoticesView, RecordInfo, RevisionView, VisitView, VisitYear, VisitsView, benefit_time,
};
use crate::view::CardState;
use crate::wallet::Wallet;

impl Wallet {
    /// The contribution history of a member (quá trình tham gia).
    pub fn contributions(&self, member: MemberId) -> Result<ContributionsView, SdkError> {
        let (standing, freshness) = self.standing(member, &[RecordKind::ContributionPeriod])?;
        let rows = standing.facts.into_iter().filter_map(|(info, fact)| match fact {
            Fact::Contribution(period) => Some(ContributionView { info, period }),
            _ => None,
        });
        let mut rows: Vec<ContributionView> = rows.collect();
        rows.sort_by_key(|row| Reverse((row.period.months.to(), row.period.months.from(), row.info.id)));
        let periods: Vec<ContributionPeriod> = rows.iter().map(|row| row.period.clone()).collect();
        let this_month = Month::of(self.engine.clock.now().day());
        let preview = FiveYearsPreview::of(&periods, ContinuityRule::default(), this_month);
        let (mut funds, mut left) = (Vec::new(), rows);
        for fund in Fund::ALL {
            let (rows, others) = left.into_iter().partition(|row| row.period.fund == *fund);
            funds.push(FundView { rows, totals: FundTotals::of(*fund, &periods) });
            left = others;
        }
        let card = self.cards(member).into_iter().find(|card| card.state == CardState::InForce);
        let five_years = card.and_then(|card| card.claims.five_years);
        Ok(ContributionsView { funds, five_years, five_years_preview: preview, freshness })
    }

    /// The benefits that a member has drawn (thông tin hưởng).
    pub fn benefits(&self, member: MemberId) -> Result<BenefitsView, SdkError> {
        let (standing, freshness) = self.standing(member, &[RecordKind::Benefit])?;
        let mut tabs: BTreeMap<BenefitKind, Vec<BenefitView>> = BTreeMap::new();
        BenefitKind::KNOWN.iter().for_each(|kind| drop(tabs.insert(*kind, Vec::new())));
        for (info, fact) in standing.facts {
            if let Fact::Benefit(benefit) = fact {
                tabs.entry(benefit.kind).or_default().push(BenefitView { info, benefit });
            }
        }
        let tab = |(kind, mut rows): (BenefitKind, Vec<BenefitView>)| {
            rows.sort_by_key(|row| Reverse((benefit_time(&row.benefit), row.info.id)));
            BenefitTab { kind, rows }
        };
        Ok(BenefitsView { tabs: tabs.into_iter().map(tab).collect(), freshness })
    }

    /// The visit book of a member (sổ khám chữa bệnh), of all years or of one.
    pub fn visits(&self, member: MemberId, year: Option<i32>) -> Result<VisitsView, SdkError> {
        let (standing, freshness) = self.standing(member, &[RecordKind::Visit, RecordKind::VisitLines])?;
        let mut visits: Vec<(RecordInfo, Visit)> = Vec::new();
        let mut parts: BTreeMap<[u8; 16], Vec<VisitLines>> = BTreeMap::new();
        for (info, fact) in standing.facts {
            match fact {
                Fact::Visit(visit) if year.is_none_or(|year| visit.entered.in_year() == year) => {
                    visits.push((info, *visit));
                }
                Fact::VisitLines(lines) => parts.entry(lines.visit).or_default().push(lines),
                _ => {}
            }
        }
        let mut years: BTreeMap<Reverse<i32>, Vec<VisitView>> = BTreeMap::new();
        visits.sort_by_key(|(info, visit)| Reverse((visit.entered, info.id)));
        for (info, mut visit) in visits {
            let joined = visit.join(parts.get(&visit.source_key().0).into_iter().flatten());
            let missing_parts = u32::try_from(joined.missing_parts).unwrap_or(u32::MAX);
            visit.lines = joined.lines.into_iter().cloned().collect();
            years.entry(Reverse(visit.entered.in_year())).or_default().push(VisitView {
                info,
                visit,
                missing_parts,
            });
        }
        let years = years.into_iter().map(|(Reverse(year), visits)| VisitYear { year, visits });
        Ok(VisitsView { years: years.collect(), freshness })
    }

    /// What the agency has told a member (thông báo).
    pub fn notices(&self, member: MemberId) -> Result<NoticesView, SdkError> {
        let (standing, freshness) = self.standing(member, &[RecordKind::Notice])?;
        let notices = standing.facts.into_iter().filter_map(|(info, fact)| match fact {
            Fact::Notice(notice) => Some(NoticeView { info, notice }),
            _ => None,
        });
        let mut notices: Vec<NoticeView> = notices.collect();
        notices.sort_by_key(|row| Reverse((row.notice.time, row.info.id)));
        Ok(NoticesView { notices, freshness })
    }

    /// All revisions of one record, oldest first, retractions among them; empty when there is no such record.
    pub fn history(&self, member: MemberId, record: Seq) -> Result<Vec<RevisionView>, SdkError> {
        let store = &self.engine.side;
        store.read_feed(member, self.engine.clock.now(), Vec::new, |revisions, page, end| {
            let ours = page.records().filter(|(seq, found)| *seq < end && found.first_seq == record);
            revisions.extend(ours.map(|(_, found)| revision(found)));
        })
    }

    fn standing(
        &self,
        member: MemberId,
        kinds: &'static [RecordKind],
    ) -> Result<(Standing, Freshness), SdkError> {
        let book = self.engine.side.read_feed(
            member,
            self.engine.clock.now(),
            || RecordBook::of(kinds),
            |book, page, end| book.take(page, end),
        )?;
        let standing = book.standing();
        let held = self.engine.side.held();
        let signed_at = held.members.get(&member).and_then(|held| Some(held.cached.feed.mark()?.time));
        let now = self.engine.clock.now();
        let freshness = Freshness {
            signed_at,
            data_age_seconds: held.progress.last_success.map(|last| now.since(last)),
            needs_update: standing.needs_update,
            unreadable: standing.unreadable,
        };
        Ok((standing, freshness))
    }
}
