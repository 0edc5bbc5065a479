//! Who may come in, decided before it costs much. Pure: addresses, keys and the time are arguments, and what
//! should happen is the result.
//!
//! Two rules keep spoofed packets from shutting out the one whose address they carry: an address that is not
//! proven uses only half of its allowance, and nothing is refused on its account that it could not have taken.

use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;
use std::net::IpAddr;
use std::time::Instant;

use super::buckets::Buckets;
use super::key::PeerKey;
use super::settings::ServerLimits;

/// A connection, numbered in the order of arrival since the server's start. Prints as `c17`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub(super) u64);

impl std::fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "c{}", self.0)
    }
}

/// Whether the client has shown that it receives at the address it sends from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressProof {
    /// It has.
    Proven,
    /// The packet only says so.
    Claimed,
}

/// What to do with a new client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Begin the handshake. It counts until [`Admission::fail`], or [`Admission::join`] and [`Admission::leave`].
    Admit,
    /// Ask for a proof of the address; costs nothing here.
    Validate,
    /// Say no, so that it waits before it tries again.
    Refuse,
    /// Say nothing; it will send again by itself.
    Ignore,
}

/// What the server has seen since its start, and what it holds now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TransportCounts {
    /// Connections open now, handshakes not included.
    pub connections_open: usize,
    /// Handshakes in flight now.
    pub handshakes_open: usize,
    /// Handshakes begun.
    pub admitted_total: u64,
    /// Clients asked to prove their address.
    pub validated_total: u64,
    /// Clients refused.
    pub refused_total: u64,
    /// Packets of new clients left without an answer.
    pub ignored_total: u64,
    /// Handshakes that came to nothing.
    pub failed_total: u64,
    /// Connections closed because the same key opened another.
    pub replaced_total: u64,
    /// Exchanges refused because of the rate of their key.
    pub exchanges_refused_total: u64,
}

/// The books of a server on who is in.
#[derive(Debug)]
pub struct Admission {
    limits: ServerLimits,
    stopping: bool,
    arrivals: Buckets<Origin>,
    exchanges: Buckets<PeerKey>,
    origins: HashMap<Origin, usize>,
    /// Oldest first.
    keys: HashMap<PeerKey, Vec<ConnectionId>>,
    places: HashMap<ConnectionId, (PeerKey, Origin)>,
    counts: TransportCounts,
}

impl Admission {
    /// Empty books under `limits`.
    #[must_use]
    pub fn new(limits: ServerLimits) -> Self {
        let remembered = limits.remembered_max;
        Self {
            limits,
            stopping: false,
            arrivals: Buckets::new(limits.arrivals_per_second, limits.arrivals_burst, remembered),
            exchanges: Buckets::new(limits.exchanges_per_second, limits.exchanges_burst, remembered),
            origins: HashMap::new(),
            keys: HashMap::new(),
            places: HashMap::new(),
            counts: TransportCounts::default(),
        }
    }

    /// A first packet from `address`.
    pub fn arrive(&mut self, address: IpAddr, proof: AddressProof, now: Instant) -> Verdict {
        let origin = Origin::of(address);
        let verdict = self.judge(origin, proof, now);
        match verdict {
            Verdict::Admit => {
                *self.origins.entry(origin).or_default() += 1;
                self.counts.handshakes_open += 1;
                self.counts.admitted_total += 1;
            }
            Verdict::Validate => self.counts.validated_total += 1,
            Verdict::Refuse => self.counts.refused_total += 1,
            Verdict::Ignore => self.counts.ignored_total += 1,
        }
        verdict
    }

    /// The handshake of an admitted client came to nothing.
    pub fn fail(&mut self, address: IpAddr) {
        self.counts.handshakes_open = self.counts.handshakes_open.saturating_sub(1);
        self.counts.failed_total += 1;
        self.release(Origin::of(address));
    }

    /// The handshake of an admitted client succeeded. Gives the connection of the same key that has to go.
    pub fn join(&mut self, id: ConnectionId, key: PeerKey, address: IpAddr) -> Option<ConnectionId> {
        self.counts.handshakes_open = self.counts.handshakes_open.saturating_sub(1);
        self.counts.connections_open += 1;
        self.places.insert(id, (key, Origin::of(address)));
        let of_key = self.keys.entry(key).or_default();
        let oldest = (of_key.len() >= self.limits.connections_per_key_max.max(1)).then(|| of_key.remove(0));
        of_key.push(id);
        self.counts.replaced_total += u64::from(oldest.is_some());
        oldest
    }

    /// The connection is gone. Twice is once.
    pub fn leave(&mut self, id: ConnectionId) {
        let Some((key, origin)) = self.places.remove(&id) else {
            return;
        };
        self.counts.connections_open -= 1;
        self.release(origin);
        if let MapEntry::Occupied(mut of_key) = self.keys.entry(key) {
            of_key.get_mut().retain(|other| *other != id);
            if of_key.get().is_empty() {
                of_key.remove();
            }
        }
    }

    /// Whether `key` may begin an exchange.
    pub fn begin_exchange(&mut self, key: PeerKey, now: Instant) -> bool {
        let allowed = self.exchanges.take(key, now);
        self.counts.exchanges_refused_total += u64::from(!allowed);
        allowed
    }

    /// From now on everybody is refused.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    /// The connections of `key`, oldest first.
    #[must_use]
    pub fn connections_of(&self, key: &PeerKey) -> &[ConnectionId] {
        self.keys.get(key).map_or(&[], Vec::as_slice)
    }

    /// What was seen so far.
    #[must_use]
    pub fn counts(&self) -> TransportCounts {
        self.counts
    }

    /// Whether [`Self::stop`] was called.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping
    }

    fn judge(&mut self, origin: Origin, proof: AddressProof, now: Instant) -> Verdict {
        let in_all = self.counts.connections_open + self.counts.handshakes_open;
        let of_origin = self.origins.get(&origin).copied().unwrap_or_default();
        if self.stopping
            || in_all >= self.limits.connections_max
            || of_origin >= self.limits.connections_per_address_max
        {
            return Verdict::Refuse;
        }
        let handshakes = self.counts.handshakes_open;
        match proof {
            AddressProof::Claimed if handshakes >= self.limits.handshakes_max => Verdict::Ignore,
            AddressProof::Claimed if handshakes >= self.limits.handshakes_unproven_max => Verdict::Validate,
            AddressProof::Claimed if !self.arrivals.take_from_upper_half(origin, now) => Verdict::Validate,
            AddressProof::Proven if handshakes >= self.limits.handshakes_max => Verdict::Refuse,
            AddressProof::Proven if !self.arrivals.take(origin, now) => Verdict::Refuse,
            AddressProof::Claimed | AddressProof::Proven => Verdict::Admit,
        }
    }

    fn release(&mut self, origin: Origin) {
        if let MapEntry::Occupied(mut count) = self.origins.entry(origin) {
            *count.get_mut() = count.get().saturating_sub(1);
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// Where limits by address count: one IPv4 address, or one IPv6 /64, which is what a single line is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Origin {
    V4(u32),
    V6(u64),
}

impl Origin {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 64) as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 7));
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 8));
    const KEY: PeerKey = PeerKey::new([1; 32]);

    /// Sends `n` first packets and gives how many of each verdict came: admit, validate, refuse, ignore.
    fn arrivals(
        books: &mut Admission,
        n: usize,
        from: IpAddr,
        proof: AddressProof,
        now: Instant,
    ) -> [usize; 4] {
        let mut seen = [0; 4];
        for _ in 0..n {
            seen[books.arrive(from, proof, now) as usize] += 1;
        }
        seen
    }

    #[test]
    fn a_claimed_address_has_half_the_allowance_and_the_owner_the_rest() {
        let limits = ServerLimits { arrivals_per_second: 10, arrivals_burst: 20, ..ServerLimits::default() };
        let (mut books, now) = (Admission::new(limits), Instant::now());
        assert_eq!(arrivals(&mut books, 100, HERE, AddressProof::Claimed, now), [10, 90, 0, 0]);
        assert_eq!(arrivals(&mut books, 100, HERE, AddressProof::Proven, now), [10, 0, 90, 0]);
        assert_eq!(arrivals(&mut books, 5, THERE, AddressProof::Claimed, now), [5, 0, 0, 0]);
        let later = now + Duration::from_millis(500);
        assert_eq!(arrivals(&mut books, 100, HERE, AddressProof::Proven, later), [5, 0, 95, 0]);
    }

    #[test]
    fn under_load_addresses_are_proven_first_and_then_it_is_full() {
        let limits =
            ServerLimits { handshakes_unproven_max: 3, handshakes_max: 5, ..ServerLimits::default() };
        let (mut books, now) = (Admission::new(limits), Instant::now());
        assert_eq!(arrivals(&mut books, 10, HERE, AddressProof::Claimed, now), [3, 7, 0, 0]);
        assert_eq!(arrivals(&mut books, 10, THERE, AddressProof::Proven, now), [2, 0, 8, 0]);
        assert_eq!(arrivals(&mut books, 10, THERE, AddressProof::Claimed, now), [0, 0, 0, 10]);
        books.fail(HERE);
        assert_eq!(arrivals(&mut books, 2, THERE, AddressProof::Proven, now), [1, 0, 1, 0]);
        assert_eq!(books.counts().handshakes_open, 5);
    }

    #[test]
    fn connections_of_one_address_are_bounded_until_they_leave() {
        let limits = ServerLimits { connections_per_address_max: 2, ..ServerLimits::default() };
        let (mut books, now) = (Admission::new(limits), Instant::now());
        assert_eq!(arrivals(&mut books, 3, HERE, AddressProof::Proven, now), [2, 0, 1, 0]);
        books.join(ConnectionId(1), KEY, HERE);
        assert_eq!(arrivals(&mut books, 1, HERE, AddressProof::Proven, now), [0, 0, 1, 0]);
        books.leave(ConnectionId(1));
        books.leave(ConnectionId(1));
        assert_eq!(arrivals(&mut books, 2, HERE, AddressProof::Proven, now), [1, 0, 1, 0]);
    }

    #[test]
    fn an_ipv6_line_counts_as_one_and_mapped_ipv4_as_itself() {
        let limits = ServerLimits { connections_per_address_max: 1, ..ServerLimits::default() };
        let (mut books, now) = (Admission::new(limits), Instant::now());
        let cases = [
            ("2001:db8:1:2::1", [1, 0, 0, 0]),
            ("2001:db8:1:2:ffff::9", [0, 0, 1, 0]),
            ("2001:db8:1:3::1", [1, 0, 0, 0]),
            ("203.0.113.7", [1, 0, 0, 0]),
            ("::ffff:203.0.113.7", [0, 0, 1, 0]),
        ];
        for (from, expected) in cases {
            let from = from.parse().unwrap();
            assert_eq!(arrivals(&mut books, 1, from, AddressProof::Proven, now), expected, "{from}");
        }
    }

    #[test]
    fn the_oldest_connection_of_a_key_makes_room() {
        let mut books = Admission::new(ServerLimits::default());
        let now = Instant::now();
        assert_eq!(arrivals(&mut books, 4, HERE, AddressProof::Proven, now), [4, 0, 0, 0]);
        let replaced = [1, 2, 3, 4].map(|id| books.join(ConnectionId(id), KEY, HERE));
        assert_eq!(replaced, [None, None, Some(ConnectionId(1)), Some(ConnectionId(2))]);
        assert_eq!(books.connections_of(&KEY), [ConnectionId(3), ConnectionId(4)]);
        (1..=4).for_each(|id| books.leave(ConnectionId(id)));
        assert!(books.connections_of(&KEY).is_empty());
        assert!(books.origins.is_empty() && books.keys.is_empty() && books.places.is_empty());
        assert_eq!(books.counts().connections_open, 0);
    }

    #[test]
    fn the_total_is_bounded_and_a_stopping_server_takes_nobody() {
        let limits = ServerLimits { connections_max: 3, ..ServerLimits::default() };
        let (mut books, now) = (Admission::new(limits), Instant::now());
        assert_eq!(arrivals(&mut books, 5, HERE, AddressProof::Claimed, now), [3, 0, 2, 0]);
        books.fail(HERE);
        books.stop();
        assert_eq!(arrivals(&mut books, 5, HERE, AddressProof::Claimed, now), [0, 0, 5, 0]);
    }

    #[test]
    fn exchanges_follow_the_rate_of_their_key() {
        let limits = ServerLimits { exchanges_per_second: 2, exchanges_burst: 3, ..ServerLimits::default() };
        let (mut books, now) = (Admission::new(limits), Instant::now());
        let begun =
            |books: &mut Admission, key, now| (0..9).filter(|_| books.begin_exchange(key, now)).count();
        assert_eq!(begun(&mut books, KEY, now), 3);
        assert_eq!(begun(&mut books, PeerKey::new([2; 32]), now), 3);
        assert_eq!(begun(&mut books, KEY, now + Duration::from_secs(1)), 2);
        assert_eq!(books.counts().exchanges_refused_total, 6 + 6 + 7);
    }
}
