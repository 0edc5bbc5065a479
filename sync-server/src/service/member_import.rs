//! Import of members: rows are judged one after the other against the store and the rows before them, and written in as
//! few commits as their keys allow. A row that says what is known already changes nothing, so a file may be sent again.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use bhyt_core::ids::{MemberId, Sex};
use bhyt_core::limits::IMPORT_ROWS_MAX;
use bhyt_core::sync::admin::{MemberRow, RowField, RowOutcome, RowReason};
use bhyt_core::sync::audit::{AuditAction, AuditSubject};
use bhyt_core::sync::messages::Refusal;

use super::docs::{Found, OpenMember, decode, write};
use super::fault::{ServiceFault, Stop};
use super::members::alias_member;
use super::operations::Operation;
use super::rows::{MemberFields, demanded, fault};
use super::values::{AliasV1, MemberDetailsV1};
use super::{ATTEMPTS_MAX, Counting, Draft, Service};
use crate::store::{COMMIT_KEYS_MAX, Commit, DocKey, DocWrite, Expected, Outcome, Store};

/// What a commit of rows will write, and what the rows after have to know of it.
#[derive(Default)]
struct Staged {
    aliases: BTreeMap<DocKey, StagedAlias>,
    members: BTreeMap<MemberId, StagedMember>,
}

struct StagedAlias {
    expected: Expected,
    before: Option<MemberId>,
    now: Option<MemberId>,
}

struct StagedMember {
    open: OpenMember,
    changed: bool,
}

impl Staged {
    fn added(&self) -> u64 {
        let absent = |member: &&StagedMember| member.open.expected == Expected::Absent;
        self.members.values().filter(absent).count() as u64
    }

    /// Keys that the commit has so far.
    fn keys(&self) -> usize {
        let changed = |alias: &&StagedAlias| alias.before != alias.now;
        let members = self.members.values().filter(|member| member.changed);
        members.count() + self.aliases.values().filter(changed).count()
    }
}

impl<S: Store> Service<S> {
    /// Stores or amends members, one outcome a row.
    pub(crate) async fn import_members(
        &self,
        operation: &Operation,
        rows: &[MemberRow],
    ) -> Result<Vec<RowOutcome>, Stop> {
        if rows.len() > IMPORT_ROWS_MAX {
            return Err(Refusal::Malformed.into());
        }
        let mut outcomes = Vec::with_capacity(rows.len());
        let mut lost = 0;
        while let Some(rest) = rows.get(outcomes.len()..).filter(|rest| !rest.is_empty()) {
            let mut staged = Staged::default();
            let mut judged = Vec::new();
            for row in rest {
                judged.push(self.stage_row(&mut staged, row).await?);
                if staged.keys() + KEYS_OF_A_ROW > COMMIT_KEYS_MAX {
                    break;
                }
            }
            let stored = judged.iter().filter(|outcome| **outcome == RowOutcome::Stored).count();
            if self.commit_rows(operation, &staged, stored).await? == Outcome::Applied {
                outcomes.extend(judged);
                continue;
            }
            lost += 1;
            if lost >= ATTEMPTS_MAX {
                return Err(ServiceFault::LostRaces { attempts: lost }.into());
            }
        }
        Ok(outcomes)
    }

    async fn commit_rows(
        &self,
        operation: &Operation,
        staged: &Staged,
        rows: usize,
    ) -> Result<Outcome, ServiceFault> {
        if staged.keys() == 0 {
            return Ok(Outcome::Applied);
        }
        let mut docs = Vec::with_capacity(staged.keys() + 2);
        for member in staged.members.values().filter(|member| member.changed) {
            docs.push(member.open.write(&*self.entropy)?);
        }
        for (key, alias) in &staged.aliases {
            if alias.before != alias.now {
                docs.push(alias_write(key, alias)?);
            }
        }
        let rows = u32::try_from(rows).unwrap_or(u32::MAX);
        docs.push(self.audit(operation, AuditAction::ImportMembers, AuditSubject::Nothing, rows)?);
        let commit = Commit { docs, ..Commit::default() };
        let members = staged.added();
        if members == 0 {
            let draft = Draft { commit, ..Draft::default() };
            return self.commit(draft).await;
        }
        let mut lease = self.lease_slot().await?;
        let counting = Counting { lease: &mut lease, members, cards: 0 };
        let draft = Draft { commit, counting: Some(counting), ..Draft::default() };
        self.commit(draft).await
    }

    async fn stage_row(&self, staged: &mut Staged, row: &MemberRow) -> Result<RowOutcome, ServiceFault> {
        let fields = match MemberFields::parse(row) {
            Ok(fields) => fields,
            Err(fault) => return Ok(RowOutcome::Failed(fault)),
        };
        let social_key = self.vault.social_alias(&fields.social_number);
        let owner = self.staged_alias(staged, &social_key).await?;
        let personal_key = fields.personal_number.as_ref().map(|number| self.vault.personal_alias(number));
        if let Some(key) = &personal_key {
            let bearer = self.staged_alias(staged, key).await?;
            if bearer.is_some() && bearer != owner {
                let fault = fault(RowField::PersonalId, RowReason::Conflict);
                return Ok(RowOutcome::Failed(fault));
            }
        }
        let outcome = match owner {
            Some(owner) => self.amend(staged, owner, &fields).await?,
            None => self.add(staged, &social_key, fields),
        };
        Ok(outcome)
    }

    fn add(&self, staged: &mut Staged, social_key: &DocKey, fields: MemberFields) -> RowOutcome {
        let name = demanded(RowField::FullName, fields.full_name);
        let birth = demanded(RowField::BirthDate, fields.birth_date);
        let (full_name, birth_date) = match (name, birth) {
            (Ok(name), Ok(birth)) => (name, birth),
            (Err(fault), _) | (_, Err(fault)) => return RowOutcome::Failed(fault),
        };
        let (id, key, wrapped_key) = self.vault.make_member(&*self.entropy);
        claim(staged, social_key, id);
        if let Some(number) = &fields.personal_number {
            claim(staged, &self.vault.personal_alias(number), id);
        }
        let details = MemberDetailsV1 {
            social_number: fields.social_number,
            personal_number: fields.personal_number,
            full_name,
            birth_date,
            sex: fields.sex.unwrap_or(Sex::Unknown),
            phone: fields.phone.unwrap_or_default(),
            address: fields.address.unwrap_or_default(),
            cards: Vec::new(),
            devices: Vec::new(),
        };
        let open = OpenMember { id, expected: Expected::Absent, key, wrapped_key, details };
        staged.members.insert(id, StagedMember { open, changed: true });
        RowOutcome::Stored
    }

    /// Absent fields keep what is stored.
    async fn amend(
        &self,
        staged: &mut Staged,
        id: MemberId,
        fields: &MemberFields,
    ) -> Result<RowOutcome, ServiceFault> {
        let member = match staged.members.entry(id) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(place) => {
                let missing = ServiceFault::Inconsistent { what: "member" };
                let open = self.open_member(id).await?.ok_or(missing)?;
                place.insert(StagedMember { open, changed: false })
            }
        };
        let before = member.open.details.clone();
        let details = &mut member.open.details;
        set(&mut details.full_name, &fields.full_name);
        set(&mut details.birth_date, &fields.birth_date);
        set(&mut details.sex, &fields.sex);
        set(&mut details.phone, &fields.phone);
        set(&mut details.address, &fields.address);
        if fields.personal_number.is_some() {
            details.personal_number.clone_from(&fields.personal_number);
        }
        if *details == before {
            return Ok(RowOutcome::Unchanged);
        }
        member.changed = true;
        if let Some(number) = &fields.personal_number {
            let old = before.personal_number.filter(|old| old != number);
            if let Some(old) = old {
                let key = self.vault.personal_alias(&old);
                self.staged_alias(staged, &key).await?;
                if let Some(alias) = staged.aliases.get_mut(&key) {
                    alias.now = None;
                }
            }
            claim(staged, &self.vault.personal_alias(number), id);
        }
        Ok(RowOutcome::Stored)
    }

    /// Whose alias this is, after the rows so far.
    async fn staged_alias(
        &self,
        staged: &mut Staged,
        key: &DocKey,
    ) -> Result<Option<MemberId>, ServiceFault> {
        if let Some(alias) = staged.aliases.get(key) {
            return Ok(alias.now);
        }
        let doc = self.store.doc_get(key).await?;
        let found: Option<Found<AliasV1>> = doc.map(|doc| decode("alias", &doc)).transpose()?;
        let before = found.as_ref().map(alias_member).transpose()?;
        let expected = found.map_or(Expected::Absent, |found| Expected::Revision(found.revision));
        let alias = StagedAlias { expected, before, now: before };
        staged.aliases.insert(key.clone(), alias);
        Ok(before)
    }
}

/// Gives an alias, which was looked up before, to a member.
fn claim(staged: &mut Staged, key: &DocKey, member: MemberId) {
    if let Some(alias) = staged.aliases.get_mut(key) {
        alias.now = Some(member);
    }
}

fn set<T: Clone>(to: &mut T, from: &Option<T>) {
    if let Some(value) = from {
        to.clone_from(value);
    }
}

fn alias_write(key: &DocKey, alias: &StagedAlias) -> Result<DocWrite, ServiceFault> {
    match alias.now {
        Some(member) => write("alias", key.clone(), alias.expected, &AliasV1::Member(member)),
        None => Ok(DocWrite { key: key.clone(), expected: alias.expected, bytes: None }),
    }
}

/// A row writes a member and an alias, moves another, and the commit has a slot and an audit line besides.
const KEYS_OF_A_ROW: usize = 4 + 2;
