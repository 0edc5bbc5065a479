//! One Automerge change, read to its last byte without Automerge.
//!
//! Automerge inflates without a limit, walks as many operations as a run of ten bytes says, and panics where an operation
//! names an actor that is not there. So nothing from outside reaches it before it has been read here: one chunk, not
//! compressed, under its own hash; operations on keys of the root alone, each a byte string or a deletion; no time, no
//! message, no bytes at the end. Whatever else a change of Automerge may hold has no place in this document.

use sha2::{Digest, Sha256};

use super::columns::{Reader, read_deltas, read_full_runs};
use super::ids::{ActorId, ChangeHash};
use crate::limits::{PERSONAL_ACTORS_MAX, PERSONAL_DEPS_MAX, PERSONAL_KEY_BYTES_MAX};

/// A change, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) hash: ChangeHash,
    pub(crate) actor: ActorId,
    pub(crate) seq: u64,
    /// The counter of the first operation; each later one has the next.
    pub(crate) first_op: u64,
    pub(crate) deps: Vec<ChangeHash>,
    pub(crate) operations: Vec<Operation>,
}

/// One operation on a key of the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(crate) key: String,
    /// `None` deletes.
    pub(crate) value: Option<Vec<u8>>,
    /// The operations whose values it replaces, in order.
    pub(crate) replaces: Vec<OpId>,
}

/// Names an operation. The order is Automerge's: of several values of one key, the greatest wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct OpId {
    pub(crate) counter: u64,
    pub(crate) actor: ActorId,
}

/// Why bytes are no change of a personal document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// Not Automerge's.
    #[error("not an Automerge chunk")]
    Magic,
    /// A document, a compressed change, a bundle, or nothing known.
    #[error("a chunk of kind {0}, where a change is 1")]
    Kind(u8),
    /// The bytes are not the ones that were hashed.
    #[error("the checksum is of other bytes")]
    Checksum,
    /// Cut short, left over, or not in its one form.
    #[error("malformed bytes")]
    Malformed,
    /// More rows, actors or dependencies than there may be.
    #[error("more of something than there may be")]
    TooMany,
    /// A column that only other operations have, or a compressed one.
    #[error("a column of specification {0}")]
    Column(u64),
    /// Neither sets a byte string nor deletes.
    #[error("an operation of action {action} on a value of type {value}")]
    Operation {
        /// Automerge's number of what is done.
        action: u64,
        /// Automerge's number of the value's type.
        value: u64,
    },
    /// A time, a message or bytes at the end, where our changes have none.
    #[error("a time, a message or an appendix")]
    Appendix,
}

impl Chunk {
    /// Reads exactly one change of at most `operations_max` operations. The caller has bounded the bytes.
    pub(crate) fn decode(bytes: &[u8], operations_max: usize) -> Result<Self, ChunkError> {
        let (hash, body) = open(bytes)?;
        let mut reader = Reader(body);
        let deps = read_deps(&mut reader)?;
        let actor = read_actor(&mut reader)?;
        let seq = reader.unsigned()?;
        let first_op = reader.unsigned()?;
        let (time, message_length) = (reader.signed()?, reader.unsigned()?);
        if time != 0 || message_length != 0 {
            return Err(ChunkError::Appendix);
        }
        let mut actors = vec![actor];
        for _ in 0..reader.length(PERSONAL_ACTORS_MAX)? {
            actors.push(read_actor(&mut reader)?);
        }
        let columns = Columns::read(&mut reader)?;
        if !reader.is_empty() {
            return Err(ChunkError::Appendix);
        }
        let operations = columns.operations(&actors, operations_max)?;
        let last_op = first_op.checked_add(operations.len() as u64);
        let is_numbered = seq > 0 && first_op > 0 && last_op.is_some_and(|last| last < u64::from(u32::MAX));
        let chunk = Self { hash, actor, seq, first_op, deps, operations };
        is_numbered.then_some(chunk).ok_or(ChunkError::Malformed)
    }

    /// The counter of the last operation; one less than the first where there is none.
    pub(crate) fn last_op(&self) -> u64 {
        self.first_op + self.operations.len() as u64 - 1
    }
}

/// The name of a change; its bytes are whole, and what they say is not read.
pub(crate) fn hash(bytes: &[u8]) -> Result<ChangeHash, ChunkError> {
    open(bytes).map(|(hash, _)| hash)
}

/// The dependencies of a change that [`Chunk::decode`] has read, and what follows them.
pub(crate) fn split(bytes: &[u8]) -> Result<(Vec<ChangeHash>, &[u8]), ChunkError> {
    let (_, body) = open(bytes)?;
    let mut reader = Reader(body);
    Ok((read_deps(&mut reader)?, reader.0))
}

/// Puts a change together again from what [`split`] gave.
pub(crate) fn join(deps: &[ChangeHash], rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(10 + 32 * deps.len() + rest.len());
    write_unsigned(&mut body, deps.len() as u64);
    body.extend(deps.iter().flat_map(|hash| hash.0));
    body.extend(rest);
    let mut bytes = MAGIC.to_vec();
    bytes.extend(hash_of(&body).0.iter().take(4));
    bytes.push(KIND_CHANGE);
    write_unsigned(&mut bytes, body.len() as u64);
    bytes.extend(body);
    bytes
}

/// LEB128 without a sign, in its shortest form.
pub(crate) fn write_unsigned(to: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        to.push(0x80 | (value & 0x7f) as u8);
        value >>= 7;
    }
    to.push(value as u8);
}

fn open(bytes: &[u8]) -> Result<(ChangeHash, &[u8]), ChunkError> {
    let mut reader = Reader(bytes);
    if reader.take(MAGIC.len()).ok() != Some(&MAGIC) {
        return Err(ChunkError::Magic);
    }
    let checksum: [u8; 4] = reader.array()?;
    let [kind] = reader.array()?;
    if kind != KIND_CHANGE {
        return Err(ChunkError::Kind(kind));
    }
    let length = reader.unsigned()?;
    if length != reader.0.len() as u64 {
        return Err(ChunkError::Malformed);
    }
    let hash = hash_of(reader.0);
    hash.0.starts_with(&checksum).then_some((hash, reader.0)).ok_or(ChunkError::Checksum)
}

fn hash_of(body: &[u8]) -> ChangeHash {
    let mut head = vec![KIND_CHANGE];
    write_unsigned(&mut head, body.len() as u64);
    ChangeHash(Sha256::new().chain_update(head).chain_update(body).finalize().into())
}

fn read_deps(reader: &mut Reader<'_>) -> Result<Vec<ChangeHash>, ChunkError> {
    let count = reader.length(PERSONAL_DEPS_MAX)?;
    let deps = (0..count).map(|_| reader.array().map(ChangeHash)).collect::<Result<Vec<_>, _>>()?;
    deps.is_sorted_by(|a, b| a < b).then_some(deps).ok_or(ChunkError::Malformed)
}

fn read_actor(reader: &mut Reader<'_>) -> Result<ActorId, ChunkError> {
    match reader.unsigned()? {
        16 => reader.array().map(ActorId),
        _ => Err(ChunkError::Malformed),
    }
}

/// The columns that our operations have; empty where there is none.
#[derive(Default)]
struct Columns<'a> {
    key: &'a [u8],
    insert: &'a [u8],
    action: &'a [u8],
    value_meta: &'a [u8],
    value: &'a [u8],
    replaces_count: &'a [u8],
    replaces_actor: &'a [u8],
    replaces_counter: &'a [u8],
}

impl<'a> Columns<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, ChunkError> {
        let mut lengths = Vec::new();
        for _ in 0..reader.length(COLUMNS_MAX)? {
            lengths.push((reader.unsigned()?, reader.length(usize::MAX)?));
        }
        if !lengths.is_sorted_by(|(a, _), (b, _)| a < b) {
            return Err(ChunkError::Malformed);
        }
        let mut columns = Self::default();
        for (specification, length) in lengths {
            // Number of the column times 16, whether it is compressed times 8, type of the column.
            let column = match specification {
                0x15 => &mut columns.key,
                0x34 => &mut columns.insert,
                0x42 => &mut columns.action,
                0x56 => &mut columns.value_meta,
                0x57 => &mut columns.value,
                0x70 => &mut columns.replaces_count,
                0x71 => &mut columns.replaces_actor,
                0x73 => &mut columns.replaces_counter,
                other => return Err(ChunkError::Column(other)),
            };
            *column = reader.take(length)?;
        }
        Ok(columns)
    }

    fn operations(&self, actors: &[ActorId], max: usize) -> Result<Vec<Operation>, ChunkError> {
        let actions = read_full_runs(self.action, max, Reader::unsigned)?;
        let keys = read_full_runs(self.key, max, read_key)?;
        let metas = read_full_runs(self.value_meta, max, Reader::unsigned)?;
        let counts = read_full_runs(self.replaces_count, max, Reader::unsigned)?;
        let rows = actions.len();
        // A column of switches that begin off: one count, of all rows, leaves them all off.
        let mut switches = Reader(self.insert);
        let all_off = switches.unsigned()? == rows as u64 && switches.is_empty();
        let is_even = [keys.len(), metas.len(), counts.len()].iter().all(|&length| length == rows);
        if rows == 0 || !is_even || !all_off {
            return Err(ChunkError::Malformed);
        }
        let mut replaced = self.replaced(actors, max)?.into_iter();
        let mut values = Reader(self.value);
        let mut operations = Vec::with_capacity(rows);
        for (((key, action), meta), count) in keys.into_iter().zip(actions).zip(metas).zip(counts) {
            let value = read_value(&mut values, action, meta)?;
            let count = usize::try_from(count).map_err(|_| ChunkError::TooMany)?;
            let replaces: Vec<OpId> = replaced.by_ref().take(count).collect();
            if replaces.len() != count || !replaces.is_sorted_by(|a, b| a < b) {
                return Err(ChunkError::Malformed);
            }
            operations.push(Operation { key: key.to_owned(), value, replaces });
        }
        let is_used_up = values.is_empty() && replaced.next().is_none();
        is_used_up.then_some(operations).ok_or(ChunkError::Malformed)
    }

    fn replaced(&self, actors: &[ActorId], max: usize) -> Result<Vec<OpId>, ChunkError> {
        let rows_max = max + PERSONAL_ACTORS_MAX;
        let indexes = read_full_runs(self.replaces_actor, rows_max, Reader::unsigned)?;
        let counters = read_deltas(self.replaces_counter, rows_max)?;
        if indexes.len() != counters.len() {
            return Err(ChunkError::Malformed);
        }
        let id = |(index, counter): (u64, i64)| {
            let actor = usize::try_from(index).ok().and_then(|index| actors.get(index));
            let counter = u64::try_from(counter).ok();
            Some(OpId { counter: counter?, actor: *actor? })
        };
        indexes.into_iter().zip(counters).map(|pair| id(pair).ok_or(ChunkError::Malformed)).collect()
    }
}

fn read_key<'a>(reader: &mut Reader<'a>) -> Result<&'a str, ChunkError> {
    let length = reader.length(PERSONAL_KEY_BYTES_MAX)?;
    std::str::from_utf8(reader.take(length)?).map_err(|_| ChunkError::Malformed)
}

fn read_value(values: &mut Reader<'_>, action: u64, meta: u64) -> Result<Option<Vec<u8>>, ChunkError> {
    let (kind, length) = (meta & 0xf, meta >> 4);
    match (action, kind, length) {
        (ACTION_SET, VALUE_BYTES, _) => {
            let length = usize::try_from(length).map_err(|_| ChunkError::Malformed)?;
            Ok(Some(values.take(length)?.to_vec()))
        }
        (ACTION_DELETE, VALUE_NULL, 0) => Ok(None),
        _ => Err(ChunkError::Operation { action, value: kind }),
    }
}

const MAGIC: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];
const KIND_CHANGE: u8 = 1;
const ACTION_SET: u64 = 1;
const ACTION_DELETE: u64 = 3;
const VALUE_NULL: u64 = 0;
const VALUE_BYTES: u64 = 7;
/// As many as [`Columns`] has, and some that are refused by name.
const COLUMNS_MAX: usize = 16;
