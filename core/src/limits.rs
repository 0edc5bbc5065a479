//! Every bound of the system, in one place, with its unit and its reason. Whoever reads bytes from outside
//! checks against one of these before allocating. Relations between bounds are asserted at compile time.

/// Bytes of a card credential. The format promises 250 with a name of 22 bytes; names go up to
/// [`NAME_BYTES_MAX`], and an unknown non-negative claim of a newer issuer must still fit.
pub const CARD_BYTES_MAX: usize = 640;
/// Bytes of a presentation (card, proof and CBOR framing), before Base45.
pub const PRESENTATION_BYTES_MAX: usize = CARD_BYTES_MAX + 160;
/// Characters of a QR text: the prefix and Base45 of [`PRESENTATION_BYTES_MAX`] (3 characters for 2 bytes).
pub const QR_TEXT_CHARS_MAX: usize = 16 + PRESENTATION_BYTES_MAX.div_ceil(2) * 3;
/// UTF-8 bytes of a full name after NFC.
pub const NAME_BYTES_MAX: usize = 120;
/// Nesting depth of CBOR; the deepest object of ours is the trust bundle, with 5.
pub const CBOR_DEPTH_MAX: usize = 8;

/// Seconds a proof may lie in the past when the bundle's policy does not say otherwise.
pub const PROOF_AGE_SECONDS_DEFAULT: u64 = 120;
/// Seconds a proof may lie in the future when the bundle's policy does not say otherwise.
pub const PROOF_AHEAD_SECONDS_DEFAULT: u64 = 60;
/// Replay keys a terminal keeps at most: a scan a second over the whole acceptance window, ten-fold.
pub const REPLAY_KEYS_MAX: usize = 4_096;
/// Terminal challenges outstanding at most: one a desk, and reloads of the page.
pub const CHALLENGES_MAX: usize = 64;
/// Days between clock and floor beyond which a differing answer is not decided.
pub const CLOCK_DOUBT_DAYS: u64 = 45;

/// Bytes of a trust bundle.
pub const TRUST_BYTES_MAX: usize = 64 * 1024;
/// Root keys in a bundle.
pub const ROOT_KEYS_MAX: usize = 16;
/// Signatures on a bundle: the thresholds of two root sets.
pub const TRUST_SIGNATURES_MAX: usize = 2 * ROOT_KEYS_MAX;
/// Keys in a bundle, all uses together.
pub const TRUST_KEYS_MAX: usize = 256;
/// Index ranges of one card key.
pub const KEY_RANGES_MAX: usize = 64;

/// Status indexes: 2^32 cards of 95 million members is room for decades of replacements.
pub const STATUS_INDEX_MAX: u64 = u32::MAX as u64;
/// Bytes of a status snapshot or delta: 95 million cards with 4 % listed take 3 MB.
pub const STATUS_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of a status delta: it travels in one frame. 20,000 changes take 38 kB; whatever is larger is a snapshot's task.
pub const STATUS_DELTA_BYTES_MAX: usize = 224 * 1024;
/// Entries of one status set; at least one bit an entry is in the bytes, so this never allocates beyond them.
pub const STATUS_ENTRIES_MAX: u64 = 16 * 1024 * 1024;
/// Reserved index ranges in a status list.
pub const STATUS_RESERVED_MAX: usize = 1_024;
/// Deltas in one answer; the server composes longer ways into one.
pub const STATUS_DELTAS_MAX: usize = 16;
/// Bytes of memory for the skip tables of a loaded list, all sets together.
pub const STATUS_SKIP_BYTES_MAX: usize = 24 * 1024;
/// Indexes in one token status list: 4 MiB of statuses of two bits, a quarter of where readers of others stop to inflate.
pub const TOKEN_INDEXES: u64 = 1 << 24;
/// Bytes of the URI under which token status lists are found.
pub const TOKEN_URI_BYTES_MAX: usize = 256;

/// Indexes in one block of random hand-out order.
pub const STATUS_BLOCK: u64 = 65_536;

/// Bindings of one card: the number is four bits.
pub const BINDINGS_MAX: usize = 16;
/// Days a binding lasts.
pub const BINDING_DAYS: i64 = 180;
/// Days before its end from which a binding is renewed at sync.
pub const BINDING_RENEW_DAYS: i64 = 90;

/// Keys of one store batch: 4,000 keys in one sled batch took 2 to 5.6 GB of memory.
pub const BATCH_KEYS_MAX: usize = 256;
/// Bytes of a stored value: sled moves larger ones to `blobs/` files that nothing syncs.
pub const VALUE_BYTES_MAX: usize = 16 * 1024;
/// Bytes of a store key.
pub const KEY_BYTES_MAX: usize = 256;
/// Bytes of one journal frame's payload: the largest batch, with its count, and kind and lengths of each write.
pub const JOURNAL_FRAME_BYTES_MAX: usize = 2 + BATCH_KEYS_MAX * (1 + 2 + KEY_BYTES_MAX + 4 + VALUE_BYTES_MAX);
/// Bytes of a damaged journal that are searched for frames: more than any journal of a phone or terminal has.
pub const JOURNAL_DAMAGE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bytes below which a journal is never compacted: rewriting it costs more than they do.
pub const JOURNAL_COMPACT_BYTES_MIN: u64 = 1024 * 1024;
/// A journal is compacted when it has more bytes than this many times what it keeps alive.
pub const JOURNAL_COMPACT_FACTOR: u64 = 4;
/// Records in one feed page.
pub const PAGE_RECORDS_MAX: usize = 32;
/// Bytes of bodies in one feed page; a page closes with the record that passes it.
pub const PAGE_BYTES_MAX: usize = 8 * 1024;
/// Bytes of one record's body.
pub const BODY_BYTES_MAX: usize = 4 * 1024;
/// Units of the last place of any decimal number in a record: 15 digits, as the ministry's tables have them.
pub const DECIMAL_UNITS_MAX: i64 = 999_999_999_999_999;
/// Bytes of a code of some list in a record: ICD-10, care form, employer, group of costs.
pub const CODE_BYTES_MAX: usize = 32;
/// Bytes of a currency: ISO 4217.
pub const CURRENCY_BYTES_MAX: usize = 3;
/// Bytes of a short text in a record: a regime, a department, the number of a decision or an account.
pub const LABEL_BYTES_MAX: usize = 128;
/// Bytes of the name of an employer, payer, bank or facility: the tables' 255 characters with two bytes each.
pub const PLACE_BYTES_MAX: usize = 512;
/// Bytes of a facility's number of a case (`MA_LK`).
pub const CASE_BYTES_MAX: usize = 100;
/// Bytes of the diagnosis text of a visit; the tables know no bound, and what is longer is shortened.
pub const DIAGNOSIS_BYTES_MAX: usize = 1_024;
/// Codes of other diseases of a visit, as `MA_BENH_KT` has them.
pub const OTHER_DISEASES_MAX: usize = 12;
/// Bytes of the code of a cost line (`MA_THUOC`).
pub const ITEM_CODE_BYTES_MAX: usize = 255;
/// Bytes of the name of a cost line: the tables' 1,024 characters, most of them one byte.
pub const ITEM_NAME_BYTES_MAX: usize = 1_024;
/// Cost lines of one visit: a year in intensive care, ten a day.
pub const VISIT_LINES_MAX: usize = 4_096;
/// Records that the lines of one visit fill, besides the visit's own.
pub const VISIT_PARTS_MAX: usize = 1_024;
/// Papers that one visit gives.
pub const CERTIFICATES_MAX: usize = 8;
/// Adjustment slips in one benefit; a pension's ninth takes the place of the oldest.
pub const ADJUSTMENTS_MAX: usize = 8;
/// Bytes of a notice's title.
pub const NOTICE_TITLE_BYTES_MAX: usize = 256;
/// Bytes of a notice's text: a page.
pub const NOTICE_BYTES_MAX: usize = 3_072;
/// Records in one feed.
pub const FEED_RECORDS_MAX: u64 = 1 << 20;
/// Bytes of records that a phone holds before the head over them has come: 100,000 records of 500 bytes, more than a
/// life has, and no more than a phone can spare.
pub const FEED_STAGED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of pages in one block, before compression: what a cut line costs at most, some 6 kB compressed.
pub const FEED_BLOCK_BYTES_MAX: usize = 32 * 1024;
/// Bytes of what came before in an answer that a block is compressed with: the phone of a family reads some at a time.
pub const COMPRESS_WINDOW_BYTES: usize = 128 * 1024;
/// Bytes of a signed feed head; every number in it at its largest takes 171.
pub const HEAD_BYTES_MAX: usize = 192;
/// Bytes of a signed statement of a new epoch; every number in it at its largest takes 182.
pub const EPOCH_BYTES_MAX: usize = 208;
/// Statements that the server keeps of one feed: a phone that was away for more restores than this is activated anew.
pub const EPOCHS_KEPT_MAX: usize = 8;
/// Hashes from a leaf to the root of the longest feed.
pub const HAND_BACK_PATH_MAX: usize = 20;
/// Hashes of a feed's frontier: one for each one bit of a size up to [`FEED_RECORDS_MAX`].
pub const FRONTIER_HASHES_MAX: usize = 20;

/// Edits of one member that wait on a phone, those that were refused among them: some a day for a month without network.
pub const OUTBOX_ENTRIES_MAX: usize = 128;
/// Bytes of one operation's change: a petition of two pages, in letters of three bytes.
pub const OPERATION_BYTES_MAX: usize = 8 * 1024;
/// Operations in one request.
pub const OPERATIONS_MAX: usize = 32;
/// Bytes of the changes in one request: what a phone had to say offline goes in several.
pub const OPERATIONS_BYTES_MAX: usize = 24 * 1024;
/// Newest changes of a personal document that nobody has joined yet: as many as sides may have edited at once.
pub const PERSONAL_HEADS_MAX: usize = 16;
/// Bytes of a receipt; every number in it at its largest takes 178.
pub const RECEIPT_BYTES_MAX: usize = 192;

/// Bytes of one frame on a stream, its length word not counted.
pub const FRAME_BYTES_MAX: usize = 256 * 1024;
/// Bytes of the server's Hello: versions, marks and a policy hint, never data.
pub const HELLO_BYTES_MAX: usize = 16 * 1024;
/// Bytes a frame's memory starts with at most; more comes only with the bytes themselves.
pub const FRAME_ALLOC_BYTES: usize = 16 * 1024;
/// Exchanges one client has open at a time; more wait at the client.
pub const EXCHANGES_PARALLEL_MAX: u32 = 8;
/// Streams of news a client leaves unread at a time; more wait at the server, for a while.
pub const PUSHES_PARALLEL_MAX: u32 = 4;
/// Bytes under way on one stream: 64 KiB in 100 ms is 5 Mbit/s.
pub const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
/// Bytes under way on one connection, each way: what a hostile client can pin in the server's memory.
pub const CONNECTION_WINDOW_BYTES: u32 = 128 * 1024;
/// Bytes of handshake data held out of order; a handshake with raw keys is under 2 kB.
pub const CRYPTO_BUFFER_BYTES: usize = 16 * 1024;
/// First packets waiting for admission.
pub const INCOMING_MAX: usize = 8_192;
/// Bytes kept for one client that waits for admission.
pub const INCOMING_BUFFER_BYTES: u64 = 16 * 1024;
/// Bytes kept for all clients that wait for admission.
pub const INCOMING_BUFFERS_BYTES: u64 = 16 * 1024 * 1024;
/// Clients with a finished handshake that the application has not looked at yet.
pub const ARRIVALS_WAITING_MAX: usize = 64;
/// Bytes asked of the system for each buffer of the server's socket: 40 ms of packets at 400 Mbit/s.
pub const UDP_BUFFER_BYTES: usize = 2 * 1024 * 1024;
/// Seconds a client waits before it returns to a busy or stopped server that did not say.
pub const RETRY_AFTER_SECONDS_DEFAULT: u32 = 15;
/// Seconds a client waits at most, whatever the server says: news must not be a day late.
pub const RETRY_AFTER_SECONDS_MAX: u32 = 3_600;
/// Members on one phone: a family, and a carer's charges.
pub const WALLET_MEMBERS_MAX: usize = 32;
/// Bytes of the copy of one member's cards beside a phone's cache: three hundred cards.
pub const CARDS_COPY_BYTES_MAX: usize = 256 * 1024;
/// Active devices of one member: their own and their carers'.
pub const DEVICES_MAX: usize = BINDINGS_MAX;
/// Bytes of commits kept for a backup that has not taken them yet: a minute of an import at full speed.
pub const COPY_WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of one frame of a backup file: it travels in one frame to the operator.
pub const BACKUP_FRAME_BYTES_MAX: usize = 192 * 1024;
/// Operator rows in one import frame.
pub const IMPORT_ROWS_MAX: usize = 64;
/// Bytes of one record in an import frame, with the records that go with it: a visit of a thousand cost lines.
pub const IMPORT_RECORD_BYTES_MAX: usize = 160 * 1024;
/// Bytes of records in an import frame; a row that passes it begins the next.
pub const IMPORT_RECORDS_BYTES_MAX: usize = 192 * 1024;
/// Records of one member that an index finds by the name that their source gave them.
pub const INDEXED_RECORDS_MAX: usize = 32 * 1024;
/// Records in one piece of such an index: a piece is rewritten when one of its records is corrected.
pub const INDEX_PIECE_RECORDS: usize = 64;
/// Bytes of one field of an imported XML file: the longest that the ministry's tables allow is a free text of some pages.
pub const XML_FIELD_BYTES_MAX: usize = 64 * 1024;
/// Bytes of one element's name in an imported XML file; the longest that is known has 22.
pub const XML_NAME_BYTES_MAX: usize = 64;
/// Elements inside of elements in an imported XML file; the ministry's envelope has 6.
pub const XML_DEPTH_MAX: usize = 16;
/// Bytes of the Base64 text of one dossier of an imported XML file: eight thousand cost lines.
pub const XML_FILE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Files of one dossier of an imported XML file; there are sixteen tables.
pub const DOSSIER_FILES_MAX: usize = 32;
/// Rows of one file of a dossier: a patient of many weeks has some hundreds of lines.
pub const DOSSIER_ROWS_MAX: usize = 8_192;
/// Bytes of an operator's label: a desk and a place, in one column of a list.
pub const OPERATOR_LABEL_BYTES_MAX: usize = 32;
/// Days that an erasure waits at most: the law gives 20 (NĐ 356/2025), and two are for copies of the members' keys.
pub const ERASURE_DAYS_MAX: u64 = 18;
/// Nodes of the tree of members' keys: some 57,000 erased members, 172 MB of file and memory. An erased one leaves 96 behind,
/// fewer the more there are, since they share the upper ones.
pub const KEY_TREE_NODES_MAX: usize = 1 << 22;
/// Days that lines of the audit trail are kept at least: the longest six months (NĐ 165, Điều 17 khoản 10, asks for six).
pub const AUDIT_DAYS_MIN: u64 = 184;

/// Operations of one change: the edit that writes the most fields writes three.
pub const PERSONAL_CHANGE_OPERATIONS_MAX: usize = 8;
/// Changes that one change may name as known to it: the server's newest, and the actor's own before it.
pub const PERSONAL_DEPS_MAX: usize = PERSONAL_HEADS_MAX + 2;
/// Values of one field that a rebuild carries over, the winner and the best beside it: nobody reads more to decide.
pub const PERSONAL_BESIDE_MAX: usize = 8;
/// Actors of one personal document: a family's phones over years, and the desks that answered. A rebuild sets it back.
pub const PERSONAL_ACTORS_MAX: usize = 64;
/// Bytes of a field's key; the longest, of an answer, has 82.
pub const PERSONAL_KEY_BYTES_MAX: usize = 96;
/// Changes of one personal document.
pub const PERSONAL_CHANGES_MAX: usize = 512;
/// Changes from which a personal document should begin anew: what is under way still finds room.
pub const PERSONAL_CHANGES_REBUILD: usize = 384;
/// Bytes of all changes of one personal document, which is also what a stored one inflates to at most.
pub const PERSONAL_BYTES_MAX: usize = 160 * 1024;
/// Bytes of changes from which a personal document should begin anew.
pub const PERSONAL_BYTES_REBUILD: usize = 96 * 1024;
/// Bytes of a stored personal document: what does not compress grows by five bytes in 31 kB.
pub const PERSONAL_STORED_BYTES_MAX: usize = PERSONAL_BYTES_MAX + 1_024;
/// Values of one personal document, those beside a winner too: notes on a hundred records, and years of petitions.
pub const PERSONAL_VALUES_MAX: usize = 512;
/// Bytes of all values and their keys: thirty petitions of a page. What was handed in long ago is answered and can go.
pub const PERSONAL_VALUES_BYTES_MAX: usize = 64 * 1024;
/// Answers to one petition.
pub const PERSONAL_ANSWERS_MAX: usize = 32;
/// UTF-8 bytes of a note, a petition or an answer: a page and a half.
pub const PERSONAL_TEXT_BYTES_MAX: usize = 4_000;
/// UTF-8 bytes of one line: a street, a subject, what a reminder says.
pub const PERSONAL_LINE_BYTES_MAX: usize = 240;
/// Bytes of an e-mail address (RFC 5321 §4.5.3.1.3, less the brackets).
pub const PERSONAL_EMAIL_BYTES_MAX: usize = 254;
/// UTF-8 bytes of the desk that answers.
pub const PERSONAL_LABEL_BYTES_MAX: usize = 96;

/// Bytes of a signed grant; every number in it at its largest takes 160.
pub const GRANT_BYTES_MAX: usize = 176;
/// Grants of one member, those given and those held each: a family, and a carer's charges.
pub const GRANTS_MAX: usize = WALLET_MEMBERS_MAX;
/// Days that a grant lasts at most: five years, then somebody looks again.
pub const GRANT_DAYS_MAX: i64 = 1_827;
/// Days that a carer's binding lasts at most. Other than [`BINDING_DAYS`], so that no carer's binding passes for a
/// member's own (docs/adr/0014).
pub const GRANT_BINDING_DAYS: i64 = 90;
/// Days before its end from which a carer's binding is renewed at sync.
pub const GRANT_BINDING_RENEW_DAYS: i64 = 45;

const _: () = assert!(GRANT_BINDING_DAYS < BINDING_DAYS && GRANT_BINDING_RENEW_DAYS < GRANT_BINDING_DAYS);
const _: () = assert!(PAGE_BYTES_MAX + BODY_BYTES_MAX + 64 * PAGE_RECORDS_MAX <= VALUE_BYTES_MAX);
const _: () = assert!(TRUST_BYTES_MAX < FRAME_BYTES_MAX);
const _: () = assert!(STATUS_DELTA_BYTES_MAX + 1_024 < FRAME_BYTES_MAX);
const _: () = assert!(VALUE_BYTES_MAX * 8 < FRAME_BYTES_MAX);
const _: () = assert!(CARD_BYTES_MAX < BODY_BYTES_MAX);
const _: () = assert!(NOTICE_TITLE_BYTES_MAX + NOTICE_BYTES_MAX + 64 < BODY_BYTES_MAX);
const _: () = assert!(ITEM_CODE_BYTES_MAX + ITEM_NAME_BYTES_MAX + LABEL_BYTES_MAX + 256 < BODY_BYTES_MAX);
const _: () = assert!(VISIT_PARTS_MAX < u16::MAX as usize);
const _: () = assert!(CARD_BYTES_MAX * BINDINGS_MAX < VALUE_BYTES_MAX);
const _: () = assert!(JOURNAL_FRAME_BYTES_MAX < u32::MAX as usize && BATCH_KEYS_MAX < u16::MAX as usize);
const _: () = assert!(KEY_BYTES_MAX < u16::MAX as usize);
const _: () = assert!(FEED_RECORDS_MAX <= 1 << HAND_BACK_PATH_MAX);
const _: () = assert!((FEED_RECORDS_MAX - 1).count_ones() as usize <= FRONTIER_HASHES_MAX);
const _: () = assert!(HELLO_BYTES_MAX < STREAM_WINDOW_BYTES as usize);
const _: () = assert!(STREAM_WINDOW_BYTES < CONNECTION_WINDOW_BYTES);
const _: () = assert!(FRAME_ALLOC_BYTES <= STREAM_WINDOW_BYTES as usize);
const _: () = assert!(BACKUP_FRAME_BYTES_MAX + 1_024 < FRAME_BYTES_MAX);
const _: () =
    assert!(IMPORT_RECORD_BYTES_MAX <= IMPORT_RECORDS_BYTES_MAX && BODY_BYTES_MAX < IMPORT_RECORD_BYTES_MAX);
const _: () = assert!(IMPORT_RECORDS_BYTES_MAX + 256 * IMPORT_ROWS_MAX < FRAME_BYTES_MAX);
const _: () = assert!(TRUST_BYTES_MAX <= BACKUP_FRAME_BYTES_MAX);
const _: () = assert!(RETRY_AFTER_SECONDS_DEFAULT <= RETRY_AFTER_SECONDS_MAX);
const _: () = assert!(
    PERSONAL_TEXT_BYTES_MAX + PERSONAL_LINE_BYTES_MAX + 49 * PERSONAL_ACTORS_MAX + 512 <= OPERATION_BYTES_MAX
);
const _: () = assert!(PERSONAL_BYTES_REBUILD + OPERATION_BYTES_MAX < PERSONAL_BYTES_MAX);
// A rebuilt document fits, with room for heads: a value costs its operation some bytes more.
const _: () = assert!(PERSONAL_VALUES_BYTES_MAX + 16 * PERSONAL_VALUES_MAX + 4_096 < PERSONAL_BYTES_REBUILD);
const _: () = assert!(PERSONAL_BESIDE_MAX < PERSONAL_HEADS_MAX);
const _: () = assert!(PERSONAL_CHANGES_REBUILD < PERSONAL_CHANGES_MAX);
const _: () = assert!(PERSONAL_STORED_BYTES_MAX + 1_024 < FRAME_BYTES_MAX);
