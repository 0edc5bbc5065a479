//! What a phone shows: cards with their standing and age, and how up to date the phone is. Owned values, read in an
//! instant from what is held; nothing here waits or writes.

use bhyt_core::card::{CardClaims, Validity};
use bhyt_core::card_record::{CardRecord, CardStanding};
use bhyt_core::cose::{Signed, Verified};
use bhyt_core::grant::{Grant, GrantScope};
use bhyt_core::ids::{BindingNumber, MemberId};
use bhyt_core::keys::KeyId;
use bhyt_core::presentation_key::KeyKind;
use bhyt_core::record::Content;
use bhyt_core::time::{Day, UnixSeconds};
use bhyt_core::trust::{KeyUse, TrustBundle};

use crate::error::Problem;
use crate::held::{Held, HeldMember};
use crate::keys::{DeviceKeys, device_id};

/// One card of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardView {
    /// What the card says.
    pub claims: CardClaims,
    /// What the server last said became of it.
    pub standing: CardStanding,
    /// Standing and dates together, by this phone's clock.
    pub state: CardState,
    /// When the server recorded the latest of this.
    pub updated_at: UnixSeconds,
    /// This device's holds on the card; empty until the first sync after activation.
    pub bindings: Vec<BindingView>,
}

/// Whether a card can be used now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardState {
    /// It stands and is in its dates.
    InForce,
    /// Its first day is still to come.
    NotYetValid,
    /// Its last day is over.
    Expired,
    /// A new card was issued; this one still stands in its dates.
    Superseded,
    /// Tạm giữ.
    Held,
    /// Báo giảm.
    Reduced,
    /// Thu hồi.
    Withdrawn,
}

impl CardState {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::InForce => "in_force",
            Self::NotYetValid => "not_yet_valid",
            Self::Expired => "expired",
            Self::Superseded => "superseded",
            Self::Held => "held",
            Self::Reduced => "reduced",
            Self::Withdrawn => "withdrawn",
        }
    }

    fn of(claims: &CardClaims, standing: CardStanding, now: UnixSeconds) -> Self {
        match (standing, claims.validity_at(now)) {
            (CardStanding::Withdrawn, _) => Self::Withdrawn,
            (CardStanding::Reduced(_), _) => Self::Reduced,
            (_, Validity::NotYet) => Self::NotYetValid,
            (_, Validity::Over) => Self::Expired,
            (CardStanding::Held, _) => Self::Held,
            (CardStanding::Superseded, _) => Self::Superseded,
            (CardStanding::InForce, _) => Self::InForce,
        }
    }

    /// The card to show first comes first.
    fn rank(self) -> u8 {
        match self {
            Self::InForce => 0,
            Self::Superseded => 1,
            Self::NotYetValid => 2,
            Self::Held => 3,
            Self::Expired => 4,
            Self::Reduced => 5,
            Self::Withdrawn => 6,
        }
    }
}

/// This device's hold on a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BindingView {
    /// Its number.
    pub number: BindingNumber,
    /// The last day on which it counts; a sync renews it long before.
    pub end: Day,
}

/// How up to date a phone is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalletStatus {
    /// What the operator's list of devices calls this one.
    pub id: Option<KeyId>,
    /// The kind of this phone's presentation key; `None` while the key does not answer.
    pub presentation_key: Option<KeyKind>,
    /// Where the server is; `None` before the first activation.
    pub server: Option<String>,
    /// Who is on this phone.
    pub members: Vec<MemberStatus>,
    /// When a sync last went through, by this phone's clock.
    pub last_success: Option<UnixSeconds>,
    /// Seconds since then; `None` before the first.
    pub data_age_seconds: Option<u64>,
    /// How far the server's clock was ahead of this phone's at the last connection. A phone that is minutes off makes
    /// proofs that clinics do not take: tell the user to set the clock.
    pub server_ahead_seconds: Option<i64>,
    /// Version of the trust bundle in hand.
    pub trust_version: Option<u64>,
    /// When the next bundle is due.
    pub trust_expires: Option<UnixSeconds>,
    /// What kept the last sync from going through; `None` when it did.
    pub problem: Option<Problem>,
}

/// How up to date one member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberStatus {
    /// Who.
    pub member: MemberId,
    /// Records held.
    pub records: u64,
    /// When the server last signed the member's feed; `None` before the first sync.
    pub updated_at: Option<UnixSeconds>,
    /// Cards that can be shown.
    pub cards: usize,
    /// When the server signed a feed of this member that cannot stand beside the one held; `None` is as it should be.
    /// Stays when later syncs go through: [`crate::Wallet::fork_evidence`] is for the agency and the public.
    pub forked_at: Option<UnixSeconds>,
    /// The server was restored from a backup, does not know that this phone holds the member, and did not take what the
    /// phone has to show for it: it shows what it has, and is activated anew with a code.
    pub forgotten: bool,
    /// The grant by which a carer's phone holds the member; `None` of a member who is here in their own right.
    pub grant: Option<Grant>,
}

/// What proves that a server signed two feeds of one member: signed heads (COSE_Sign1 over `bhyt/head/v1`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForkEvidence {
    /// The one that this phone had verified; `None` when a program that did not keep it had.
    pub held: Option<Vec<u8>>,
    /// The first that parted from it.
    pub disputed: Vec<u8>,
}

/// A card with the bytes that are shown of it.
#[derive(Clone, Debug)]
pub(crate) struct ShownCard {
    pub(crate) view: CardView,
    /// The credential as issued.
    pub(crate) issued: Vec<u8>,
    /// The credential bound to this device whose binding ends last.
    pub(crate) bound: Option<Vec<u8>>,
}

/// The cards of a member, the one to show first in front. A card that no key of the bundle vouches for is left out.
pub(crate) fn shown_cards(member: &HeldMember, trust: &TrustBundle, now: UnixSeconds) -> Vec<ShownCard> {
    let bound = member.cached.credentials.iter().filter_map(|bytes| verify_card(bytes, trust));
    let bound: Vec<Verified<CardClaims>> = bound.collect();
    let mut cards: Vec<ShownCard> = member
        .cached
        .cards
        .iter()
        .filter_map(|record| {
            let Content::Body(body) = &record.content else { return None };
            let card = CardRecord::decode(body.as_bytes()).ok()?;
            show_card(card, record.time, &bound, trust, now)
        })
        .collect();
    // With the card alone there is no record of it: what is known is what was signed for this phone.
    if member.grant.as_ref().is_some_and(|held| held.grant.scope == GrantScope::Card) {
        let alone = bound.iter().map(|credential| CardRecord {
            credential: credential.bytes().to_vec(),
            standing: CardStanding::InForce,
        });
        let alone = alone.zip(&bound).filter_map(|(card, credential)| {
            show_card(card, credential.claims().issued_at, &bound, trust, now)
        });
        cards.extend(alone);
    }
    cards.sort_by_key(|card| {
        let newest_first = std::cmp::Reverse(card.view.claims.valid_from);
        (card.view.state.rank(), newest_first, card.view.claims.status_index)
    });
    cards
}

/// The status of a phone.
pub(crate) fn wallet_status(held: &Held, keys: &DeviceKeys, now: UnixSeconds) -> WalletStatus {
    let trust = held.trust.as_ref().map(Verified::claims);
    let today = held.today(now);
    let member_status = |(member, held): (&MemberId, &HeldMember)| MemberStatus {
        member: *member,
        records: held.cached.feed.mark().map_or(0, |head| head.extent.size),
        updated_at: held.cached.feed.mark().map(|head| head.time),
        cards: trust.map_or(0, |trust| shown_cards(held, trust, now).len()),
        forked_at: held.fork.as_ref().map(|fork| fork.time),
        forgotten: held.forgotten,
        grant: held.grant.as_ref().map(|held| held.grant),
    };
    WalletStatus {
        id: device_id(keys),
        presentation_key: keys.presentation.public_key().ok().map(|key| key.kind()),
        server: held.server.clone(),
        members: held.members.iter().filter(|(_, held)| held.is_held_on(today)).map(member_status).collect(),
        last_success: held.progress.last_success,
        data_age_seconds: held.progress.last_success.map(|last| now.since(last)),
        server_ahead_seconds: held.progress.server_ahead_seconds,
        trust_version: trust.map(|trust| trust.version),
        trust_expires: trust.map(|trust| trust.expires),
        problem: held.progress.problem,
    }
}

fn show_card(
    card: CardRecord,
    updated_at: UnixSeconds,
    bound: &[Verified<CardClaims>],
    trust: &TrustBundle,
    now: UnixSeconds,
) -> Option<ShownCard> {
    let claims = verify_card(&card.credential, trust)?.into_claims();
    let ours = bound.iter().filter(|credential| {
        let other = credential.claims();
        other.status_index == claims.status_index && other.number == claims.number
    });
    let mut bindings = Vec::new();
    let mut best: Option<(Day, &Verified<CardClaims>)> = None;
    for credential in ours {
        let Some(binding) = credential.claims().binding else { continue };
        bindings.push(BindingView { number: binding.number, end: binding.end });
        if best.is_none_or(|(end, _)| binding.end > end) {
            best = Some((binding.end, credential));
        }
    }
    let bound = best.map(|(_, credential)| credential.bytes().to_vec());
    let state = CardState::of(&claims, card.standing, now);
    let view = CardView { claims, standing: card.standing, state, updated_at, bindings };
    Some(ShownCard { view, issued: card.credential, bound })
}

/// Claims are read only from a credential that a card key of the bundle signed.
pub(crate) fn verify_card(bytes: &[u8], trust: &TrustBundle) -> Option<Verified<CardClaims>> {
    let signed = Signed::<CardClaims>::decode(bytes).ok()?;
    let key = trust.key(signed.key_id(), KeyUse::Card)?;
    signed.verify(&key.key).ok()
}
