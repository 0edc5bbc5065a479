//! The card credential: a CWT claims set (RFC 8392) in a COSE_Sign1, `bhyt/card/v1`. Bytes: `docs/formats.md`, "Card".

use minicbor::Decoder;
use minicbor::data::Type;

use crate::cbor::{self, DecodeError, Key, read_map};
use crate::cose::{Object, Payload};
use crate::ids::{
    BenefitLevel, BindingNumber, CardNumber, FacilityCode, FullName, LivingArea, Sex, SocialNumber,
    StatusIndex,
};
use crate::limits::CARD_BYTES_MAX;
use crate::presentation_key::PresentationKey;
use crate::time::{BirthDate, Day, UnixSeconds};

/// What a card says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardClaims {
    /// The number as printed.
    pub number: CardNumber,
    /// First day of validity.
    pub valid_from: Day,
    /// Last day of validity; `None` on an open-ended card.
    pub valid_to: Option<Day>,
    /// When the operator signed.
    pub issued_at: UnixSeconds,
    /// The device that holds this credential; `None` on a card as issued.
    pub binding: Option<Binding>,
    /// Mã số BHXH.
    pub social_number: SocialNumber,
    /// Full name.
    pub full_name: FullName,
    /// Birth date as far as known.
    pub birth_date: BirthDate,
    /// Sex.
    pub sex: Sex,
    /// Initial facility.
    pub facility: FacilityCode,
    /// When five continuous years were or will be reached.
    pub five_years: Option<Day>,
    /// Living area.
    pub area: Option<LivingArea>,
    /// Benefit level.
    pub level: BenefitLevel,
    /// Place in the status list.
    pub status_index: StatusIndex,
}

/// One device's hold on a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The presentation key (RFC 8747 `cnf`).
    pub key: PresentationKey,
    /// The number that the status list retires it by.
    pub number: BindingNumber,
    /// The last day on which it counts.
    pub end: Day,
}

impl CardClaims {
    /// Whether `at` lies before, inside or after nbf ≤ t < exp.
    pub fn validity_at(&self, at: UnixSeconds) -> Validity {
        if at < self.valid_from.start() {
            Validity::NotYet
        } else if self.valid_to.is_some_and(|last| at >= last.end()) {
            Validity::Over
        } else {
            Validity::Valid
        }
    }
}

/// Where an instant lies against a card's dates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// Before the first day.
    NotYet,
    /// Inside.
    Valid,
    /// After the last day.
    Over,
}

impl Payload for CardClaims {
    const OBJECT: Object = Object::Card;
    const BYTES_MAX: usize = CARD_BYTES_MAX;

    fn encode(&self) -> Vec<u8> {
        let length = 5 + u64::from(self.valid_to.is_some()) + u64::from(self.binding.is_some());
        cbor::encode(|e| {
            // RFC 8392 §3.1: 1 iss, 2 sub, 4 exp, 5 nbf, 6 iat; RFC 8747 §3.1: 8 cnf
            e.map(length)?.u8(1)?.str(ISSUER)?.u8(2)?.str(self.number.as_str())?;
            if let Some(last) = self.valid_to {
                e.u8(4)?.u64(last.end().0)?;
            }
            e.u8(5)?.u64(self.valid_from.start().0)?.u8(6)?.u64(self.issued_at.0)?;
            if let Some(binding) = &self.binding {
                e.u8(8)?.map(1)?.u8(1)?;
                e.writer_mut().extend_from_slice(&binding.key.to_cose_key());
            }
            e.i32(CARD_MAP)?;
            e.writer_mut().extend_from_slice(&self.encode_card_map());
            Ok(())
        })
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut draft = Draft::default();
        let mut decoder = cbor::decoder(bytes)?;
        read_map(&mut decoder, |key, d| draft.read_claim(key, d))?;
        draft.finish().ok_or(DecodeError::Malformed("card claims"))?
    }
}

impl CardClaims {
    fn encode_card_map(&self) -> Vec<u8> {
        let implied = self.number.social_number().as_ref() == Some(&self.social_number);
        let optional = [!implied, self.five_years.is_some(), self.area.is_some()];
        let length = 6 + optional.map(u64::from).iter().sum::<u64>() + 2 * u64::from(self.binding.is_some());
        cbor::encode(|e| {
            e.map(length)?;
            if !implied {
                e.u8(1)?.str(self.social_number.as_str())?;
            }
            e.u8(2)?.str(self.full_name.as_str())?.u8(3)?;
            match self.birth_date {
                BirthDate::Day(day) => e.i64(day.days())?,
                partial => e.str(&partial.iso())?,
            };
            e.u8(4)?.u64(self.sex.code())?.u8(5)?.str(self.facility.as_str())?;
            if let Some(day) = self.five_years {
                e.u8(6)?.i64(day.days())?;
            }
            if let Some(area) = &self.area {
                e.u8(7)?.str(area.as_str())?;
            }
            e.u8(8)?.u8(self.level.value())?.u8(9)?.u32(self.status_index.0)?;
            if let Some(binding) = &self.binding {
                e.u8(10)?.u8(binding.number.value())?.u8(11)?.i64(binding.end.days())?;
            }
            Ok(())
        })
    }
}

/// The claims as they come in, each at most once (the deterministic check has refused duplicates).
#[derive(Default)]
struct Draft {
    issuer: Option<()>,
    number: Option<CardNumber>,
    valid_to: Option<Day>,
    valid_from: Option<Day>,
    issued_at: Option<UnixSeconds>,
    holder_key: Option<PresentationKey>,
    card: CardDraft,
}

#[derive(Default)]
struct CardDraft {
    social_number: Option<SocialNumber>,
    full_name: Option<FullName>,
    birth_date: Option<BirthDate>,
    sex: Option<Sex>,
    facility: Option<FacilityCode>,
    five_years: Option<Day>,
    area: Option<LivingArea>,
    level: Option<BenefitLevel>,
    status_index: Option<StatusIndex>,
    binding_number: Option<BindingNumber>,
    binding_end: Option<Day>,
}

impl Draft {
    fn read_claim(&mut self, key: i64, d: &mut Decoder<'_>) -> Result<Key, DecodeError> {
        match key {
            1 => {
                self.issuer =
                    Some((d.str()? == ISSUER).then_some(()).ok_or(DecodeError::Malformed("issuer"))?)
            }
            2 => self.number = Some(parsed(CardNumber::parse(d.str()?))?),
            4 => self.valid_to = Some(read_day_end(d)?),
            5 => self.valid_from = Some(read_day_start(d)?),
            6 => self.issued_at = Some(UnixSeconds(d.u64()?)),
            8 => self.holder_key = Some(read_cnf(d)?),
            _ if key == i64::from(CARD_MAP) => read_map(d, |key, d| self.card.read_field(key, d))?,
            _ => return Ok(Key::Unknown),
        }
        Ok(Key::Known)
    }

    /// `None` when a required claim is missing or the binding's three parts are not all there or all absent.
    fn finish(self) -> Option<Result<CardClaims, DecodeError>> {
        let (number, card) = (self.number?, self.card);
        self.issuer?;
        let binding = match (self.holder_key, card.binding_number, card.binding_end) {
            (Some(key), Some(number), Some(end)) => Some(Binding { key, number, end }),
            (None, None, None) => None,
            _ => return None,
        };
        let implied = number.social_number();
        if card.social_number.is_some() && card.social_number == implied {
            return Some(Err(DecodeError::Malformed("number stands twice")));
        }
        let valid_from = self.valid_from?;
        if self.valid_to.is_some_and(|last| last < valid_from) {
            return Some(Err(DecodeError::Malformed("card ends before it begins")));
        }
        Some(Ok(CardClaims {
            social_number: card.social_number.or(implied)?,
            number,
            valid_from,
            valid_to: self.valid_to,
            issued_at: self.issued_at?,
            binding,
            full_name: card.full_name?,
            birth_date: card.birth_date?,
            sex: card.sex?,
            facility: card.facility?,
            five_years: card.five_years,
            area: card.area,
            level: card.level?,
            status_index: card.status_index?,
        }))
    }
}

impl CardDraft {
    fn read_field(&mut self, key: i64, d: &mut Decoder<'_>) -> Result<Key, DecodeError> {
        match key {
            1 => self.social_number = Some(parsed(SocialNumber::parse(d.str()?))?),
            2 => self.full_name = Some(parsed(FullName::parse(d.str()?))?),
            3 => {
                self.birth_date = Some(match d.datatype()? {
                    Type::String => parsed(BirthDate::parse_partial(d.str()?))?,
                    _ => BirthDate::Day(read_days(d)?),
                });
            }
            4 => self.sex = Some(parsed(Sex::from_code(d.u64()?))?),
            5 => self.facility = Some(parsed(FacilityCode::parse(d.str()?))?),
            6 => self.five_years = Some(read_days(d)?),
            7 => self.area = Some(parsed(LivingArea::parse(d.str()?))?),
            8 => self.level = Some(parsed(BenefitLevel::new(d.u64()?))?),
            9 => self.status_index = Some(StatusIndex(d.u32()?)),
            10 => self.binding_number = Some(parsed(BindingNumber::new(d.u64()?))?),
            11 => self.binding_end = Some(read_days(d)?),
            _ => return Ok(Key::Unknown),
        }
        Ok(Key::Known)
    }
}

/// A whole day's first second, as nbf carries it.
fn read_day_start(d: &mut Decoder<'_>) -> Result<Day, DecodeError> {
    let at = UnixSeconds(d.u64()?);
    // Zero is where the days before 1970-01-02 are cut off, and is the start of none.
    let is_start = at.day().start() == at && at.0 > 0;
    is_start.then_some(at.day()).ok_or(DecodeError::Malformed("not the start of a day"))
}

/// The last day, of whose end exp tells.
fn read_day_end(d: &mut Decoder<'_>) -> Result<Day, DecodeError> {
    let at = UnixSeconds(d.u64()?);
    let last = at.minus(1).day();
    let is_end = last.end() == at && at.0 > 0;
    is_end.then_some(last).ok_or(DecodeError::Malformed("not the end of a day"))
}

fn read_days(d: &mut Decoder<'_>) -> Result<Day, DecodeError> {
    parsed(Day::from_days(d.i64()?))
}

/// RFC 8747 §3.2: cnf {1: COSE_Key}. A key by another member than 1 is a newer card's.
fn read_cnf(d: &mut Decoder<'_>) -> Result<PresentationKey, DecodeError> {
    let mut found = None;
    read_map(d, |key, d| match key {
        1 => {
            found = Some(PresentationKey::read(d)?);
            Ok(Key::Known)
        }
        _ => Ok(Key::Unknown),
    })?;
    found.ok_or(DecodeError::NeedsUpdate)
}

fn parsed<T>(value: Option<T>) -> Result<T, DecodeError> {
    value.ok_or(DecodeError::Malformed("card field"))
}

const ISSUER: &str = "BHXH";
const CARD_MAP: i32 = -65_537;
